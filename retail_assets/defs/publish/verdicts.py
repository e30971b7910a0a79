"""What dbt's last build says of each mart: good, flagged by a warning, or held by a failure; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, Final

GOOD: Final = "good"
FLAGGED: Final = "flagged"
HELD: Final = "held"

_PASSED: Final = ("success", "pass", "no-op", "reused")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a mart may be published, and every reason against it, in words."""

    status: str
    reasons: tuple[str, ...] = ()


def mart_verdicts(
    manifest: Mapping[str, Any], run_results: Mapping[str, Any], before: Mapping[str, Verdict]
) -> dict[str, Verdict]:
    """The verdict on each mart by name.

    A model that failed, or a data test of severity error that did, holds that model and all that is built on it. A
    warning flags them. A mart that the last build left out keeps the verdict it had.

    Args:
        manifest: dbt's manifest.json.
        run_results: dbt's run_results.json of the last build.
        before: the verdicts of the last publication; empty for the first.
    """
    nodes = manifest["nodes"]
    models = {key: node for key, node in nodes.items() if node["resource_type"] in ("model", "seed", "snapshot")}
    order = TopologicalSorter({key: node["depends_on"].get("nodes", ()) for key, node in models.items()}).static_order()
    held: dict[str, list[str]] = {}
    flagged: dict[str, list[str]] = {}
    built = set()
    for result in run_results["results"]:
        node = nodes.get(result["unique_id"])
        if node is None:
            continue  # of a model that was deleted since
        built.add(result["unique_id"])
        if result["status"] in _PASSED or result["status"] == "skipped":
            continue
        tested = node["resource_type"] == "test"
        told = flagged if result["status"] == "warn" else held
        reason = f"{node['name']}: {' '.join(str(result.get('message') or result['status']).split())}"
        for about in _tested(node) if tested else (result["unique_id"],):
            told.setdefault(about, []).append(reason)
    for key in order:
        if key not in models:
            continue
        for parent in models[key]["depends_on"].get("nodes", ()):
            for told in (held, flagged):
                inherited = [reason for reason in told.get(parent, ()) if reason not in told.get(key, ())]
                if inherited:
                    told.setdefault(key, []).extend(inherited)
    return {
        name: _verdict(
            held.get(mart["unique_id"], []),
            flagged.get(mart["unique_id"], []),
            mart["unique_id"] in built,
            before.get(name),
        )
        for name, mart in marts_of(manifest).items()
    }


def marts_of(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The marts as dbt's manifest describes them, by name."""
    return {
        node["name"]: node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == "marts"
    }


def _tested(test: Mapping[str, Any]) -> tuple[str, ...]:
    attached = test.get("attached_node")
    return (attached,) if attached else tuple(test["depends_on"]["nodes"])


def _verdict(held: list[str], flagged: list[str], built: bool, before: Verdict | None) -> Verdict:
    if held:
        return Verdict(HELD, (*held, *flagged))
    if not built and before:
        return before
    return Verdict(FLAGGED, tuple(flagged)) if flagged else Verdict(GOOD)
