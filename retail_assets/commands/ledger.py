"""``retail plan`` and ``retail verify``."""

from contextlib import ExitStack, closing
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from retail_assets.accounting.plan import Plan
from retail_assets.accounting.verify import verify
from retail_assets.defs.export.planning import plan_for
from retail_assets.erp.factory import poster_for
from retail_assets.ops import audit, certificates, outbox
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings

_SHOWN: Final = 30


def plans(settings: Settings, entities: list[str]) -> dict[str, Plan]:
    """The journal plan of each entity."""
    operations = open_store(settings.operations_url)
    try:
        return {code: plan_for(settings, operations, code) for code in entities}
    finally:
        operations.dispose()


def plan_as_dict(plan: Plan) -> dict[str, Any]:
    """A plan for scripts: counts, totals, each document with its lines, each held entry with its reason."""
    return {
        **plan.summary(),
        "documents": [
            {
                "posting_key": item.posting_key,
                "reason": item.reason,
                "kind": item.kind,
                "posting_date": item.entry.posting_date,
                "lines": [
                    {
                        "account_code": line.account_code,
                        "base_debit": line.base_debit,
                        "base_credit": line.base_credit,
                        "debit": line.debit,
                        "credit": line.credit,
                        "currency_code": line.currency_code,
                    }
                    for line in item.entry.lines
                ],
            }
            for item in plan.items
        ],
        "held_entries": [
            {
                "entry_id": held.entry_id,
                "reason": held.reason,
                "exception_id": held.exception_id,
                "approval_id": held.approval.approval_id if held.approval else None,
            }
            for held in plan.held
        ],
    }


def print_plan(console: Console, plan: Plan) -> None:
    """A plan like a diff: what is added, reversed and held, and what it moves on each account."""
    currency = plan.books.base_currency_code
    console.print(
        f"[bold]{plan.entity_code}[/bold] {plan.books.company}: {len(plan.new)} new, {len(plan.changed)} changed, "
        f"{len(plan.withdrawn)} withdrawn, {len(plan.held)} held, {len(plan.unchanged)} unchanged",
        highlight=False,
    )
    for item in plan.items[:_SHOWN]:
        sign, colour = ("-", "red") if item.kind == "reversal" else ("+", "green")
        total = sum(line.base_debit for line in item.entry.lines)
        console.print(
            f"  [{colour}]{sign} {item.entry.posting_date} {item.posting_key} {total:,.2f} {currency}[/{colour}]"
            + ("" if item.reason == "new" else f" ({item.reason})"),
            highlight=False,
        )
    if len(plan.items) > _SHOWN:
        console.print(f"    … and {len(plan.items) - _SHOWN} more (all of them with --json)", highlight=False)
    for held in plan.held:
        waits_for = f" (retail approve show {held.approval.approval_id[:12]})" if held.approval else ""
        console.print(f"  [yellow]! {held.entry_id} held: {held.reason}{waits_for}[/yellow]", highlight=False)
    if plan.items:
        totals = Table("account", "debit", "credit", box=None, pad_edge=False)
        for column in totals.columns[1:]:
            column.justify = "right"
        for total in plan.totals():
            totals.add_row(total.account_code, f"{total.debit:,.2f}", f"{total.credit:,.2f}")
        console.print(totals)


def verify_all(settings: Settings, *, with_erp: bool) -> tuple[list[str], dict[str, int]]:
    """What contradicts the evidence, in words; and how much was checked."""
    operations = open_store(settings.operations_url)
    with ExitStack() as stack:
        stack.callback(operations.dispose)
        posters = {}
        if with_erp:
            for erp in settings.configuration.erps:
                posters[erp.id] = stack.enter_context(closing(poster_for(erp)))
        found = verify(operations, settings.audit_anchor_path, posters)
        not_read = {problem.subject for problem in found if problem.code == "erp_not_checked"}
        problems = [
            f"{problem.subject}: {problem.message}"
            for problem in found
            if with_erp or problem.code != "erp_not_checked"
        ]
        posted = outbox.postings(operations, states=(outbox.POSTED,))
        checked = {
            "audit_entries": sum(1 for _ in audit.entries(operations)),
            "certificates": len(certificates.rows(operations)),
            # An ERP that stopped answering half-way counts as not read: nobody should rely on a part.
            "documents_read_back": sum(posting.erp_id not in not_read for posting in posted),
        }
    return problems, checked


def prepare_erps(settings: Settings) -> list[str]:
    """Make in each ERP what posting exactly once needs; returns what was missing, in words."""
    mended = []
    for erp in settings.configuration.erps:
        with closing(poster_for(erp)) as poster:
            missing = poster.check()
            if missing:
                poster.prepare()
                mended += [f"{erp.id}: mended: {problem}" for problem in missing if problem not in poster.check()]
    return mended
