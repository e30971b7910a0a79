"""``retail quarantine`` and ``retail drift``: records that wait for somebody."""

from typing import Any

from rich.console import Console
from rich.markup import escape

from retail_assets.contracts import table
from retail_assets.defs.transform.dependants import dependants, read_manifest
from retail_assets.ops import drift, quarantine
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings


def drift_rows(settings: Settings) -> list[dict[str, Any]]:
    """Every change in the shape of a source's records, oldest first, with the models that read the field."""
    engine = open_store(settings.operations_url)
    manifest = read_manifest(settings.dbt_target_path / "manifest.json")
    try:
        return [
            {**row, "read_by": dependants(manifest, table(row["system"], row["table_name"]), row["field"])}
            for row in drift.rows(engine)
        ]
    finally:
        engine.dispose()


def print_drift(console: Console, found: list[dict[str, Any]]) -> None:
    """A paragraph each: what changed, where, and what reads it."""
    console.print(f"[bold]{len(found)} changes in the shape of sources[/bold]", highlight=False)
    for row in found:
        change = {"added": f"is new ({row['after']})", "dropped": f"is gone (was {row['before']})"}.get(
            row["kind"], f"was {row['before']}, is now {row['after']}"
        )
        console.print(
            f"{row['first_seen_at']:%Y-%m-%d}  {row['instance_id']} {row['table_name']}: "
            f"[bold]{escape(row['field'])}[/bold] {change}",
            highlight=False,
            soft_wrap=True,
        )
        readers = ", ".join(row["read_by"]) or "no model names it; it is kept in the payload, or in the file"
        console.print(f"            [dim]read by: {readers}[/dim]", highlight=False, soft_wrap=True)


def quarantine_rows(settings: Settings, *, open_only: bool) -> list[dict[str, Any]]:
    """Quarantined records, oldest first."""
    engine = open_store(settings.operations_url)
    try:
        return list(quarantine.rows(engine, status="open" if open_only else None))
    finally:
        engine.dispose()


def quarantined_payload(settings: Settings, identifier: str) -> bytes:
    """A quarantined record as it was received.

    Args:
        identifier: its id, or the first part of it.

    Raises:
        KeyError: there is none, or more than one begins like that.
    """
    engine = open_store(settings.operations_url)
    try:
        found = [row["quarantine_id"] for row in quarantine.rows(engine) if row["quarantine_id"].startswith(identifier)]
        if len(found) != 1:
            raise KeyError(identifier)
        return quarantine.payload(engine, found[0])
    finally:
        engine.dispose()


def print_quarantine(console: Console, found: list[dict[str, Any]]) -> None:
    """A paragraph each: where it came from, which field, what is wrong."""
    console.print(f"[bold]{len(found)} in quarantine[/bold]", highlight=False)
    for row in found:
        field = f"[bold]{escape(row['field'])}[/bold] " if row["field"] else ""
        value = f"{escape(repr(row['value']))} " if row["value"] is not None else ""
        console.print(
            f"[cyan]{row['quarantine_id'][:12]}[/cyan]  {row['instance_id']} {row['table_name']} "
            f"{escape(row['record_key'] or '?')}: {field}{value}{escape(row['reason'])}",
            highlight=False,
            soft_wrap=True,
        )
        seen = f"first seen {row['first_seen_at']:%Y-%m-%d %H:%M}, last {row['last_seen_at']:%Y-%m-%d %H:%M} UTC"
        console.print(
            f"              [dim]{escape(row['origin'])}; {row['status']}; {seen}[/dim]",
            highlight=False,
            soft_wrap=True,
        )
