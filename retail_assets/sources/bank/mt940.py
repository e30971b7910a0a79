"""SWIFT MT940 bank statements: mt-940 takes the fields apart, this module decides what may be trusted.

The package merges all statements of a file into one, gives nothing for what it cannot read, and has the sign of a
taken-back credit (RC) wrong. So each statement is cut out here, its lines are counted, and signs and balances are ours.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

import mt940

from retail_assets.sources.bank.statements import Entry, Statement, StatementError, amount_of, joined, require_sum

# :NS: holds what a bank adds of its own, to the statement or to a line.
_TAG: Final = re.compile(r"^:([0-9]{2}[A-Z]?|NS):", re.MULTILINE)
# The end of a message, with the trailer of its envelope on the same line or not, or the header of the next one.
_END: Final = re.compile(r"^(?:-\}?(?:\{.*)?|\{.*)\s*$", re.MULTILINE)
_BALANCE: Final = re.compile(r"([CD])([0-9]{6})([A-Z]{3})([0-9]+,?[0-9]*)")
# Some banks (ASN, Citi) keep the place of an entry date that they do not give with blanks.
_LINE: Final = re.compile(r"([0-9]{6})([0-9]{4}| {4})?(RC|RD|C|D)([A-Z])?([0-9]+,?[0-9]*)(?=[A-Z])")
_SIGNS: Final = {"C": 1, "D": -1, "RC": -1, "RD": 1}
# A file may be in what SWIFT allows (ASCII), or in what the bank's machine uses.
_ENCODINGS: Final = ("utf-8-sig", "cp1252", "latin-1")

Field = tuple[str, str, str]


def read_statements(content: bytes) -> Iterator[Statement | StatementError]:
    """Yield each statement of a file, or what is wrong with it; one bad statement does not stop the others.

    Raises:
        StatementError: the file is no MT940 at all.
    """
    text = _decoded(content).replace("\r\n", "\n").replace("\r", "\n")
    starts = [match.start() for match in re.finditer(r"^:20:", text, re.MULTILINE)]
    if not starts:
        raise StatementError("holds no field :20:, so it is no MT940 statement", element=":20:")
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        # What stands behind a statement: the end of its message, and the header of the next one.
        body = _END.split(text[start:end], maxsplit=1)[0]
        fields = list(_fields(body))
        try:
            yield _statement(fields)
        except StatementError as error:
            error.key = error.key or _value(fields, "20") or None
            yield error


def _decoded(content: bytes) -> str:
    for encoding in _ENCODINGS:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise AssertionError("latin-1 takes every byte")


def _fields(body: str) -> Iterator[Field]:
    """(tag, value, text as written) of each field, in order."""
    matches = list(_TAG.finditer(body))
    for match, following in zip(matches, [*matches[1:], None], strict=True):
        written = body[match.start() : following.start() if following else len(body)]
        yield match[1], written[match.end() - match.start() :].strip("\n "), written


def _value(fields: Sequence[Field], *tags: str) -> str | None:
    return next((value for tag, value, _ in fields if tag in tags), None)


def _statement(fields: Sequence[Field]) -> Statement:
    account = _required(fields, "25", "25P").split("\n")[0].strip()
    number, _, page = (_value(fields, "28C", "28") or "").partition("/")
    opening, opened, currency = _balance(fields, "60F", "60M")
    closing, closed, closing_currency = _balance(fields, "62F", "62M")
    if closing_currency != currency:
        raise StatementError(
            f"is not in {currency}, as the opening balance is", element=":62F:", value=closing_currency
        )
    entries = _entries(fields, currency)
    reference = _value(fields, "20") or "?"
    # Banks start their numbers again each year, and many write the same reference in every statement.
    parts = [closed.isoformat(), number.strip() or reference, *([page.strip()] if page.strip() else [])]
    statement = Statement(
        statement_id="-".join(parts),
        account_id=account,
        currency=currency,
        sequence_number=int(number) if number.strip().isdigit() else None,
        opening_date=opened,
        closing_date=closed,
        opening_balance=opening,
        closing_balance=closing,
        created_at=None,
        entries=entries,
    )
    return require_sum(statement, ":62F:")


def _balance(fields: Sequence[Field], *tags: str) -> tuple[Decimal, date, str]:
    value = _required(fields, *tags)
    match = _BALANCE.fullmatch(value)
    if match is None:
        raise StatementError("is not a balance such as C261105EUR1234,50", element=f":{tags[0]}:", value=value)
    side, day, currency, amount = match.groups()
    return _SIGNS[side] * amount_of(amount, f":{tags[0]}:"), _day(day, f":{tags[0]}:"), currency


def _required(fields: Sequence[Field], *tags: str) -> str:
    value = _value(fields, *tags)
    if not value:
        raise StatementError(f"lacks the field :{tags[0]}:", element=f":{tags[0]}:")
    return value


def _entries(fields: Sequence[Field], currency: str) -> list[Entry]:
    lines: list[list[Field]] = []
    for position, line in enumerate(fields):
        if line[0] == "61":
            lines.append([line])
        elif line[0] == "86" and position and fields[position - 1][0] == "61":
            lines[-1].append(line)
    return [_entry(line, currency) for line in lines]


def _entry(line: Sequence[Field], currency: str) -> Entry:
    value = line[0][1]
    match = _LINE.match(value)
    if match is None:
        raise StatementError("is not a line such as 2611051105C12,50NTRFNONREF", element=":61:", value=value[:80])
    valued, booked, side, _, text = match.groups()
    value_date = _day(valued, ":61:")
    found = _taken_apart(line, currency)
    own_words = [] if found.get("purpose") else [found.get("transaction_details")]
    references = str(found.get("customer_reference") or "").split("\n")
    customer = next((part for part in references if part not in ("", "NONREF")), None)
    return Entry(
        amount=_SIGNS[side] * amount_of(text, ":61:"),
        currency=currency,
        is_reversal=side in ("RC", "RD"),
        booking_date=_booked(booked, value_date) if booked and booked.strip() else value_date,
        value_date=value_date,
        bank_reference=_text(found.get("bank_reference")),
        end_to_end_id=_text(found.get("end_to_end_reference")) or customer,
        remittance_text=joined(map(_text, [found.get("purpose"), *own_words, found.get("extra_details")])),
        counterparty=_text(_name(line) or found.get("applicant_name")),
        payload="".join(written for _, _, written in line).encode("utf-8"),
    )


def _taken_apart(line: Sequence[Field], currency: str) -> dict[str, Any]:
    """The parts of one line and its information field, as mt-940 reads them."""
    # The package wants a statement around a line, and gives nothing at all for one that it cannot read.
    written = "".join(part for _, _, part in line)
    faults: list[Exception] = []
    # Some banks (ASN) write an account where SWIFT has room for a reference of 16 characters.
    variants: list[dict[int | str, mt940.tags.Tag]] = [{}, {mt940.tags.StatementASNB.id: mt940.tags.StatementASNB()}]
    for tags in variants:
        try:
            read = mt940.models.Transactions(tags=tags)
            read.parse(f":20:X\n:25:X\n:28C:1\n:60F:C000101{currency}0,\n{written}\n")
            (transaction,) = read
            return transaction.data
        except (ValueError, AssertionError, RuntimeError, KeyError) as error:
            faults.append(error)
    value = line[0][1][:80]
    raise StatementError(f"cannot be taken apart: {faults[0]}", element=":61:", value=value) from faults[0]


def _name(line: Sequence[Field]) -> str | None:
    """The other side's name by the German subfields ?32 and ?33; the package runs the account (?31) into it."""
    if len(line) == 1 or not re.match(r"[0-9]{3}\?", line[1][1]):
        return None
    text = line[1][1].replace("\n", "")
    return "".join(re.findall(r"\?3[23]([^?]*)", text)).strip() or None


def _booked(text: str, value_date: date) -> date:
    """The booking date has no year: it is the day nearest to the value date."""
    candidates = []
    for year in (value_date.year - 1, value_date.year, value_date.year + 1):
        try:
            candidates.append(date(year, int(text[:2]), int(text[2:])))
        except ValueError:
            continue
    if not candidates:
        raise StatementError("is not a day of the form MMDD", element=":61:", value=text)
    return min(candidates, key=lambda day: abs(day - value_date))


def _day(text: str, element: str) -> date:
    try:
        return date(2000 + int(text[:2]), int(text[2:4]), int(text[4:6]))
    except ValueError:
        raise StatementError("is not a day of the form YYMMDD", element=element, value=text) from None


def _text(value: object) -> str | None:
    return " ".join(str(value).split()) or None if value else None
