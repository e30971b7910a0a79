"""All models as dbt compiled them, run by DuckDB alone: a second for a small retailer, where dbt takes ten.

For properties, which need the same models on many retailers. That dbt builds the same is seen by every other test.
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from tests.dbt.warehouse import Warehouse
from tests.dbt.world import AS_OF


class Compiled:
    """The project after one build by dbt on a warehouse without rows.

    Args:
        warehouse: has all seeds, views and empty tables.
        statements: one for each table, in the order in which they need one another.
        promises: the SQL of every data test that stops a build, by its name; a row that it finds breaks it.
    """

    def __init__(self, warehouse: Warehouse, statements: Sequence[str], promises: Mapping[str, str]) -> None:
        self.warehouse, self.statements, self.promises = warehouse, statements, promises

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


def compiled_project(home: Path) -> Compiled:
    """Build the project once on a warehouse without rows.

    Args:
        home: an empty folder.
    """
    warehouse = Warehouse(home)
    warehouse.insert("ops.clock", [{"as_of": AS_OF.isoformat()}])
    built = warehouse.dbt("build", "--exclude-resource-type", "unit_test")
    assert built.returncode == 0, built.stdout[-4000:]
    warehouse.execute("delete from raw_ops.clock")
    return compiled_by(warehouse)


def compiled_by(warehouse: Warehouse) -> Compiled:
    """The project as dbt compiled it when it last built this warehouse."""
    nodes = json.loads((warehouse.home / "dbt" / "manifest.json").read_text(encoding="utf-8"))["nodes"]
    models = {key: node for key, node in nodes.items() if node["resource_type"] == "model"}
    order = TopologicalSorter({key: node["depends_on"]["nodes"] for key, node in models.items()}).static_order()
    return Compiled(
        warehouse,
        tuple(_statements(models[key] for key in order if key in models)),
        {
            node["name"]: node["compiled_code"]
            for node in nodes.values()
            if node["resource_type"] == "test" and node["config"]["severity"].lower() == "error"
        },
    )


def _statements(models: Iterable[dict[str, Any]]) -> Iterable[str]:
    for model in models:
        kind = model["config"]["materialized"]
        if kind == "table":
            yield f"create or replace table {model['relation_name']} as {model['compiled_code']}"
        elif kind != "view":
            raise ValueError(f"{model['name']} is materialized as {kind}, which is not known here")
