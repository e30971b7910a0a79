"""The summary for a controller: from gross sales to cash in bank, what does not agree, what was posted."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from retail_assets.commands.warehouse import rows
from retail_assets.money import exponent
from retail_assets.ops import outbox
from retail_assets.ops.store import open_store
from retail_assets.sandbox.score import score
from retail_assets.settings import Settings

if TYPE_CHECKING:
    from retail_assets.commands.run import ChainResult

#: The bridge, top to bottom: label, columns with their sign. A line whose column is zero everywhere is left out.
BRIDGE: Final[tuple[tuple[str, dict[str, int], bool], ...]] = (
    ("gross sales (net of tax)", {"gross_sales_amount": 1}, False),
    ("− discounts", {"discount_amount": -1}, False),
    ("+ shipping", {"shipping_amount": 1}, False),
    ("+ fees charged to customers", {"order_fees_amount": 1}, False),
    ("+ tax", {"tax_amount": 1}, False),
    ("± order and charge differ", {"difference_amount": 1}, False),
    ("± converted currency", {"conversion_amount": 1}, False),
    ("± charges without explanation", {"unexplained_amount": 1}, False),
    ("= charged", {"charged_amount": 1}, True),
    ("− refunds", {"refund_amount": -1}, False),
    ("− disputes", {"dispute_amount": -1}, False),
    ("− gateway fees", {"fee_amount": -1}, False),
    ("± reserves", {"reserve_amount": 1}, False),
    ("± other", {"other_amount": 1}, False),
    ("= net", {"net_amount": 1}, True),
    ("  in bank", {"in_bank_amount": 1}, False),
    ("  in transit", {"in_transit_amount": 1}, False),
    ("  held by the gateway", {"balance_held_amount": 1}, False),
)
_COLUMNS: Final = tuple(name for _, columns, _ in BRIDGE for name in columns)


def figures(settings: Settings) -> dict[str, Any]:
    """The same figures for scripts."""
    return {
        "bridge": _bridge_rows(settings),
        "exceptions": _exception_rows(settings),
        "unserved_payments": _unserved_rows(settings),
        "journals": _journal_rows(settings),
        "clearing": _clearing_rows(settings),
    }


def summarise(settings: Settings, console: Console, result: "ChainResult | None" = None) -> None:
    """Print the bridge, the clearing accounts, the exceptions and the journals."""
    if not settings.warehouse_path.is_file():
        return
    console.print()
    for bridge in _bridges(_bridge_rows(settings)):
        console.print(bridge)
    console.print(_clearing(_clearing_rows(settings)))
    console.print(_exceptions(_exception_rows(settings)))
    if unserved := _unserved_rows(settings):
        console.print(_unserved(unserved))
    console.print(_journals(settings, result))
    if result is not None:
        _print_outcome(console, result)


def print_score(settings: Settings, console: Console) -> bool:
    """Say how the marts compare with the sandbox's ground truth; True if nothing is wrong."""
    found = score(settings.home)
    if found.ok:
        parts = ", ".join(f"{part.right} {name}" for name, part in found.parts().items() if part.expected)
        console.print(
            f"[green]✓[/green] Agrees with the ground truth, no miss and no false match: {parts}.", highlight=False
        )
    else:
        console.print("[red]✗ Differs from the ground truth:[/red]")
        console.print(found.table())
    return found.ok


def _bridge_rows(settings: Settings) -> list[dict[str, Any]]:
    sums = ", ".join(f"sum({name}) as {name}" for name in _COLUMNS)
    query = f"""
        select store_id, gateway_id, currency_code, {sums}
        from marts.rec_gross_to_net
        group by store_id, gateway_id, currency_code
        order by gateway_id, store_id, currency_code
    """  # noqa: S608 -- names from the constant above
    return rows(settings, query)


def _exception_rows(settings: Settings) -> list[dict[str, Any]]:
    return rows(
        settings,
        """
        select
            entity_code,
            exception_type,
            severity,
            owner,
            currency_code,
            count(*) as exception_count,
            sum(amount_at_risk) as amount_at_risk,
            min(due_at) as first_due_at
        from marts.rec_exceptions
        where status = 'open'
        group by entity_code, exception_type, severity, owner, currency_code
        order by entity_code, exception_type, currency_code
        """,
    )


def _unserved_rows(settings: Settings) -> list[dict[str, Any]]:
    return rows(
        settings,
        """
        select
            store_id,
            payment_method,
            currency_code,
            sum(order_count) as order_count,
            sum(order_amount) as order_amount,
            max(last_paid_at) as last_paid_at
        from marts.mon_unserved_payments
        group by store_id, payment_method, currency_code
        order by store_id, payment_method, currency_code
        """,
    )


def _clearing_rows(settings: Settings) -> list[dict[str, Any]]:
    return rows(
        settings,
        """
        select
            gateway_id, entity_code, currency_code, clearing_amount, has_balance, gateway_balance_amount,
            difference_amount
        from marts.rec_clearing
        order by gateway_id, currency_code
        """,
    )


