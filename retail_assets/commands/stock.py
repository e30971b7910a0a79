"""``retail stock``: what may be promised, against what stores show; written where it differs."""

import uuid
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from retail_assets.commands import CommandError
from retail_assets.commands.approve import acting_person
from retail_assets.commands.home import prepare_home
from retail_assets.defs.inventory.planning import StockError, StockPlan, plan_stock, store_with_stock
from retail_assets.defs.inventory.pushing import PushResult, TooManyChangesError, push_stock
from retail_assets.http import HttpError
from retail_assets.ops.audit import AnchorMismatchError
from retail_assets.ops.store import LockHeldError, open_store
from retail_assets.settings import Settings

_SHOWN: Final = 50


def planned(settings: Settings, store_id: str) -> StockPlan:
    """What would be written now; nothing is.

    Raises:
        CommandError: it cannot be known, or the marts are no ground for it.
    """
    try:
        return plan_stock(settings, store_id)
    except (StockError, HttpError) as error:
        raise CommandError(str(error)) from error


def pushed(settings: Settings, store_id: str, console: Console, *, allow_large: bool) -> PushResult:
    """Write it, in the name of whoever works here.

    Raises:
        CommandError: nothing was sent.
    """
    actor = acting_person(settings)
    prepare_home(settings)
    operations = open_store(settings.operations_url)
    try:
        return push_stock(
            settings,
            operations,
            store_id,
            run_id=f"command-{uuid.uuid4()}",
            actor=actor,
            allow_large=allow_large,
            progress=lambda line: console.print(f"    [dim]{line}[/dim]", highlight=False),
        )
    except (StockError, TooManyChangesError, HttpError, LockHeldError, AnchorMismatchError) as error:
        raise CommandError(str(error)) from error
    finally:
        operations.dispose()


def plan_as_dict(settings: Settings, plan: StockPlan) -> dict[str, Any]:
    """A plan for scripts; ``held`` says why a push would send nothing, if it would not."""
    _, limits = store_with_stock(settings, plan.store_id)
    return {
        "store_id": plan.store_id,
        "articles": plan.articles,
        "in_step": len(plan.right),
        "late_orders": plan.late_orders,
        "held": plan.refusal(limits),
        "changes": [
            {
                "sku": one.sku,
                "product_id": one.article.product_id,
                "variation_id": one.article.variation_id or None,
                "shown": one.shown,
                "to_promise": one.target,
                "change": one.target - one.shown,
            }
            for one in plan.changes
        ],
        "left_alone": [{"sku": sku, "reason": reason} for sku, reason in plan.left],
    }


def push_as_dict(result: PushResult) -> dict[str, Any]:
    """What a push did, for scripts."""
    return {
        "store_id": result.plan.store_id,
        "articles": result.plan.articles,
        "in_step": len(result.plan.right),
        "writes": [
            {
                "sku": one.write.sku,
                "before": one.write.before,
                "target": one.write.target,
                "read_back": one.shown,
                "state": one.state,
                "message": one.message,
            }
            for one in [*result.resumed, *result.settled]
        ],
        "left_alone": [{"sku": sku, "reason": reason} for sku, reason in result.plan.left],
    }


def print_plan(settings: Settings, console: Console, plan: StockPlan) -> None:
    """A plan as a table: what each article shows, may be promised, and by how much it would change."""
    console.print(
        f"[bold]{plan.store_id}[/bold]: {len(plan.changes)} of {plan.articles} articles would change"
        + (f"; {plan.late_orders} orders newer than the marts are taken off" if plan.late_orders else ""),
        highlight=False,
    )
    if plan.changes:
        table = Table("SKU", "shown", "to promise", "change", box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for one in plan.changes[:_SHOWN]:
            table.add_row(one.sku, f"{one.shown:f}", f"{one.target:f}", f"{one.target - one.shown:+f}")
        console.print(table)
        if len(plan.changes) > _SHOWN:
            console.print(f"    … and {len(plan.changes) - _SHOWN} more (all of them with --json)", highlight=False)
    _print_left(console, plan)
    _, limits = store_with_stock(settings, plan.store_id)
    refusal = plan.refusal(limits)
    if refusal:
        console.print(f"[yellow]{refusal}[/yellow]", highlight=False)


def print_push(console: Console, result: PushResult) -> None:
    """What a push did: how many, and each that did not end as meant."""
    good = len(result.settled) - len(result.problems)
    console.print(
        f"[bold]{result.plan.store_id}[/bold]: {good} of {len(result.plan.changes)} changes written and read back, "
        f"{len(result.plan.right)} articles were right",
        highlight=False,
    )
    for one in [*result.resumed, *result.problems]:
        colour = "yellow" if one.state == "confirmed" else "red"
        console.print(f"  [{colour}]{one.write.sku}: {one.state}: {one.message}[/{colour}]", highlight=False)
    _print_left(console, result.plan)


def _print_left(console: Console, plan: StockPlan) -> None:
    for sku, reason in plan.left:
        console.print(f"  [yellow]{sku} is left alone: {reason}[/yellow]", highlight=False)
