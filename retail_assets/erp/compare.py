"""Is what the ERP holds what was intended? Field by field, so that a difference can be acted on."""

from collections import Counter
from dataclasses import dataclass, replace

from retail_assets.erp.protocol import JournalEntry, PostedDocument, PostedLine
from retail_assets.ops.canonical import decimal_text


@dataclass(frozen=True, slots=True)
class Difference:
    """A field whose posted value is not the intended one."""

    field: str
    intended: str
    posted: str

    def __str__(self) -> str:
        return f"{self.field}: intended {self.intended}, posted {self.posted}"


def differences(intended: JournalEntry, posted: PostedDocument) -> list[Difference]:
    """Everything in which a posted document departs from its intention; empty when it is exactly that.

    Lines are compared as a multiset: their order means nothing. Where a line has its account's currency, an account
    kept in the currency of the books shows a line of another currency in base only, so it is compared in base. A line
    that was sent without a cost centre may have got one there.
    """
    facts = (
        ("state", "posted", posted.state),
        ("key", intended.key, posted.key or "none"),
        ("company", intended.company, posted.company),
        ("posting_date", intended.posting_date.isoformat(), posted.posting_date.isoformat()),
    )
    found = [Difference(field, wanted, actual) for field, wanted, actual in facts if wanted != actual]
    wanted_lines = Counter(expected_lines(intended, posted))
    actual_lines = Counter(posted.lines)
    missing, surplus = wanted_lines - actual_lines, actual_lines - wanted_lines
    for line in list(surplus.elements()):
        bare = replace(line, cost_centre="")
        if line.cost_centre and missing[bare]:
            missing[bare] -= 1
            surplus[line] -= 1
    missing, surplus = +missing, +surplus
    if missing or surplus:
        found.append(Difference("lines", _describe(missing), _describe(surplus)))
    return found


def expected_lines(intended: JournalEntry, posted: PostedDocument) -> list[PostedLine]:
    """The lines a correct document would show, given whose currency a line has in this ERP."""
    account_currencies = {line.account_code: line.currency_code for line in posted.lines}
    expected = []
    for line in intended.lines:
        currency = account_currencies.get(line.account_code) if posted.line_currency == "account" else None
        in_base = (currency or line.currency_code) == intended.base_currency_code
        expected.append(
            PostedLine(
                account_code=line.account_code,
                debit=line.base_debit if in_base else line.debit,
                credit=line.base_credit if in_base else line.credit,
                currency_code=intended.base_currency_code if in_base else line.currency_code,
                base_debit=line.base_debit,
                base_credit=line.base_credit,
                cost_centre=line.cost_centre,
            )
        )
    return expected


def _describe(lines: Counter[PostedLine]) -> str:
    return "; ".join(sorted(_line_text(line) for line in lines.elements())) or "nothing"


def _line_text(line: PostedLine) -> str:
    side = "debit" if line.base_debit or line.debit else "credit"
    amount, base = getattr(line, side), getattr(line, f"base_{side}")
    centre = f" of {line.cost_centre}" if line.cost_centre else ""
    return (
        f"{line.account_code}{centre} {side} {decimal_text(amount)} {line.currency_code} ({decimal_text(base)} in base)"
    )