def _journal_rows(settings: Settings) -> list[dict[str, Any]]:
    """Per entity: what the ledger wants, what is held, and what the outbox proves to be posted."""
    desired = {
        row["entity_code"]: row
        for row in rows(
            settings,
            """
            select
                entity_code,
                base_currency_code,
                count(*) as desired_count,
                count(*) filter (where posting_status = 'held') as held_count,
                sum(base_total_amount) filter (where posting_status = 'ready') as ready_amount
            from marts.acc_journal_entries
            group by entity_code, base_currency_code
            """,
        )
    }
    operations = open_store(settings.operations_url)
    try:
        posted = outbox.postings(operations, states=(outbox.POSTED,))
        failed = outbox.postings(operations, states=(outbox.FAILED, outbox.SENT))
    finally:
        operations.dispose()
    return [
        {
            "entity_code": entity.code,
            "base_currency_code": entity.base_currency,
            "desired": desired.get(entity.code, {}).get("desired_count", 0),
            "posted": sum(posting.entity_code == entity.code for posting in posted),
            "held": desired.get(entity.code, {}).get("held_count", 0),
            "failed": sum(posting.entity_code == entity.code for posting in failed),
            "ready_amount": desired.get(entity.code, {}).get("ready_amount") or Decimal(0),
        }
        for entity in settings.configuration.entities
    ]


def _bridges(found: list[dict[str, Any]]) -> Iterator[Table]:
    """One table for each gateway account, so that it fits a terminal of 80 columns."""
    for gateway, columns in groupby(found, key=lambda row: row["gateway_id"]):
        yield _bridge(gateway, list(columns))


def _bridge(gateway: str | None, found: list[dict[str, Any]]) -> Table:
    table = Table(title=f"From gross sales to cash in bank: {gateway or 'no gateway'}", title_justify="left")
    table.add_column("")
    for row in found:
        table.add_column(f"{row['store_id']}\n{row['currency_code']}", justify="right", no_wrap=True)
    for label, columns, is_total in BRIDGE:
        amounts = [sum((row[name] * sign for name, sign in columns.items()), Decimal(0)) for row in found]
        if is_total or any(amounts):
            style = "bold" if is_total else None
            cells = [_money(amount, row["currency_code"]) for amount, row in zip(amounts, found, strict=True)]
            table.add_row(label, *cells, style=style, end_section=is_total)
    return table


def _clearing(found: list[dict[str, Any]]) -> Table:
    table = Table(title="Clearing account against the gateway's balance", title_justify="left")
    for heading in ("gateway", "currency", "ledger", "gateway", "difference"):
        table.add_column(heading, justify="left" if heading in ("currency",) else "right")
    table.columns[0].justify = "left"
    for row in found:
        currency = row["currency_code"]
        difference = row["difference_amount"]
        table.add_row(
            row["gateway_id"],
            currency,
            _money(row["clearing_amount"], currency),
            _money(row["gateway_balance_amount"], currency) if row["has_balance"] else "not said",
            _money(difference, currency) if difference else "[green]0[/green]" if row["has_balance"] else "",
        )
    return table


def _exceptions(found: list[dict[str, Any]]) -> Table:
    table = Table(title="What does not agree", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("entity", "exception", "count", "at risk", "owner", "first due"):
        table.add_column(heading, justify="right" if heading in ("count", "at risk") else "left", no_wrap=True)
    for row in found:
        table.add_row(
            row["entity_code"],
            row["exception_type"],
            str(row["exception_count"]),
            at_risk_text(row["amount_at_risk"], row["currency_code"]),
            row["owner"],
            f"{row['first_due_at']:%Y-%m-%d}" if row["first_due_at"] else "",
        )
    if not found:
        table.add_row("", "[green]nothing[/green]")
    return table


def _unserved(found: list[dict[str, Any]]) -> Table:
    table = Table(
        title="Paid by methods that no gateway of retail.yaml serves",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in ("store", "payment method", "orders", "total", "last paid"):
        table.add_column(heading, justify="right" if heading in ("orders", "total") else "left", no_wrap=True)
    for row in found:
        table.add_row(
            row["store_id"],
            row["payment_method"],
            str(row["order_count"]),
            at_risk_text(row["order_amount"], row["currency_code"]),
            f"{row['last_paid_at']:%Y-%m-%d}",
        )
    return table


def _journals(settings: Settings, result: "ChainResult | None") -> Table:
    table = Table(title="Journals", title_justify="left")
    headings = ["entity", "posted", *(["new in this run"] if result else []), "held", "failed", "debits = credits", ""]
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("entity", "") else "right")
    for row in _journal_rows(settings):
        new = result.posted.get(row["entity_code"], {}).get("posted", 0) if result else None
        table.add_row(
            row["entity_code"],
            str(row["posted"]),
            *([str(new)] if result else []),
            str(row["held"]),
            f"[red]{row['failed']}[/red]" if row["failed"] else "0",
            _money(row["ready_amount"], row["base_currency_code"]),
            row["base_currency_code"],
        )
    return table


def _print_outcome(console: Console, result: "ChainResult") -> None:
    for step, reason in result.failures.items():
        console.print(f"[red]✗ {escape(step)} failed:[/red] {escape(reason)}", highlight=False)
    for entity, reason in result.held.items():
        console.print(f"[yellow]![/yellow] {entity}: nothing posted: {escape(reason)}", highlight=False)
    new = sum(posted.get("posted", 0) for posted in result.posted.values())
    if not result.failures and not result.held:
        console.print(
            f"{new} journals posted."
            if new
            else "Nothing new to post: the ERP already holds everything that is ready.",
            highlight=False,
        )


def at_risk_text(amount: Decimal | None, currency_code: str | None) -> str:
    """An amount with its currency; nothing where none is known, as for a file that cannot be read."""
    return "" if amount is None or currency_code is None else f"{_money(amount, currency_code)} {currency_code}"


def _money(amount: Decimal, currency_code: str) -> str:
    return f"{amount:,.{exponent(currency_code)}f}"
