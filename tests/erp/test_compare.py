"""Posted is what was intended, or the difference is named."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from retail_assets.erp.compare import differences
from retail_assets.erp.protocol import JournalEntry, PostedDocument, PostedLine
from tests.erp.books import entry, line


def as_posted(intended: JournalEntry) -> PostedDocument:
    lines = tuple(
        PostedLine(
            each.account_code,
            each.debit,
            each.credit,
            each.currency_code,
            each.base_debit,
            each.base_credit,
            each.cost_centre,
        )
        for each in intended.lines
    )
    return PostedDocument("ACC-JV-1", intended.key, intended.company, intended.posting_date, "posted", lines)


def test_the_same_is_the_same_in_any_order() -> None:
    """A false difference would hold a good entry."""
    posted = as_posted(entry())
    assert differences(entry(), posted) == []
    assert differences(entry(), replace(posted, lines=posted.lines[::-1])) == []


def test_every_field_counts() -> None:
    """An unchecked field is where a silent change of the ERP would hide (a moved date, a dropped key)."""
    posted = as_posted(entry())
    first = posted.lines[0]
    wrong = {
        "state": replace(posted, state="draft"),
        "key": replace(posted, key=None),
        "company": replace(posted, company="Other"),
        "posting_date": replace(posted, posting_date=date(2026, 4, 1)),
    }
    wrong_lines = [
        replace(first, account_code="1250"),
        replace(first, base_debit=Decimal("33.34")),
        replace(first, debit=Decimal(0), credit=Decimal("33.33")),
        replace(first, currency_code="EUR"),
    ]
    for field, document in wrong.items():
        assert [difference.field for difference in differences(entry(), document)] == [field]
    for changed in wrong_lines:
        document = replace(posted, lines=(changed, *posted.lines[1:]))
        assert [difference.field for difference in differences(entry(), document)] == ["lines"]


def test_a_line_too_many_or_too_few() -> None:
    """Equal lines count one by one: a set would not see that one of two fees is missing."""
    twice = entry("k#1", line("6100", debit="1"), line("6100", debit="1"), line("1250", credit="2"))
    posted = as_posted(twice)
    (difference,) = differences(twice, replace(posted, lines=posted.lines[1:]))
    assert str(difference) == "lines: intended 6100 debit 1 USD (1 in base), posted nothing"
    (difference,) = differences(twice, replace(posted, lines=(*posted.lines, posted.lines[0])))
    assert difference.intended == "nothing"


def test_a_cost_centre_that_was_sent_counts() -> None:
    """One that the ERP dropped or changed went unseen; one that it put on a line by itself held a good entry."""
    sent = replace(line("6100", debit="1"), cost_centre="K1")
    intended = entry("k#1", sent, line("6100", debit="1"), line("1250", credit="2"))
    posted = as_posted(intended)
    by_itself = tuple(replace(each, cost_centre=each.cost_centre or "Main") for each in posted.lines)
    assert differences(intended, replace(posted, lines=by_itself)) == []
    dropped = replace(posted, lines=tuple(replace(each, cost_centre="") for each in posted.lines))
    (difference,) = differences(intended, dropped)
    assert str(difference) == (
        "lines: intended 6100 of K1 debit 1 USD (1 in base), posted 6100 debit 1 USD (1 in base)"
    )
    assert differences(intended, replace(posted, lines=(replace(posted.lines[0], cost_centre="K2"), *posted.lines[1:])))


@pytest.mark.parametrize("kept_in", ["EUR", "USD"])
def test_foreign_lines_are_compared_in_the_currency_of_the_account(kept_in: str) -> None:
    """An account of the books' currency shows a foreign line in base only; that is no difference."""
    foreign = line("1251", debit="100", currency="EUR", rate="1.087")
    intended = entry("k#1", foreign, line("4000", credit="108.70"))
    posted = as_posted(intended)
    if kept_in == "USD":
        in_base = PostedLine("1251", Decimal("108.7"), Decimal(0), "USD", Decimal("108.7"), Decimal(0))
        posted = replace(posted, lines=(in_base, posted.lines[1]))
    assert differences(intended, posted) == []
    off = replace(posted.lines[0], base_debit=Decimal("108.71"))
    assert differences(intended, replace(posted, lines=(off, posted.lines[1])))
