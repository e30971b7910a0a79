"""OFX bank statements: version 1 (SGML, end tags left out) and version 2 (XML).

The grammar is small and the packages are either not kept or under the GPL, so it is read here. OFX has no statements
in the bank's sense but downloads that overlap. Each day of a download is therefore taken as one statement: a later
download holds a day anew and as a whole. The balances of the days are reckoned from the one that a download gives, so
that the chain breaks between two downloads if a transaction is in neither.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from html import unescape
from typing import Final

from retail_assets.sources.bank.statements import Entry, Note, Statement, StatementError, amount_of, joined

_TOKEN: Final = re.compile(r"<(/?)([A-Za-z0-9.]+)\s*(/?)>([^<]*)")
_STATEMENTS: Final = ("STMTRS", "CCSTMTRS")
# Those without which nothing can be read: one that is not closed was cut off.
_AGGREGATES: Final = ("OFX", *_STATEMENTS, "BANKTRANLIST", "STMTTRN", "BANKACCTFROM", "LEDGERBAL")
_MOMENT: Final = re.compile(
    r"([0-9]{4})([0-9]{2})([0-9]{2})(?:([0-9]{2})([0-9]{2})([0-9]{2})?(?:\.[0-9]+)?)?\s*(?:\[([+-]?[0-9.]+)(?::\w+)?\])?"
)
_CHARSETS: Final = {"1252": "cp1252", "ISO-8859-1": "latin-1", "8859-1": "latin-1", "UTF-8": "utf-8", "NONE": "utf-8"}


@dataclass(slots=True)
class _Node:
    """An aggregate: its own elements by name, aggregates in order, and the text it was read from."""

    name: str
    start: int
    end: int = 0
    values: dict[str, str] = field(default_factory=dict)
    children: list["_Node"] = field(default_factory=list)

    def find(self, *names: str) -> "Iterator[_Node]":
        for child in self.children:
            if child.name in names:
                yield child
            yield from child.find(*names)


def read_statements(content: bytes, currency: str | None = None) -> Iterator[Statement | StatementError | Note]:
    """Yield a statement for each day of each account, what is wrong with an account, and what to know of it.

    Args:
        currency: that of the account, for files which do not say it.

    Raises:
        StatementError: the file is no OFX at all.
    """
    text = _decoded(content)
    begin = re.search(r"<OFX\s*>", text, re.IGNORECASE)
    if begin is None:
        raise StatementError("holds no <OFX>, so it is no OFX file", element="OFX")
    if re.search(r"<!(?:DOCTYPE|ENTITY)", text[: begin.start()], re.IGNORECASE):
        raise StatementError("holds a document type definition, which no OFX file needs", element="DOCTYPE")
    root = _tree(text, begin.start())
    made = next((node.values.get("DTSERVER") for node in root.find("SONRS")), None)
    accounts = list(root.find(*_STATEMENTS))
    if not accounts:
        raise StatementError("holds no STMTRS, so there is no statement in it", element="STMTRS")
    for account in accounts:
        try:
            yield from _days(account, text, _moment(made, "DTSERVER") if made else None, currency)
        except StatementError as error:
            error.key = error.key or next((node.values.get("ACCTID") for node in account.find("BANKACCTFROM")), None)
            yield error


def _decoded(content: bytes) -> str:
    head = content[:1000].decode("latin-1")
    if "encoding=" in head:
        match = re.search(r"""encoding=["']([^"']+)""", head)
    else:
        match = re.search(r"^CHARSET:\s*(\S+)", head, re.MULTILINE)
        if re.search(r"^ENCODING:\s*UTF-?8", head, re.MULTILINE):
            match = None
    name = match[1] if match else "utf-8"
    for encoding in (_CHARSETS.get(name.upper(), name), "cp1252"):
        try:
            return content.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return content.decode("latin-1")


def _tree(text: str, start: int) -> _Node:
    """The aggregates of a file. An element has a text behind its tag; an aggregate has none and is always closed."""
    root = _Node("", start)
    open_nodes = [root]
    closed = set(_AGGREGATES) | {match[1].upper() for match in re.finditer(r"</([A-Za-z0-9.]+)\s*>", text)}
    for match in _TOKEN.finditer(text, start):
        ends, name, empty, value = match[1], match[2].upper(), match[3], match[4].strip()
        if ends:
            names = [node.name for node in open_nodes]
            if name in names[1:]:
                while open_nodes[-1].name != name:
                    open_nodes.pop()
                open_nodes.pop().end = match.start() + len(match[0]) - len(match[4])
            continue
        if value or empty:
            open_nodes[-1].values.setdefault(name, unescape(value))
        elif name in closed:
            node = _Node(name, match.start())
            open_nodes[-1].children.append(node)
            open_nodes.append(node)
    if len(open_nodes) > 1:
        raise StatementError(f"ends inside {open_nodes[-1].name}: it was cut off", element=open_nodes[-1].name)
    return root


def _days(account: _Node, text: str, made: datetime | None, declared: str | None) -> Iterator[Statement | Note]:
    source = next(account.find("BANKACCTFROM", "CCACCTFROM"), None)
    account_id = source.values.get("ACCTID") if source else None
    if source is None or account_id is None:
        raise StatementError("lacks the element BANKACCTFROM/ACCTID", element="ACCTID")
    bank_id = source.values.get("BANKID")
    currency = (account.values.get("CURDEF") or "").upper()
    if not currency and declared:
        currency = declared
        yield Note(f"account {account_id} has no CURDEF: its amounts are taken as {currency}, as retail.yaml says")
    if not re.fullmatch("[A-Z]{3}", currency):
        raise StatementError("is no currency", element="CURDEF", value=currency)
    transactions = next(account.find("BANKTRANLIST"), None)
    read = [_entry(node, currency, text) for node in (transactions.find("STMTTRN") if transactions else ())]
    entries, notes = _told_apart(read)
    yield from notes
    covers = [_covered(transactions, name) for name in ("DTSTART", "DTEND")]
    balance = next(account.find("LEDGERBAL"), None)
    closing, as_of = None, None
    if balance is not None:
        try:
            closing, as_of = _ledger_balance(balance)
        except StatementError as error:
            # What it says about the account is lost; what was booked is not.
            shown = f" ({error.value})" if error.value else ""
            yield Note(f"LEDGERBAL of account {account_id} is not used: {error.element} {error.reason}{shown}")
    by_day: dict[date, list[Entry]] = {}
    for entry in entries:
        by_day.setdefault(entry.booking_date or entry.value_date, []).append(entry)
    if closing is not None and as_of is not None and covers[1] is not None and as_of > covers[1]:
        closing = None  # What was booked between the last day of the download and the balance is not known.
    if not entries:
        if closing is None or as_of is None or covers[0] is None or covers[1] is None or as_of < covers[0]:
            # A day that the download does not cover may have lines, which an empty one would replace.
            yield Note(f"account {account_id} has no transactions, and no balance of a day that the download covers")
            return
        by_day[as_of] = []
    for day, booked in sorted(by_day.items()):
        ends = None
        if closing is not None and as_of is not None:
            ends = closing - _total(by_day, day, as_of) + _total(by_day, as_of, day)
        yield Statement(
            statement_id=day.isoformat(),
            account_id=f"{bank_id}/{account_id}" if bank_id else account_id,
            currency=currency,
            sequence_number=None,
            opening_date=day,
            closing_date=day,
            opening_balance=None if ends is None else ends - sum((entry.amount for entry in booked), Decimal(0)),
            closing_balance=ends,
            created_at=made,
            covers_from=covers[0],
            covers_to=covers[1],
            entries=booked,
        )


def _told_apart(entries: Sequence[Entry]) -> tuple[list[Entry], list[Note]]:
    """Each transaction once. A FITID names one transaction, so that a copy is none; another one under it is."""
    by_reference: dict[str, list[Entry]] = {}
    kept: list[Entry] = []
    notes: list[Note] = []
    for entry in entries:
        reference = entry.bank_reference
        if not reference:
            kept.append(entry)
            continue
        facts = replace(entry, payload=b"")
        known = by_reference.setdefault(reference, [])
        if facts in known:
            notes.append(Note(f"FITID {reference} is there twice with the same content: it is counted once"))
            continue
        known.append(facts)
        if len(known) > 1:
            entry = replace(entry, bank_reference=f"{reference}#{len(known)}")
            notes.append(
                Note(f"FITID {reference} is there with different content: both are kept, one as {entry.bank_reference}")
            )
        kept.append(entry)
    return kept, notes


def _total(by_day: dict[date, list[Entry]], after: date, until: date) -> Decimal:
    """What was booked after a day, up to another one."""
    days = (entries for day, entries in by_day.items() if after < day <= until)
    return sum((entry.amount for entries in days for entry in entries), Decimal(0))


def _covered(transactions: _Node | None, name: str) -> date | None:
    value = transactions.values.get(name) if transactions else None
    return _moment(value, name).date() if value else None


def _ledger_balance(balance: _Node) -> tuple[Decimal, date]:
    for name in ("BALAMT", "DTASOF"):
        if name not in balance.values:
            raise StatementError(f"lacks the element LEDGERBAL/{name}", element=name)
    return _signed(balance.values["BALAMT"], "BALAMT"), _moment(balance.values["DTASOF"], "DTASOF").date()


def _entry(node: _Node, currency: str, text: str) -> Entry:
    values = node.values
    if "CORRECTFITID" in values:
        reason = "corrects another transaction, which nobody here takes back: ask the bank for a download without it"
        raise StatementError(reason, element="CORRECTFITID", value=values["CORRECTFITID"])
    for name in ("DTPOSTED", "TRNAMT"):
        if not values.get(name):
            raise StatementError(f"has a transaction without {name}", element=name, value=values.get("FITID"))
    booked = _moment(values["DTPOSTED"], "DTPOSTED").date()
    valued = _moment(values["DTAVAIL"], "DTAVAIL").date() if values.get("DTAVAIL") else booked
    payee = next(node.find("PAYEE"), None)
    own = next(node.find("CURRENCY", "ORIGCURRENCY"), None)
    if own is not None and own.name == "CURRENCY" and own.values.get("CURSYM", currency).upper() != currency:
        raise StatementError(f"is not in {currency}, the account's currency", element="CURSYM", value=str(own.values))
    name = values.get("NAME") or (payee.values.get("NAME") if payee else None)
    return Entry(
        amount=_signed(values["TRNAMT"], "TRNAMT"),
        currency=currency,
        is_reversal=False,
        booking_date=booked,
        value_date=valued,
        bank_reference=values.get("FITID"),
        end_to_end_id=values.get("REFNUM") or values.get("CHECKNUM"),
        # Many banks have only 32 characters of NAME and put the sender's text there.
        remittance_text=joined([name, values.get("MEMO")]),
        counterparty=name,
        payload=text[node.start : node.end].encode("utf-8", "surrogatepass"),
    )


def _signed(text: str, element: str) -> Decimal:
    stripped = text.strip()
    sign = -1 if stripped.startswith("-") else 1
    return sign * amount_of(stripped.lstrip("+-") if stripped[:1] in "+-" else stripped, element)


def _moment(text: str, element: str) -> datetime:
    match = _MOMENT.match(text.strip())
    if match is None:
        raise StatementError("is not a time such as 20261105120000", element=element, value=text)
    year, month, day, hour, minute, second, offset = match.groups()
    try:
        zone = timezone(timedelta(hours=float(offset))) if offset else UTC
        return datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=zone
        )
    except ValueError:
        raise StatementError("is not a time such as 20261105120000", element=element, value=text) from None
