"""The desired ledger: what ``marts.acc_journal_entries`` and ``acc_journal_lines`` say the books should hold.

A faulty entry stops nothing but itself: it is kept as ``invalid`` with its faults in words, so that it is neither
posted nor taken for one that is no longer wanted.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, Literal

from retail_assets.money import UnknownCurrencyError, quantize
from retail_assets.ops.canonical import canonical_json, decimal_text, sha256_hex

EntryStatus = Literal["ready", "held", "invalid"]

#: Roles of accounts that take what is given up as lost.
WRITE_OFF_ROLES: Final = frozenset({"chargeback_losses", "rounding"})

_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """A line of the desired ledger; amounts in major units of ``currency_code`` and of the books, never negative."""

    line_no: int
    account_code: str
    debit: Decimal
    credit: Decimal
    currency_code: str
    base_debit: Decimal
    base_credit: Decimal
    exchange_rate: Decimal
    description: str
    account_role: str = ""
    cost_centre: str = ""


@dataclass(frozen=True)
class LedgerEntry:
    """An entry of the desired ledger.

    ``status`` is ``ready`` to be posted, ``held`` by an open exception, or ``invalid``; ``reason`` says why it is not
    ready.
    """

    entry_id: str
    entity_code: str
    posting_date: date
    base_currency_code: str
    description: str
    status: EntryStatus
    reason: str | None = None
    held_by_exception_id: str | None = None
    lines: tuple[LedgerLine, ...] = field(default=())

    @property
    def written_off(self) -> Decimal:
        """What the entry gives up as lost, in the currency of the books."""
        return sum((line.base_debit for line in self.lines if line.account_role in WRITE_OFF_ROLES), _ZERO)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the accounting facts: entity, date and lines as a multiset.

        Texts, the order of lines and the rate (which the two amounts of a line imply) change nothing in the books, so
        a change in them alone must not reverse a posted entry. A cost centre counts where there is one.
        """
        lines = sorted(
            [
                line.account_code,
                line.currency_code,
                *(decimal_text(amount) for amount in (line.debit, line.credit, line.base_debit, line.base_credit)),
                *([line.cost_centre] if line.cost_centre else []),
            ]
            for line in self.lines
        )
        return sha256_hex(canonical_json([self.entity_code, self.posting_date, self.base_currency_code, lines]))


def read_ledger(entries: Iterable[Mapping[str, Any]], lines: Iterable[Mapping[str, Any]]) -> list[LedgerEntry]:
    """Rows of the two marts as entries, checked one by one.

    Args:
        entries: rows of ``acc_journal_entries``.
        lines: rows of ``acc_journal_lines``, in any order.

    Raises:
        TypeError: an amount is not a Decimal, or a date not a date: money went through a float on its way here.
    """
    headers: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for header in entries:
        headers[header["entry_id"]].append(header)
    rows: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in lines:
        rows[row["entry_id"]].append(row)
    ledger = [_entry(same_id, rows.pop(entry_id, [])) for entry_id, same_id in headers.items()]
    # Lines whose entry is missing: were they dropped, a posted entry would look as if nobody wanted it any more.
    ledger += [_orphan(entry_id, orphans) for entry_id, orphans in rows.items()]
    return ledger


def _entry(headers: list[Mapping[str, Any]], rows: list[Mapping[str, Any]]) -> LedgerEntry:
    header = headers[0]
    lines = tuple(sorted((_line(row) for row in rows), key=lambda line: line.line_no))
    faults = [f"the entry appears {len(headers)} times"] if len(headers) > 1 else []
    faults += _header_faults(header, rows)
    faults += [fault for line in lines for fault in _line_faults(line, header["base_currency_code"])]
    faults += _balance_faults(lines)
    held = header["posting_status"] != "ready"
    return LedgerEntry(
        entry_id=header["entry_id"],
        entity_code=header["entity_code"],
        posting_date=_day(header["posting_date"]),
        base_currency_code=header["base_currency_code"],
        description=header.get("description") or "",
        status="invalid" if faults else "held" if held else "ready",
        reason="; ".join(faults) or (header.get("hold_reason") or "held without a reason" if held else None),
        held_by_exception_id=header.get("held_by_exception_id"),
        lines=lines,
    )


