"""All models as dbt compiled them, run by DuckDB alone: three seconds for a small retailer, where dbt takes twenty.

For tests of what the models say. That dbt builds the same of them, with its contracts and hooks, is seen by the tests
of the project itself, of the two engines, and of the whole chain.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import duckdb
from filelock import FileLock

import retail_assets
from retail_assets.contracts import TABLES
from tests.dbt.warehouse import PROJECT, Warehouse
from tests.dbt.world import AS_OF

_MADE_OF: Final = ("*.sql", "*.yml", "*.csv")
_CONTRACTS: Final = Path(retail_assets.__file__).with_name("sources")


@dataclass(frozen=True)
class Compiled:
    """The project after one build by dbt on a warehouse without rows.

    Attributes:
        warehouse: has all seeds, views and empty tables; not to be written to, as many tests share it.
        statements: one for each table, in the order in which they need one another.
        promises: the SQL of every data test that stops a build, and of what a mart's contract says may not be null,
            by name; a row that it finds breaks it.
        warnings: the SQL of every data test that warns.
    """

    warehouse: Warehouse
    statements: Sequence[str]
    promises: Mapping[str, str]
    warnings: Mapping[str, str] = field(default_factory=dict)

    def empty(self, home: Path) -> Warehouse:
        """A warehouse of its own, with seeds, views and empty tables, and what dbt says of the project."""
        (home / "dbt").mkdir(parents=True, exist_ok=True)
        shutil.copy(self.warehouse.path, home)
        shutil.copy(self.warehouse.home / "dbt" / "manifest.json", home / "dbt")
        return Warehouse.existing(home)

    def of_loaded(self, loaded: Path, home: Path) -> Warehouse:
        """A warehouse of its own with the raw rows that sources loaded into another, no model made of them yet."""
        warehouse = self.empty(home)
        statements = [f"attach '{loaded}' as loaded (read_only)"]
        for table in TABLES:
            columns = ", ".join(f'"{column.name}"' for column in table.all_columns())
            name = f'{table.schema}."{table.name}"'
            statements += (f"delete from {name}", f"insert into {name} by name select {columns} from loaded.{name}")
        warehouse.execute(";\n".join(statements))
        return warehouse

    def make(self, warehouse: Warehouse, *, warn: bool = False) -> None:
        """Every model made of the rows of ``warehouse``, which ``empty`` gave; fails where a promise does not hold.

        Args:
            warn: a data test that warns fails, too.
        """
        warehouse.execute(";\n".join(self.statements))
        checks = {**self.promises, **(self.warnings if warn else {})}
        with duckdb.connect(str(warehouse.path), read_only=True) as connection:
            broken = {name: rows for name, sql in checks.items() if (rows := connection.execute(sql).fetchmany(3))}
        assert not broken, broken

    def build(self, raw: Warehouse, home: Path, *changes: str) -> Warehouse:
        """Every model made anew over a copy of a warehouse's raw rows; what was in ``home`` goes.

        Args:
            changes: statements for the raw rows of the copy.
        """
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        shutil.copy(raw.path, home)
        warehouse = Warehouse.existing(home)
        warehouse.execute(";\n".join((*changes, *self.statements)))
        return warehouse


def compiled_project(cache: Path) -> Compiled:
    """The project, built by dbt once for these models and contracts; workers wait for each other.

    Args:
        cache: where it stays between test sessions.
    """
    folder = cache / _fingerprint()
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "lock"):
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            _build(unfinished)
            unfinished.rename(folder)
    return compiled_by(Warehouse.existing(folder))


def _fingerprint() -> str:
    made_of = [path for pattern in _MADE_OF for path in PROJECT.rglob(pattern) if "target" not in path.parts]
    made_of += [*_CONTRACTS.glob("*/source.yaml"), Path(__file__).with_name("warehouse.py")]
    found = hashlib.sha256(" ".join(map(version, ("dbt-core", "dbt-duckdb", "duckdb"))).encode())
    for path in sorted(made_of):
        found.update(str(path).encode() + path.read_bytes())
    return found.hexdigest()[:16]


def _build(home: Path) -> None:
    warehouse = Warehouse(home)
    warehouse.insert("ops.clock", [{"as_of": AS_OF.isoformat()}])
    built = warehouse.dbt("build", "--exclude-resource-type", "unit_test")
    assert built.returncode == 0, built.stdout[-4000:]
    warehouse.execute("delete from raw_ops.clock")


def compiled_by(warehouse: Warehouse) -> Compiled:
    """The project as dbt compiled it when it last built this warehouse."""
    nodes = json.loads((warehouse.home / "dbt" / "manifest.json").read_text(encoding="utf-8"))["nodes"]
    models = {key: node for key, node in nodes.items() if node["resource_type"] == "model"}
    order = TopologicalSorter({key: node["depends_on"]["nodes"] for key, node in models.items()}).static_order()
    tests = [node for node in nodes.values() if node["resource_type"] == "test"]
    promises, warnings = (
        {node["name"]: node["compiled_code"] for node in tests if node["config"]["severity"].lower() == severity}
        for severity in ("error", "warn")
    )
    return Compiled(
        warehouse,
        tuple(_statements(models[key] for key in order if key in models)),
        promises | dict(_not_null(models.values())),
        warnings,
    )


def _not_null(models: Iterable[dict[str, Any]]) -> Iterable[tuple[str, str]]:
    for model in models:
        names = [
            column["name"]
            for column in model["columns"].values()
            if any(constraint["type"] == "not_null" for constraint in column.get("constraints") or ())
        ]
        if names:
            nulls = " or ".join(f"{name} is null" for name in names)
            yield f"{model['name']}_nulls", f"select {', '.join(names)} from {model['relation_name']} where {nulls}"


def _statements(models: Iterable[dict[str, Any]]) -> Iterable[str]:
    for model in models:
        kind = model["config"]["materialized"]
        if kind == "table":
            yield f"create or replace table {model['relation_name']} as {model['compiled_code']}"
        elif kind != "view":
            raise ValueError(f"{model['name']} is materialized as {kind}, which is not known here")
