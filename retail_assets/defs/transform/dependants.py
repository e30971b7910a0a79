"""What depends on a field of a source: the models that read its raw column, and the marts behind them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retail_assets.contracts import Table, children_of


def read_manifest(path: Path) -> Mapping[str, Any]:
    """dbt's manifest; an empty one before the first build, or while dbt is writing it."""
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_bytes())
    except json.JSONDecodeError:
        return {}


def dependants(manifest: Mapping[str, Any], contract: Table, field: str) -> list[str]:
    """Names of the models that read a field, staging models first, then the marts that come of them.

    Args:
        manifest: dbt's.
        contract: the raw table, or the parent of the child table whose list the field is in.
        field: dotted path in the record, ``[]`` behind the name of a list.
    """
    columns = _columns_of(contract, field)
    if not columns:
        return []
    children: Mapping[str, list[str]] = manifest.get("child_map", {})
    nodes: Mapping[str, Any] = manifest.get("nodes", {})
    readers = [
        node
        for table, column in columns
        for node in children.get(f"source.retail.{table.system}.{table.name}", [])
        if node.startswith("model.") and re.search(rf"\b{re.escape(column)}\b", nodes[node]["raw_code"])
    ]
    found: dict[str, None] = dict.fromkeys(readers)
    marts: set[str] = set()
    waiting = list(readers)
    while waiting:
        for child in children.get(waiting.pop(), []):
            if child.startswith("model.") and child not in found:
                found[child] = None
                waiting.append(child)
                if nodes[child].get("schema") == "marts":
                    marts.add(nodes[child]["name"])
    return [*sorted({nodes[node]["name"] for node in readers}), *sorted(marts)]


def _columns_of(contract: Table, field: str) -> list[tuple[Table, str]]:
    """The raw columns that hold a field; all of a list's when the list itself is meant."""
    found = [(contract, column.name) for column in contract.columns if _is_below(column.source_path, field)]
    for child in children_of(contract):
        if field == child.list_path:
            found.extend((child, column.name) for column in child.columns)
        elif field.startswith(f"{child.list_path}[]."):
            inner = field.removeprefix(f"{child.list_path}[].")
            found.extend((child, column.name) for column in child.columns if _is_below(column.source_path, inner))
    return found


def _is_below(path: str, field: str) -> bool:
    return path == field or path.startswith(f"{field}.")
