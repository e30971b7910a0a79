"""Bank lines in a CSV file, read by the mapping in ``retail.yaml``.

Exports overlap and have no statements. Each day is therefore taken as one: a later export holds a day anew and as a
whole. Where the file gives the balance after each line, the balances of the days come from it and are checked.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from retail_assets.contracts import Column, ColumnType, Table
from retail_assets.mapping import CsvMapping
from retail_assets.ops.quarantine import Rejection
from retail_assets.settings import Bank
from retail_assets.sources.bank.statements import (
    Entry,
    Header,
    Note,
    Statement,
    StatementError,
    is_account,
    require_sum,
)
from retail_assets.sources.mapped import broken_rows, mapped_rows, open_mapped
from retail_assets.sources.textrows import convert_text, row_as_json

_TYPES: Final[dict[str, ColumnType]] = {
    "booking_date": "date",
    "value_date": "date",
    "amount": "amount",
    "currency": "text",
    "balance": "amount",
    "bank_reference": "text",
    "end_to_end_id": "text",
    "remittance_text": "text",
    "counterparty": "text",
    "account_id": "text",
}
#: What a mapping may name, and what it must; ``a|b`` is one of the two.
MAPPABLE: Final = tuple(_TYPES)
REQUIRED: Final = ("amount", "booking_date|value_date")


@dataclass(frozen=True, slots=True)
class _Line:
    """One row of the file: the entry it is, and the balance after it."""

    entry: Entry
    day: date
    balance: Decimal | None


def check_mapping(bank: Bank) -> None:
    """See that a mapping names what a bank line needs.

    Raises:
        MappingError: names the columns that are missing or unknown.
    """
    bank.option("mapping").check(f"banks.{bank.id}.mapping", allowed=MAPPABLE, required=REQUIRED)


def read_file(bank: Bank, path: Path) -> Iterator[Header | Statement | StatementError | Rejection | Note]:
    """Yield the columns, then a statement for each day, what is wrong with a day, each row that could not be read, or
    that there is none.

    Raises:
        CsvError: the file as a whole cannot be read.
        MappingError: the mapping lacks something.
    """
    check_mapping(bank)
    mapping: CsvMapping = bank.option("mapping")
    opened = open_mapped(path, mapping)
    yield Header(opened.header)
    lines: list[_Line] = []
    is_empty = True
    for rows in mapped_rows(opened, mapping, _TYPES):
        count = rows.raw.num_rows
        is_empty = is_empty and not count and not rows.ignored
        rows.columns.setdefault("booking_date", rows.columns.get("value_date", pa.nulls(count, pa.date32())))
        rows.columns.setdefault("value_date", rows.columns["booking_date"])
        rows.columns.setdefault("currency", pa.array([bank.currency] * count, pa.string()))
        for row, account in enumerate(rows.columns.get("account_id", pa.nulls(count)).to_pylist()):
            if account is not None and not is_account(account, bank.account):
                rows.faults.setdefault(row, ("account_id", account, f"is not {bank.account}, whose folder this is"))
        for row, currency in enumerate(rows.columns["currency"].to_pylist()):
            if currency is None or currency.upper() != bank.currency:
                rows.faults.setdefault(row, ("currency", currency, f"is not {bank.currency}, the account's currency"))
        batch = convert_text(
            _LINES,
            rows.columns,
            instance=bank.id,
            loaded_at=_ANY_TIME,
            origin=path.name,
            raw=rows.raw,
            row_numbers=rows.row_numbers,
            faults=rows.faults,
        )
        yield from batch.rejected
        refused = {int(rejection.origin.rpartition(" ")[2]) for rejection in batch.rejected}
        kept = [row for row, number in enumerate(rows.row_numbers) if number not in refused]
        for row, values in zip(kept, batch.tables[_LINES].to_pylist(), strict=True):
            lines.append(_line(values, row_as_json(rows.raw, row)))
    broken = broken_rows(opened, mapping)
    yield from (row.rejection(path.name) for row in broken)
    if is_empty and not broken:
        yield Note("has no rows")
    yield from _days(bank, _from_old_to_new(lines))


def _line(values: dict[str, Any], payload: bytes) -> _Line:
    entry = Entry(
        amount=values["amount"],
        currency=values["currency"].upper(),
        is_reversal=False,
        booking_date=values["booking_date"],
        value_date=values["value_date"] or values["booking_date"],
        bank_reference=values["bank_reference"],
        end_to_end_id=values["end_to_end_id"],
        remittance_text=values["remittance_text"],
        counterparty=values["counterparty"],
        payload=payload,
    )
    return _Line(entry, values["booking_date"], values["balance"])


def _from_old_to_new(lines: Sequence[_Line]) -> list[_Line]:
    """Many banks write the newest line first; the balances tell, else the days do."""
    downwards = list(reversed(lines))
    if _links(downwards) > _links(lines):
        return downwards
    if _links(downwards) == _links(lines) and lines and lines[0].day > lines[-1].day:
        return downwards
    return list(lines)


def _links(lines: Sequence[_Line]) -> int:
    """How many balances follow from the one before."""
    return sum(
        None not in (before.balance, after.balance) and after.balance == (before.balance or 0) + after.entry.amount
        for before, after in pairwise(lines)
    )


def _days(bank: Bank, lines: Sequence[_Line]) -> Iterator[Statement | StatementError]:
    by_day: dict[date, list[_Line]] = defaultdict(list)
    for line in lines:
        by_day[line.day].append(line)
    for day, booked in sorted(by_day.items()):
        first, last = booked[0], booked[-1]
        statement = Statement(
            statement_id=day.isoformat(),
            account_id=bank.account,
            currency=bank.currency,
            sequence_number=None,
            opening_date=day,
            closing_date=day,
            opening_balance=None if first.balance is None else first.balance - first.entry.amount,
            closing_balance=last.balance,
            created_at=None,
            covers_from=min(by_day),
            covers_to=max(by_day),
            entries=[line.entry for line in booked],
        )
        try:
            yield require_sum(statement, "balance")
        except StatementError as error:
            error.key = statement.statement_id
            yield error


_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)
_REQUIRED_COLUMNS: Final = ("amount", "booking_date", "currency")
_LINES: Final = Table(
    system="bank",
    section="banks",
    name="entries",
    description="Rows of a file while they are read.",
    owner="team:treasury",
    primary_key=("bank_id",),
    columns=tuple(Column(name, kind, "See the mapping.", name in _REQUIRED_COLUMNS) for name, kind in _TYPES.items()),
    keeps_payload=False,
)