def _orphan(entry_id: str, rows: list[Mapping[str, Any]]) -> LedgerEntry:
    first = rows[0]
    return LedgerEntry(
        entry_id=entry_id,
        entity_code=first["entity_code"],
        posting_date=date.min,
        base_currency_code=first["base_currency_code"],
        description="",
        status="invalid",
        reason="it has lines but no entry",
    )


def _line(row: Mapping[str, Any]) -> LedgerLine:
    return LedgerLine(
        line_no=row["line_no"],
        account_code=row["account_code"] or "",
        debit=_amount(row, "debit_amount"),
        credit=_amount(row, "credit_amount"),
        currency_code=row["currency_code"],
        base_debit=_amount(row, "base_debit_amount"),
        base_credit=_amount(row, "base_credit_amount"),
        exchange_rate=_amount(row, "exchange_rate"),
        description=row.get("description") or "",
        account_role=row.get("account_role") or "",
        cost_centre=row.get("cost_centre") or "",
    )


def _header_faults(header: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> list[str]:
    faults = []
    entities = {row["entity_code"] for row in rows} - {header["entity_code"]}
    if entities:
        faults.append(f"it has lines of {', '.join(sorted(entities))}, but an entry belongs to exactly one entity")
    currencies = {row["base_currency_code"] for row in rows} - {header["base_currency_code"]}
    if currencies:
        faults.append(f"it has lines in books of {', '.join(sorted(currencies))}")
    if header["line_count"] != len(rows):
        faults.append(f"it has {len(rows)} lines where the entry counts {header['line_count']}")
    total = sum((_amount(row, "base_debit_amount") for row in rows), _ZERO)
    if header["base_total_amount"] != total:
        faults.append(f"its debits come to {total} where the entry says {header['base_total_amount']}")
    if not rows:
        faults.append("it has no lines")
    return faults


def _line_faults(line: LedgerLine, base_currency_code: str) -> list[str]:
    amounts = (line.debit, line.credit, line.base_debit, line.base_credit)
    faults = []
    if not line.account_code:
        faults.append("has no account: extend the account mapping")
    if min(amounts) < 0:
        faults.append("has a negative amount")
    if (line.base_debit > 0) == (line.base_credit > 0):
        faults.append("must have either a debit or a credit in base")
    if (line.debit and line.base_credit) or (line.credit and line.base_debit) or (line.debit and line.credit):
        faults.append("has its amount on one side and its base amount on the other")
    for currency, pair in ((line.currency_code, amounts[:2]), (base_currency_code, amounts[2:])):
        try:
            if any(quantize(amount, currency) != amount for amount in pair):
                faults.append(f"has more decimals than {currency} knows")
        except UnknownCurrencyError as error:
            faults.append(str(error))
    if line.exchange_rate <= 0:
        faults.append("has no exchange rate")
    return [f"line {line.line_no} {fault}" for fault in faults]


def _balance_faults(lines: tuple[LedgerLine, ...]) -> list[str]:
    faults = []
    difference = sum((line.base_debit - line.base_credit for line in lines), _ZERO)
    if difference:
        faults.append(f"it is out of balance by {difference} in base")
    # Lines without a document amount are rounding and exchange differences. Where several document currencies meet
    # (a settlement in one, a receivable in another), only the books can balance.
    with_amount = [line for line in lines if line.debit or line.credit]
    if len({line.currency_code for line in with_amount}) == 1:
        difference = sum((line.debit - line.credit for line in with_amount), _ZERO)
        if difference:
            faults.append(f"it is out of balance by {difference} {with_amount[0].currency_code}")
    return faults


def _amount(row: Mapping[str, Any], name: str) -> Decimal:
    value = row[name]
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if not isinstance(value, Decimal):
        raise TypeError(f"{row['entry_id']} line {row['line_no']}: {name} is {value!r}, not a Decimal")
    return value


def _day(value: Any) -> date:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise TypeError(f"posting_date is {value!r}, not a date")
    return value
