"""``retail trace``: one order, payment, payout, bank line or ERP document through the whole chain, both ways."""

from decimal import Decimal
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from retail_assets.commands.warehouse import rows
from retail_assets.ops import outbox
from retail_assets.ops.outbox import Posting
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings

# What the identifier names directly. An order leads up to its lines, payouts and bank lines; a payout or bank line
# leads down to the lines and orders in it. Going up and down again would bring in every other order of the same payout.
_NAMED: Final = """
with orders as (
    select order_key from marts.fct_orders
    where $id in (order_key, order_number, cast(order_id as varchar), transaction_id)
),

refunds as (
    select order_key, gateway_refund_key from marts.fct_refunds
    where $id in (refund_key, store_refund_key, gateway_refund_key, split_part(gateway_refund_key, ':', 2))
),

lines as (
    select verdicts.settlement_line_key, verdicts.order_key
    from marts.rec_settlement_lines as verdicts
    inner join marts.fct_settlement_lines as lines on lines.settlement_line_key = verdicts.settlement_line_key
    where
        $id in (
            lines.settlement_line_key, lines.line_id, lines.payment_key, split_part(lines.payment_key, ':', 2),
            lines.source_id
        )
        and lines.line_type <> 'payout'
),

payouts as (
    select settlement_key from marts.fct_settlements where $id in (settlement_key, payout_id, trace_id)
    union
    select settlement_key from marts.fct_bank_lines
    where $id in (bank_line_key, bank_reference, end_to_end_id) and settlement_key is not null
),

documents as (
    select order_key, settlement_line_key, settlement_key, entry_type
    from marts.acc_journal_entries
    where entry_id = $id
),

named_orders as (
    select order_key from orders
    union
    select order_key from refunds
    union
    select order_key from lines
    union
    select order_key from documents
),

named_payouts as (
    select settlement_key from payouts
    union
    select settlement_key from documents where entry_type in ('payout', 'payout_arrival')
),

found_lines as (
    select settlement_line_key
    from marts.rec_settlement_lines
    where
        order_key in (select order_key from named_orders)
        or settlement_key in (select settlement_key from named_payouts)
        or settlement_line_key in (select settlement_line_key from lines)
        or settlement_line_key in (select settlement_line_key from documents)
),

found_orders as (
    select order_key from named_orders
    union
    select order_key from marts.rec_settlement_lines
    where settlement_line_key in (select settlement_line_key from found_lines)
),

found_payouts as (
    select settlement_key from named_payouts
    union
    select settlement_key from marts.rec_settlement_lines
    where settlement_line_key in (select settlement_line_key from found_lines)
)
"""

_SECTIONS: Final = {
    "orders": """
        select order_key, order_number, store_status, currency_code, total_amount, created_at, paid_at, payload_sha256
        from marts.fct_orders
        where order_key in (select order_key from found_orders)
        order by order_key
    """,
    "refunds": """
        select refund_key, order_key, store_refund_key, gateway_refund_key
        from marts.fct_refunds
        where order_key in (select order_key from found_orders)
        order by refund_key
    """,
    "settlement_lines": """
        select
            verdicts.settlement_line_key, verdicts.line_type, verdicts.match_status, verdicts.match_rule,
            verdicts.order_key, lines.payment_key, verdicts.settlement_key, lines.currency_code,
            lines.gross_amount, lines.fee_amount, lines.net_amount, lines.booked_at, lines.payload_sha256
        from marts.rec_settlement_lines as verdicts
        inner join marts.fct_settlement_lines as lines on lines.settlement_line_key = verdicts.settlement_line_key
        where verdicts.settlement_line_key in (select settlement_line_key from found_lines)
        order by lines.booked_at, verdicts.settlement_line_key
    """,
    "payouts": """
        select
            payouts.settlement_key, payouts.settlement_status, payouts.currency_code, payouts.net_amount,
            payouts.residual_amount, payouts.bank_line_key, payouts.arrival_date, facts.payload_sha256
        from marts.rec_settlements as payouts
        inner join marts.fct_settlements as facts on facts.settlement_key = payouts.settlement_key
        where payouts.settlement_key in (select settlement_key from found_payouts)
        order by payouts.settlement_key
    """,
    "bank_lines": """
        select
            bank_line_key, settlement_key, currency_code, bank_amount, value_date, end_to_end_id, remittance_text,
            payload_sha256
        from marts.fct_bank_lines
        where settlement_key in (select settlement_key from found_payouts) or $id in (bank_line_key, bank_reference)
        order by bank_line_key
    """,
    "journals": """
        select
            entries.entry_id, entries.entry_type, entries.posting_date, entries.base_total_amount,
            entries.base_currency_code, entries.posting_status, entries.hold_reason
        from marts.acc_journal_entries as entries
        where
            entries.order_key in (select order_key from found_orders)
            or entries.settlement_line_key in (select settlement_line_key from found_lines)
            or (
                entries.settlement_key in (select settlement_key from found_payouts)
                and entries.entry_type in ('payout', 'payout_arrival')
            )
        order by entries.posting_date, entries.entry_id
    """,
    "exceptions": """
        select exception_id, exception_type, amount_at_risk, currency_code, owner, suggested_action
        from marts.rec_exceptions
        where
            order_key in (select order_key from found_orders)
            or settlement_line_key in (select settlement_line_key from found_lines)
        order by exception_id
    """,
}


def trace_of(settings: Settings, identifier: str) -> dict[str, list[dict[str, Any]]]:
    """Everything that belongs to ``identifier``, by section; empty sections when nothing has that name."""
    postings = _postings(settings)
    named = [posting.entry_id for posting in postings if identifier in (posting.erp_document, posting.posting_key)]
    found = {
        name: rows(settings, _NAMED + query, {"id": named[0] if named else identifier})
        for name, query in _SECTIONS.items()
    }
    for entry in found["journals"]:
        own = [posting for posting in postings if posting.entry_id == entry["entry_id"]]
        entry["erp_documents"] = ", ".join(posting.erp_document for posting in own if posting.erp_document) or None
    return found


def _postings(settings: Settings) -> list[Posting]:
    operations = open_store(settings.operations_url)
    try:
        return outbox.postings(operations)
    finally:
        operations.dispose()


def print_trace(console: Console, identifier: str, found: dict[str, list[dict[str, Any]]]) -> None:
    """One paragraph for each thing found, by section."""
    if not any(found.values()):
        console.print(
            f"Nothing is called {identifier!r}. Try an order number, a ch_, re_, txn_ or po_ id, a bank reference, or "
            "an ERP document.",
            highlight=False,
        )
    for section, items in found.items():
        if items:
            console.print(f"[bold]{section.replace('_', ' ')} ({len(items)})[/bold]", highlight=False)
        for item in items:
            console.print(Padding(_in_words(item), (0, 0, 0, 2)), highlight=False)


def _in_words(item: dict[str, Any]) -> str:
    """The item's key, then each fact that it has with its name; amounts stand before their currency."""
    (_, key), *facts = ((name, value) for name, value in item.items() if value is not None)
    shown = (f"[dim]{_LABELS.get(name, name.replace('_', ' '))}[/dim] {_text(value, name)}" for name, value in facts)
    return f"[cyan]{escape(str(key))}[/cyan]  " + "  ".join(shown)


_LABELS: Final = {"payload_sha256": "raw sha256", "base_total_amount": "total", "base_currency_code": "base"}


def _text(value: Any, name: str) -> str:
    if name == "payload_sha256":
        return str(value)[:16]
    return f"{value:,.2f}" if isinstance(value, Decimal) else escape(str(value))
