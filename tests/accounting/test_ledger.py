"""Reading the desired ledger."""

from decimal import Decimal
from typing import Any

import pytest

from retail_assets.accounting.ledger import LedgerEntry, read_ledger
from tests.accounting.ledgers import entry_rows, header_row, ledger, line_row


def one(*lines: dict[str, Any], **header: Any) -> LedgerEntry:
    return ledger((header_row("e", list(lines), **header), list(lines)))[0]


def fee(**changes: Any) -> list[dict[str, Any]]:
    return [line_row("e", 1, "6100", debit="10", **changes), line_row("e", 2, "1250", credit="10")]


def test_a_sound_entry_is_ready() -> None:
    """The rule is to post; a check that is too strict would hold the books back."""
    (entry,) = ledger(entry_rows("e", "10.00"))
    assert (entry.status, entry.reason, len(entry.lines)) == ("ready", None, 2)


def test_a_held_entry_says_by_what() -> None:
    """The controller must get from the plan to the exception."""
    (entry,) = ledger(entry_rows("e", posting_status="held", hold_reason="amounts differ", held_by_exception_id="x:1"))
    assert (entry.status, entry.reason, entry.held_by_exception_id) == ("held", "amounts differ", "x:1")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"account_code": None}, "has no account"),
        ({"debit_amount": Decimal("10.001"), "base_debit_amount": Decimal("10.001")}, "more decimals than USD"),
        ({"debit_amount": Decimal(-10), "base_debit_amount": Decimal(-10)}, "negative"),
        ({"base_credit_amount": Decimal(1)}, "either a debit or a credit"),
        ({"base_debit_amount": Decimal(0)}, "either a debit or a credit"),
        ({"debit_amount": Decimal(0), "credit_amount": Decimal(10)}, "on one side"),
        ({"base_debit_amount": Decimal(9)}, "out of balance by -1 in base"),
        ({"debit_amount": Decimal(9)}, "out of balance by -1 USD"),
        ({"exchange_rate": Decimal(0)}, "no exchange rate"),
        ({"entity_code": "DE"}, "exactly one entity"),
        ({"base_currency_code": "EUR"}, "books of EUR"),
        ({"currency_code": "XXX"}, "XXX"),
    ],
)
def test_a_faulty_line_makes_its_entry_invalid(change: dict[str, Any], words: str) -> None:
    """Promise 7: what does not balance, or belongs to two entities, is never posted."""
    entry = one(*fee(**change))
    assert entry.status == "invalid"
    assert words in str(entry.reason)


@pytest.mark.parametrize(
    ("header", "words"), [({"line_count": 3}, "2 lines where"), ({"base_total_amount": Decimal(9)}, "come to 10")]
)
def test_a_header_that_disagrees_with_its_lines(header: dict[str, Any], words: str) -> None:
    """Lines that were lost on the way would leave an entry that still balances."""
    entry = one(*fee(), **header)
    assert entry.status == "invalid"
    assert words in str(entry.reason)


def test_doubled_and_orphaned_entries_are_invalid_not_gone() -> None:
    """An entry that vanished from the ledger by mistake would be reversed as if nobody wanted it."""
    header, lines = entry_rows("e")
    doubled, orphan = read_ledger([header, header], [*lines, line_row("o", 1, "6100", debit="1")])
    assert (doubled.status, orphan.status, orphan.entry_id) == ("invalid", "invalid", "o")
    assert "appears 2 times" in str(doubled.reason)
    empty = ledger((header_row("e", []), []))[0]
    assert "no lines" in str(empty.reason)


def test_currencies_that_meet_balance_in_base() -> None:
    """A receivable in EUR settled in USD has no document balance, only one in the books."""
    entry = one(
        line_row("e", 1, "1250", debit="108.70"),
        line_row("e", 2, "1100", credit="100", currency_code="EUR", base_credit_amount=Decimal("108.70")),
    )
    assert entry.status == "ready"


def test_a_rounding_line_has_a_base_amount_only() -> None:
    """A cent that rounding leaves in base is a line of its own, not a fault."""
    entry = one(
        line_row("e", 1, "1100", debit="3", currency_code="EUR", base_debit_amount=Decimal("3.26")),
        line_row("e", 2, "4000", credit="3", currency_code="EUR", base_credit_amount=Decimal("3.27")),
        line_row("e", 3, "6910", base_debit_amount=Decimal("0.01"), currency_code="EUR"),
    )
    assert (entry.status, entry.reason) == ("ready", None)


def test_floats_are_refused() -> None:
    """Money that came through a float must stop everything: no single entry is at fault."""
    with pytest.raises(TypeError, match=r"debit_amount is 10\.0"):
        one(*fee(debit_amount=10.0))


def test_the_hash_sees_accounting_facts_only() -> None:
    """A new wording or another order of lines must not reverse a posted entry; an amount or a day must."""
    base = one(*fee())
    reordered = [line_row("e", 1, "1250", credit="10.0000"), line_row("e", 2, "6100", debit="10.00", description="new")]
    assert one(*reordered, description="other words").content_hash == base.content_hash
    assert one(*fee(exchange_rate=Decimal("1.0000001"))).content_hash == base.content_hash
    other_day = one(*fee(), posting_date=base.posting_date.replace(day=16))
    others = [other_day, one(*fee(account_code="6110")), ledger(entry_rows("e", "10.01"))[0]]
    assert len({base.content_hash, *(entry.content_hash for entry in others)}) == 4
