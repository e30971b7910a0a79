"""``retail canary``: a synthetic order through the chain, and how far each came."""

from typing import Any, Final

from rich.console import Console
from rich.table import Table

from retail_assets.commands import CommandError
from retail_assets.commands.home import prepare_home
from retail_assets.commands.warehouse import rows
from retail_assets.defs.canary.placing import CanaryError, place
from retail_assets.ops.canaries import Canary
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings

_SHOWN: Final = 20
_HOPS: Final = ("store_seconds", "load_seconds", "mart_seconds", "total_seconds")
_STATUS: Final = """
    select
        canary_id, store_id, canary_order_key, canary_status, placed_at, answered_at, loaded_at, seen_at,
        store_seconds, load_seconds, mart_seconds, total_seconds, is_late, late_after_minutes
    from marts.mon_canaries
    order by placed_at desc, canary_id
"""


def placed(settings: Settings, store_id: str) -> Canary:
    """Place one now.

    Raises:
        CommandError: the store has not taken it, or is not one for canaries.
    """
    prepare_home(settings)
    operations = open_store(settings.operations_url)
    try:
        return place(settings, operations, store_id)
    except CanaryError as error:
        raise CommandError(str(error)) from error
    finally:
        operations.dispose()


def status_rows(settings: Settings) -> list[dict[str, Any]]:
    """Every canary as the last build saw it, the newest first."""
    return rows(settings, _STATUS)


def is_missing(row: dict[str, Any]) -> bool:
    """Whether one did not come through in time."""
    return row["canary_status"] in ("late", "lost", "refused")


def print_status(console: Console, found: list[dict[str, Any]]) -> None:
    """The newest canaries as a table; seconds from hop to hop."""
    if not found:
        console.print("no canary was seen yet: place one with: retail canary run STORE; the next build shows it")
        return
    table = Table("placed", "store", "status", "store s", "load s", "marts s", "all s", box=None, pad_edge=False)
    for column in table.columns[3:]:
        column.justify = "right"
    for row in found[:_SHOWN]:
        colour = "red" if is_missing(row) else "yellow" if row["is_late"] else "green"
        hops = ["" if row[name] is None else str(row[name]) for name in _HOPS]
        table.add_row(
            f"{row['placed_at']:%Y-%m-%d %H:%M}", row["store_id"], f"[{colour}]{row['canary_status']}[/{colour}]", *hops
        )
    console.print(table)
