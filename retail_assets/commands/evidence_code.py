"""The code behind a month's evidence: the models that lead to the journals, and which versions of what ran them."""

import importlib.metadata
import json
import platform
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Final

from retail_assets.commands import CommandError
from retail_assets.settings import Settings

Row = dict[str, Any]

_JOURNAL: Final = ("acc_events", "acc_journal_entries", "acc_journal_lines", "acc_journal_line_sources")


def versions(settings: Settings, metadata: Row) -> Row:
    """What the models were made with, and what runs here now.

    Args:
        metadata: what dbt's manifest says of itself.
    """
    return {
        "commit": _commit(settings.checkout),
        "version": importlib.metadata.version("retail-assets"),
        "dbt_version": metadata["dbt_version"],
        "dbt_adapter": metadata["adapter_type"],
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": dict(_packages()),
    }


def manifest(settings: Settings) -> Row:
    """dbt's manifest of the last build.

    Raises:
        CommandError: no build has left one.
    """
    path = settings.dbt_target_path / "run" / "manifest.json"
    if not path.is_file():
        raise CommandError("no build has left its models here yet: start with `retail run`")
    return json.loads(path.read_text(encoding="utf-8"))


def ancestors(nodes: Mapping[str, Row]) -> list[Row]:
    """The models and seeds that lead to the journals, and they themselves, in the order in which they are made."""
    by_name = {node["name"]: key for key, node in nodes.items() if node["resource_type"] == "model"}
    needs: dict[str, list[str]] = {}
    ahead = [by_name[name] for name in _JOURNAL]
    while ahead:
        key = ahead.pop()
        if key not in needs:
            # Sources are in the manifest, but not among its nodes.
            needs[key] = sorted(parent for parent in nodes[key]["depends_on"].get("nodes", []) if parent in nodes)
            ahead += needs[key]
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    ordered: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered += ready
        sorter.done(*ready)
    return [nodes[key] for key in ordered]


def compiled(settings: Settings, node: Row) -> bytes:
    """The statement of a model, or the content of a seed.

    Raises:
        CommandError: the build did not compile it.
    """
    if node["resource_type"] == "seed":
        return (settings.dbt_project_path / node["original_file_path"]).read_bytes()
    if not node.get("compiled_code"):
        raise CommandError("the last build left models without their statements: run `retail run --no-load`")
    return (node["compiled_code"].strip() + "\n").encode()


def _packages() -> Iterator[tuple[str, str]]:
    """What the project asks for by name, in the versions that are installed; the locks hold the rest."""
    for required in sorted(importlib.metadata.requires("retail-assets") or ()):
        name = re.split(r"[\s\[<>=!~;]", required, maxsplit=1)[0]
        if "extra ==" not in required:
            yield name, importlib.metadata.version(name)


def _commit(checkout: Path) -> str | None:
    """The commit that is checked out; None where there is no repository."""
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return None
    command = [git, "-C", str(checkout), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 - no input
    return done.stdout.strip() or None
