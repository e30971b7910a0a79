"""What is made from the declared sources: dbt's source files, the page of contracts and the schema of ``retail.yaml``.

``python -m retail_assets.catalogue`` writes them anew after a declaration has changed.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from retail_assets.contracts import SYSTEMS, Column, Table, tables_of
from retail_assets.settings import json_schema

_CHECKOUT: Final = Path(__file__).resolve().parent.parent
_MODELS: Final = _CHECKOUT / "dbt_project" / "models"


def systems() -> tuple[str, ...]:
    """Every source system that has contracts."""
    return tuple(name for name, system in SYSTEMS.items() if system.tables)


def dbt_sources(system: str) -> str:
    """The ``_sources.yml`` of one system: its raw tables with their columns, as YAML text.

    Raises:
        KeyError: no contract names the system.
    """
    tables = tables_of(system)
    if not tables:
        raise KeyError(f"no contract names the system {system!r}")
    document = {
        "version": 2,
        "sources": [
            {
                "name": system,
                "description": SYSTEMS[system].description,
                "schema": tables[0].schema,
                "tables": [_table(table) for table in tables],
            }
        ],
    }
    header = f"# Made from sources/{system}/source.yaml by `python -m retail_assets.catalogue`; change that instead.\n"
    return header + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def sources_path(system: str) -> Path:
    """Where dbt looks for the sources of a system."""
    return _MODELS / "staging" / system / "_sources.yml"


def contracts_page() -> str:
    """``docs/contracts.md``: every raw table with its owner, version, key and columns, as Markdown."""
    parts = [
        "# Contracts of the raw tables\n\n"
        "Made from the `source.yaml` of each source by `python -m retail_assets.catalogue`. A record that breaks its "
        "contract goes to quarantine, whole; `*` marks what must be there. Amounts are decimal(18,4), rates "
        "decimal(28,12), timestamps UTC.\n"
    ]
    for system in systems():
        parts.append(f"## {system}\n\n{SYSTEMS[system].description}\n")
        parts.extend(_section(table) for table in tables_of(system))
    return "\n".join(parts)


def contracts_path() -> Path:
    """Where readers find the contracts."""
    return _CHECKOUT / "docs" / "contracts.md"


def write_all() -> list[Path]:
    """Write the source files of all systems and the page; returns those that changed."""
    texts = {sources_path(system): dbt_sources(system) for system in systems()}
    texts[contracts_path()] = contracts_page()
    texts[_CHECKOUT / "docs" / "retail.schema.json"] = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    changed = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in changed:
        path.parent.mkdir(exist_ok=True)
        path.write_text(texts[path], encoding="utf-8")
    return changed


def _section(table: Table) -> str:
    origin = f"Elements of `{table.list_path}` of {table.parent}. " if table.parent else ""
    rows = [
        f"| {column.name}{'*' if column.required else ''} | {column.type} | {_rules(column)} |"
        for column in table.all_columns()
    ]
    return "\n".join(
        (
            f"### {table.schema}.{table.name}\n",
            f"{table.description} {origin}Owner {table.owner}, version {table.version}, "
            f"key {', '.join(table.primary_key)}.\n",
            "| column | type | meaning |",
            "| --- | --- | --- |",
            *rows,
            "",
        )
    )


def _rules(column: Column) -> str:
    notes = [column.description]
    if column.minimum is not None:
        notes.append(f"At least {column.minimum}.")
    if column.personal:
        notes.append("Personal data.")
    return " ".join(notes).replace("|", "\\|")


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
    for written in write_all():
        sys.stdout.write(f"{written.relative_to(_CHECKOUT)}\n")
