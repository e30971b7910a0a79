"""``retail catalogue``: who owns what, in which version, and who would notice a change; as Markdown."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from retail_assets.contracts import SYSTEMS, Table

_ACCESS: Final = {"http": "API", "files": "files", "export": "written files"}


def catalogue_page(manifest: Mapping[str, Any], seeds: Path) -> str:
    """The page.

    Args:
        manifest: dbt's manifest.json.
        seeds: the folder with ``exception_types.csv``.
    """
    return "\n".join(
        (
            "# Catalogue\n",
            "Made by `retail catalogue` from the declared sources and dbt's manifest. Columns are in "
            "[contracts.md](contracts.md).\n",
            "## What is read, and what may call\n",
            *_table(("system", "kind", "access", "quota kept", "webhooks", "owner"), _apis()),
            "## Contracts of raw tables\n",
            "A record that breaks its contract goes to quarantine. A change of a contract is a new version.\n",
            *_table(("table", "version", "owner", "key", "read by", "ends in"), _contracts(manifest)),
            "## Marts\n",
            "Their contracts are enforced when they are built.\n",
            *_table(("mart", "owner", "told to"), _marts(manifest)),
            "## Mappings and other seeds\n",
            *_table(("file", "owner", "read by"), _seeds(manifest)),
            "## Exception types\n",
            *_table(
                ("type", "class", "severity", "owner", "due after days", "holds posting", "blocks the close"),
                _exception_types(seeds),
            ),
            "## Who reads the marts\n",
            *_table(("exposure", "kind", "owner", "reads"), _exposures(manifest)),
        )
    )


def unowned(manifest: Mapping[str, Any], seeds: Path) -> list[str]:
    """Everything of the page that nobody answers for."""
    owners: dict[str, str] = {
        **{f"{system}.{table}": owner for system, table, owner in _contract_owners()},
        **{row[0]: row[1] for row in (*_marts(manifest), *_seeds(manifest))},
        **{row[0]: row[3] for row in _exception_types(seeds)},
        **{row[0]: row[2] for row in _exposures(manifest)},
    }
    return sorted(name for name, owner in owners.items() if not owner.strip("`"))


def _apis() -> Iterable[Sequence[str]]:
    for system in SYSTEMS.values():
        for variant in system.variants.values():
            yield (
                f"`{variant.name}`",
                variant.title,
                _ACCESS[variant.access],
                variant.quota,
                f"`POST /webhooks/<id>`, signed as {variant.webhooks}" if variant.webhooks else "",
                system.owner,
            )


def _contract_owners() -> Iterable[tuple[str, str, str]]:
    for system in SYSTEMS.values():
        for table in system.tables:
            yield system.name, table.name, table.owner


def _contracts(manifest: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    for system in SYSTEMS.values():
        for table in system.tables:
            readers, marts = _dependants(manifest, table)
            yield (
                f"`{table.schema}.{table.name}`",
                str(table.version),
                table.owner,
                ", ".join(table.primary_key),
                _names(readers),
                _names(marts),
            )


def _dependants(manifest: Mapping[str, Any], table: Table) -> tuple[list[str], list[str]]:
    """The models that read a raw table themselves, and the marts that come of them."""
    children, nodes = manifest["child_map"], manifest["nodes"]

    def models(key: str) -> list[str]:
        return [child for child in children.get(key, ()) if child.startswith("model.")]

    readers = models(f"source.retail.{table.system}.{table.name}")
    seen, waiting = set(readers), list(readers)
    while waiting:
        new = [child for child in models(waiting.pop()) if child not in seen]
        seen.update(new)
        waiting.extend(new)
    marts = [nodes[key]["name"] for key in seen if nodes[key]["schema"] == "marts"]
    return sorted(nodes[key]["name"] for key in readers), sorted(marts)


def _marts(manifest: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    told: dict[str, list[str]] = {}
    for exposure in manifest["exposures"].values():
        for key in exposure["depends_on"]["nodes"]:
            told.setdefault(key, []).append(exposure["name"])
    for key, node in _by_name(manifest["nodes"]):
        if node["resource_type"] == "model" and node["schema"] == "marts":
            yield f"`{node['name']}`", _owner(node), ", ".join(sorted(told.get(key, ())))


def _seeds(manifest: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    for key, node in _by_name(manifest["nodes"]):
        if node["resource_type"] == "seed":
            children = [child for child in manifest["child_map"].get(key, ()) if child.startswith("model.")]
            readers = sorted(manifest["nodes"][child]["name"] for child in children)
            yield f"`{Path(node['original_file_path']).name}`", _owner(node), _names(readers)


def _exception_types(seeds: Path) -> Iterable[Sequence[str]]:
    with (seeds / "exception_types.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield (
                f"`{row['exception_type']}`",
                row["exception_class"],
                row["severity"],
                row["owner"],
                row["due_days"],
                "yes" if row["holds_posting"] == "true" else "",
                "yes" if row["blocks_close"] == "true" else "",
            )


def _exposures(manifest: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    for _, exposure in _by_name(manifest["exposures"]):
        reads = sorted(manifest["nodes"][key]["name"] for key in exposure["depends_on"]["nodes"])
        yield exposure["label"], exposure["type"], exposure["owner"]["name"] or "", _names(reads)


def _by_name(nodes: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return sorted(nodes.items(), key=lambda item: item[1]["name"])


def _owner(node: Mapping[str, Any]) -> str:
    return ", ".join(node["config"]["meta"].get("dagster", {}).get("owners", ()))


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{' --- |' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""
