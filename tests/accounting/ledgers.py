"""Desired ledgers to test with, as rows of the marts, and what the ERP holds of them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from retail_assets.accounting.ledger import LedgerEntry, read_ledger
from retail_assets.accounting.plan import Books, Plan, plan_entity
from retail_assets.ops import outbox
from retail_assets.sandbox.erpnext_site import Site
from tests.erp.books import US
from tests.support.tryton import COMPANY

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
BOOKS = Books("US", "erp_main", US, "USD")
EURO_BOOKS = Books("DE", "erp_main", COMPANY, "EUR")

Row = dict[str, Any]


def entry_rows(entry_id: str, amount: str = "10.00", **header: Any) -> tuple[Row, list[Row]]:
    """A fee entry: debit 6100, credit 1250."""
    lines = [line_row(entry_id, 1, "6100", debit=amount), line_row(entry_id, 2, "1250", credit=amount)]
    return header_row(entry_id, lines, **header), lines


def header_row(entry_id: str, lines: list[Row], **changes: Any) -> Row:
    return {
        "entry_id": entry_id,
        "entity_code": "US",
        "entry_type": "settlement_line",
        "posting_date": date(2026, 3, 15),
        "description": f"Entry {entry_id}",
        "base_currency_code": "USD",
        "base_total_amount": sum((line["base_debit_amount"] for line in lines), Decimal(0)),
        "line_count": len(lines),
        "posting_status": "ready",
        "hold_reason": None,
        "held_by_exception_id": None,
    } | changes


def line_row(entry_id: str, line_no: int, account: str, debit: str = "0", credit: str = "0", **changes: Any) -> Row:
    return {
        "entry_id": entry_id,
        "line_no": line_no,
        "entity_code": "US",
        "account_code": account,
        "account_role": "gateway_fees",
        "debit_amount": Decimal(debit),
        "credit_amount": Decimal(credit),
        "currency_code": "USD",
        "base_debit_amount": Decimal(debit),
        "base_credit_amount": Decimal(credit),
        "base_currency_code": "USD",
        "exchange_rate": Decimal(1),
        "description": "a line",
        "cost_centre": None,
    } | changes


def ledger(*entries: tuple[Row, list[Row]]) -> list[LedgerEntry]:
    return read_ledger([header for header, _ in entries], [line for _, lines in entries for line in lines])


def amounts(wanted: Mapping[str, str], **header: Any) -> list[LedgerEntry]:
    """One fee entry for each (entry id, amount)."""
    return ledger(*(entry_rows(entry_id, amount, **header) for entry_id, amount in wanted.items()))


def euros(wanted: Mapping[str, str]) -> list[LedgerEntry]:
    """Likewise for the books in Tryton."""
    changes = {"entity_code": EURO_BOOKS.entity_code, "base_currency_code": "EUR"}
    entries = []
    for entry_id, amount in wanted.items():
        sides: tuple[tuple[str, dict[str, str]], ...] = (("6100", {"debit": amount}), ("1250", {"credit": amount}))
        lines = [
            line_row(entry_id, number, account, **side, currency_code="EUR", **changes)
            for number, (account, side) in enumerate(sides, start=1)
        ]
        entries.append((header_row(entry_id, lines, **changes), lines))
    return ledger(*entries)


def plan_for(engine: Engine, entries: Iterable[LedgerEntry], books: Books = BOOKS) -> Plan:
    return plan_entity(books, entries, outbox.postings(engine))


def documents(site: Site) -> list[Row]:
    """Every Journal Entry of the site."""
    fields = ["name", "docstatus", "platform_ref"]
    return site.find("Journal Entry", fields=fields, filters=None, order_by="name asc", start=0, length=0)


def keys_at_erp(site: Site) -> Counter[str]:
    """How many documents hold each key."""
    return Counter(row["platform_ref"] for row in documents(site))


def booked(site: Site) -> dict[str, Decimal]:
    """What the books hold of each entry: debits of 6100 minus its credits, over all its revisions."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for row in documents(site):
        for line in site.fetch("Journal Entry", row["name"])["accounts"] if row["docstatus"] == 1 else ():
            if line["account"].startswith("6100"):
                sides = (Decimal(bytes(line[side]).decode()) for side in ("debit", "credit"))
                totals[row["platform_ref"].partition("#")[0]] += next(sides) - next(sides)
    return {entry_id: total for entry_id, total in totals.items() if total}
