"""A hand-made warehouse: the raw tables of the contracts, rows given as dictionaries, and dbt run over them."""

import atexit
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import duckdb

from retail_assets.contracts import TABLES, Table, table
from retail_assets.money import exponents

PROJECT: Final = Path(__file__).resolve().parents[2] / "dbt_project"

_DUCKDB_TYPES: Final = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "amount": "DECIMAL(18,4)",
    "rate": "DECIMAL(28,12)",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ",
    "date": "DATE",
    "json": "VARCHAR",
}

_PARSED: Final = "partial_parse.msgpack"
_LOADED_AT: Final = "2026-11-05 11:00:00+00"


class Warehouse:
    """``warehouse.duckdb`` in a RETAIL_HOME of its own.

    Args:
        home: an empty folder.
    """

    def __init__(self, home: Path) -> None:
        self._at(home)
        with self._connect() as connection:
            connection.execute("set timezone = 'UTC'")
            for contract in TABLES:
                columns = ", ".join(f'"{c.name}" {_DUCKDB_TYPES[c.type]}' for c in contract.all_columns())
                connection.execute(f"create schema if not exists {contract.schema}")
                connection.execute(f'create table {contract.schema}."{contract.name}" ({columns})')
        self.insert(
            "ops.currency_exponents", ({"provider": p, "currency_code": c, "exponent": e} for p, c, e in exponents())
        )

    @classmethod
    def existing(cls, home: Path) -> "Warehouse":
        """The one that is in ``home`` already."""
        found = cls.__new__(cls)
        found._at(home)
        return found

    def _at(self, home: Path) -> None:
        self.home = home
        self.path = home / "warehouse.duckdb"

    def _connect(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(str(self.path))

    def insert(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows to ``<system>.<table>``; the columns that are ours are filled in, a column not given is null, a
        required amount zero.

        Raises:
            ValueError: a row names a column that the contract does not have, or leaves out a required one.
        """
        contract = table(*name.split("."))
        filled = [_fill(contract, row) for row in rows]
        if not filled:
            return
        names = [column.name for column in contract.all_columns()]
        marks = ", ".join("?" for _ in names)
        with self._connect() as connection:
            connection.execute("set timezone = 'UTC'")
            connection.executemany(
                f'insert into {contract.schema}."{contract.name}" values ({marks})',
                [[row[column] for column in names] for row in filled],
            )

    def execute(self, statement: str) -> None:
        with self._connect() as connection:
            connection.execute("set timezone = 'UTC'")
            connection.execute(statement)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.path), read_only=True) as connection:
            return connection.execute(statement).fetchall()

    def rows(self, statement: str) -> list[dict[str, Any]]:
        with duckdb.connect(str(self.path), read_only=True) as connection:
            cursor = connection.execute(statement)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def dbt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run dbt as its users do, in a process of its own; target and logs stay under the home."""
        return run_dbt(self.home, arguments)


def run_dbt(home: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """One dbt command against the warehouse in ``home``; never raises, look at ``returncode``."""
    with _at_one_path(home) as path:
        environment = os.environ | {
            "RETAIL_HOME": str(path),
            "DBT_PROFILES_DIR": str(PROJECT),
            "DBT_PROJECT_DIR": str(PROJECT),
            "DBT_TARGET_PATH": str(path / "dbt"),
            "DBT_LOG_PATH": str(path / "dbt"),
        }
        executable = Path(sys.executable).with_name("dbt")
        command = [str(executable), "--no-use-colors", "--quiet", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@contextmanager
def _at_one_path(home: Path) -> Iterator[Path]:
    """The home, under a path that is the same for all homes of this process.

    dbt keeps what it parsed, but not for another warehouse; under one path the project is parsed once and not for each.
    """
    shared = Path(_shared_folder())
    path, kept, own = shared / "home", shared / _PARSED, home / "dbt" / _PARSED
    path.unlink(missing_ok=True)
    path.symlink_to(home)
    if kept.exists() and not own.exists():
        own.parent.mkdir(exist_ok=True)
        shutil.copy(kept, own)
    yield path
    if own.exists() and not kept.exists():
        shutil.copy(own, kept)


@cache
def _shared_folder() -> str:
    folder = tempfile.mkdtemp(prefix="retail_dbt_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _fill(contract: Table, row: dict[str, Any]) -> dict[str, Any]:
    payload = json.dumps(row, default=str, sort_keys=True)
    ours = {
        "_payload": payload,
        "_payload_sha256": hashlib.sha256(payload.encode()).hexdigest(),
        "_loaded_at": _LOADED_AT,
    }
    known = {column.name for column in contract.all_columns()}
    if unknown := row.keys() - known:
        raise ValueError(f"{contract.schema}.{contract.name} has no columns {sorted(unknown)}")
    # A required amount that a row does not name is zero: most lines have no tax.
    zeros = {column.name: 0 for column in contract.all_columns() if column.required and column.type == "amount"}
    filled = {name: _plain(row.get(name, ours.get(name, zeros.get(name)))) for name in known}
    if missing := [c.name for c in contract.all_columns() if c.required and filled[c.name] is None]:
        raise ValueError(f"{contract.schema}.{contract.name} requires {missing}")
    return filled


def _plain(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, Decimal | date | datetime):
        return str(value)
    return value
