"""The raw tables as dbt sees them: source files made from the declared contracts.

``python -m retail_assets.catalogue`` writes them anew after a contract has changed.
"""

import sys
from pathlib import Path
from typing import Any, Final

import yaml

from retail_assets.contracts import TABLES, Column, Table, tables_of

_MODELS: Final = Path(__file__).resolve().parent.parent / "dbt_project" / "models"

_SYSTEMS: Final = {
    "woocommerce": "Stores as WooCommerce's REST API shows them.",
    "stripe": "Gateway accounts as Stripe's API shows them; amounts in minor units.",
    "bank": "Bank statements as the banks deliver them.",
    "erp": "The ERPs' books and documents.",
    "ops": "Configuration, clock, load status, quarantine and posting outbox of this platform.",
}


def systems() -> tuple[str, ...]:
    """Every source system that has contracts."""
    return tuple(dict.fromkeys(table.system for table in TABLES))


def dbt_sources(system: str) -> str:
    """The ``_sources.yml`` of one system: its raw tables with their columns, as YAML text.

    Raises:
        KeyError: no contract names the system, or it is not described here.
    """
    tables = tables_of(system)
    if not tables:
        raise KeyError(f"no contract names the system {system!r}")
    document = {
        "version": 2,
        "sources": [
            {
                "name": system,
                "description": _SYSTEMS[system],
                "schema": tables[0].schema,
                "tables": [_table(table) for table in tables],
            }
        ],
    }
    header = (
        "# Made from retail_assets/contracts.py by `python -m retail_assets.catalogue`; change the contract instead.\n"
    )
    return header + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def sources_path(system: str) -> Path:
    """Where dbt looks for the sources of a system."""
    return _MODELS / "staging" / system / "_sources.yml"


def write_sources() -> list[Path]:
    """Write the source files of all systems; returns those that changed."""
    changed = []
    for system in systems():
        path, text = sources_path(system), dbt_sources(system)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def _table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "description": table.description,
        "config": {
            "meta": {"owner": table.owner, "dagster": {"asset_key": [table.schema, table.name]}},
        },
        "columns": [_column(column) for column in table.all_columns()],
    }


def _column(column: Column) -> dict[str, Any]:
    described: dict[str, Any] = {"name": column.name, "description": column.description}
    if column.personal:
        described["config"] = {"meta": {"personal": True}}
    return described


if __name__ == "__main__":
    for written in write_sources():
        sys.stdout.write(f"{written.relative_to(_MODELS.parent)}\n")
