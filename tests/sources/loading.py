"""One home with a warehouse and an operations store, and sources loaded into it as an orchestrator would."""

import atexit
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from dlt.sources import DltSource

from retail_assets.contracts import tables_of
from retail_assets.ops import load_log, quarantine
from retail_assets.ops.store import open_store
from retail_assets.sources.intake import Counts, Intake
from retail_assets.sources.warehouse import create_raw_tables, load, pipeline_for, portions

NOW = datetime(2026, 11, 5, 12, 0, tzinfo=UTC)


@dataclass
class Home:
    """State of one test: nothing of it is shared, and each load starts as a new process would."""

    path: Path
    loads: int = 0

    @property
    def warehouse(self) -> Path:
        return self.path / "warehouse.duckdb"

    @property
    def operations_url(self) -> str:
        return f"sqlite:///{self.path / 'operations.sqlite'}"

    def load(self, system: str, instance: str, source: Callable[[Intake], DltSource]) -> Mapping[str, Counts]:
        """Load one source once, an hour after the last load, and log it."""
        now = NOW + timedelta(hours=self.loads)
        self.loads += 1
        if not self.warehouse.exists():
            # Ready-made: all raw tables take a third of a second, for each of hundreds of homes.
            self.path.mkdir(parents=True, exist_ok=True)
            shutil.copy(_empty_warehouse(), self.warehouse)
        create_raw_tables(self.warehouse)
        with closing(Intake(system, instance, now, self.operations_url)) as intake:
            for part in portions(intake, lambda: source(intake)):
                load(part, pipeline_for(system, instance, warehouse=self.warehouse, state=self.path / "dlt"))
                intake.log()
            return dict(intake.counts)

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of the warehouse."""
        with duckdb.connect(str(self.warehouse)) as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(sql, parameters).fetchall()

    def one(self, sql: str, *parameters: Any) -> Any:
        """The one value that a query gives."""
        ((value,),) = self.query(sql, *parameters)
        return value

    def content(self, system: str, own_times: Sequence[str] = ()) -> dict[str, list[tuple[Any, ...]]]:
        """Every raw table of a system without the columns that a load is free to change.

        Args:
            own_times: columns that hold the load's own time, as ``_loaded_at`` does everywhere.
        """
        with duckdb.connect(str(self.warehouse)) as connection:
            connection.execute("set timezone = 'UTC'")
            return {
                contract.name: sorted(
                    connection.execute(
                        f"select * exclude (_loaded_at) from (select {_names(contract.all_columns(), own_times)} from "
                        f'"{contract.schema}"."{contract.name}")'
                    ).fetchall(),
                    key=repr,
                )
                for contract in tables_of(system)
            }

    def quarantined(self, status: str = "open") -> list[dict[str, Any]]:
        """The rejections with that status."""
        with closing_engine(self.operations_url) as engine:
            return list(quarantine.rows(engine, status=status))

    def logged(self) -> dict[str, tuple[int, int, int]]:
        """(received, loaded, quarantined) of each resource's last load, from the load log."""
        with closing_engine(self.operations_url) as engine:
            return {
                row["resource"]: (row["received"], row["loaded"], row["quarantined"])
                for row in load_log.status_rows(engine)
            }


@cache
def _empty_warehouse() -> Path:
    folder = tempfile.mkdtemp(prefix="retail_raw_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    warehouse = Path(folder) / "warehouse.duckdb"
    create_raw_tables(warehouse)
    return warehouse


class closing_engine:  # noqa: N801 - reads as a function
    """The operations store, disposed of afterwards."""

    def __init__(self, url: str) -> None:
        self._engine = open_store(url)

    def __enter__(self) -> Any:
        return self._engine

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()


def _names(columns: Sequence[Any], without: Sequence[str]) -> str:
    return ", ".join(f'"{column.name}"' for column in columns if column.name not in without)
