"""ISO 20022 CAMT.053 bank statements, versions .02 to .13, read element by element.

Namespaces are ignored, so that every version and bank dialect with the standard's element names is read. Money stays
Decimal; a statement is only accepted if its opening balance plus its entries is its closing balance.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Final

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] -- compiled, without stubs

_LARGEST_FILE_BYTES: Final = 256 * 1024 * 1024
# The standard's decimal: no sign, no exponent; Python would also take 1_000, NaN and other scripts' digits.
_AMOUNT: Final = re.compile(r"[0-9]{1,14}(\.[0-9]{0,12})?")
_OPENING: Final = ("OPBD", "PRCD")
_CLOSING: Final = ("CLBD",)


class StatementError(Exception):
    """A file or statement cannot be trusted; says which element holds what, and what was expected."""

    def __init__(self, reason: str, *, element: str | None = None, value: str | None = None, key: str | None = None):
        super().__init__(reason)
        self.reason, self.element, self.value, self.key = reason, element, value, key


@dataclass(frozen=True, slots=True)
class Entry:
    """One booked line; ``amount`` is signed, positive for money that came in."""

    amount: Decimal
    currency: str
    is_reversal: bool
    booking_date: date | None
    value_date: date
    bank_reference: str | None
    end_to_end_id: str | None
    remittance_text: str | None
    counterparty: str | None
    xml: bytes


@dataclass(slots=True)
class Statement:
    """One account's statement with signed balances, in the currency of the account."""

    statement_id: str
    account_id: str
    currency: str
    sequence_number: int | None
    opening_date: date | None
    closing_date: date | None
    opening_balance: Decimal
    closing_balance: Decimal
    created_at: datetime | None
    entries: list[Entry] = field(default_factory=list)


def read_statements(content: bytes) -> Iterator[Statement | StatementError]:
    """Yield each statement of a file, or what is wrong with it; one bad statement does not stop the others.

    Raises:
        StatementError: the file is no readable CAMT.053 at all.
    """
    if len(content) > _LARGEST_FILE_BYTES:
        raise StatementError(f"is larger than {_LARGEST_FILE_BYTES // 1024 // 1024} MB")
    try:
        # Entities and DTDs have no place in a statement; resolving them would let a file read others.
        # A comment inside an element would split its text, and only the part before it would be read.
        parser = etree.XMLParser(
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
        tree = etree.parse(BytesIO(content), parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise StatementError(f"is not well-formed XML at line {line}, column {column}: {error.msg}") from error
    if tree.docinfo.internalDTD is not None:
        raise StatementError("holds a document type definition, which no bank statement needs", element="DOCTYPE")
    root = tree.getroot()
    statements = list(root.iterfind("{*}BkToCstmrStmt/{*}Stmt"))
    if not statements:
        tag = etree.QName(root).localname
        raise StatementError("holds no BkToCstmrStmt/Stmt, so it is no CAMT.053 statement", element=tag)
    for element in statements:
        try:
            yield _statement(element)
        except StatementError as error:
            error.key = error.key or _text(element, "Id")
            yield error


def _statement(element: etree._Element) -> Statement:
    account_id = _text(element, "Acct/Id/IBAN") or _required(element, "Acct/Id/Othr/Id")
    opening, closing = _balance(element, _OPENING), _balance(element, _CLOSING)
    currency = _text(element, "Acct/Ccy") or closing.currency
    entries = [entry for entry in map(_entry, element.iterfind("{*}Ntry")) if entry is not None]
    for part, given in (("Bal", opening), ("Bal", closing), *(("Ntry", entry) for entry in entries)):
        if given.currency != currency:
            reason = f"is not in {currency}, the account's currency"
            raise StatementError(reason, element=f"{part}/Amt/@Ccy", value=given.currency)
    statement = Statement(
        statement_id=_required(element, "Id"),
        account_id=account_id,
        currency=currency,
        sequence_number=_integer(element, "ElctrncSeqNb"),
        opening_date=opening.day,
        closing_date=closing.day,
        opening_balance=opening.amount,
        closing_balance=closing.amount,
        created_at=_moment(element, "CreDtTm"),
        entries=entries,
    )
    total = sum((entry.amount for entry in statement.entries), Decimal(0))
    difference = statement.closing_balance - statement.opening_balance - total
    if difference:
        raise StatementError(
            f"opening balance {statement.opening_balance} plus {len(statement.entries)} entries of {total} is not the "
            f"closing balance {statement.closing_balance}: {difference} {statement.currency} is missing",
            element="Bal",
            value=str(statement.closing_balance),
        )
    return statement


@dataclass(frozen=True, slots=True)
class _Balance:
    amount: Decimal
    currency: str
    day: date | None


def _balance(statement: etree._Element, codes: tuple[str, ...]) -> _Balance:
    for balance in statement.iterfind("{*}Bal"):
        if _text(balance, "Tp/CdOrPrtry/Cd") in codes:
            amount, currency = _signed_amount(balance)
            return _Balance(amount, currency, _date(balance, "Dt"))
    raise StatementError(f"has no balance of type {' or '.join(codes)}", element="Bal")


def _entry(element: etree._Element) -> Entry | None:
    # Sts is a code element since version .03 and plain text before; only booked entries move the balance.
    status = _text(element, "Sts/Cd") or _text(element, "Sts")
    if status not in (None, "BOOK"):
        return None
    amount, currency = _signed_amount(element)
    value_date = _date(element, "ValDt") or _date(element, "BookgDt")
    if value_date is None:
        raise StatementError("has an entry without value date and booking date", element="Ntry/ValDt")
    details = "NtryDtls/TxDtls/"
    side = "Dbtr" if amount >= 0 else "Cdtr"
    return Entry(
        amount=amount,
        currency=currency,
        is_reversal=_text(element, "RvslInd") in ("true", "1"),
        booking_date=_date(element, "BookgDt"),
        value_date=value_date,
        bank_reference=_text(element, "AcctSvcrRef") or _text(element, details + "Refs/AcctSvcrRef"),
        end_to_end_id=_text(element, details + "Refs/EndToEndId"),
        remittance_text=" ".join(_texts(element, details + "RmtInf/Ustrd") or _texts(element, "AddtlNtryInf")) or None,
        counterparty=_text(element, f"{details}RltdPties/{side}/Pty/Nm")
        or _text(element, f"{details}RltdPties/{side}/Nm"),
        xml=etree.tostring(element, with_tail=False),
    )


def _signed_amount(element: etree._Element) -> tuple[Decimal, str]:
    text, currency = _required(element, "Amt"), _find(element, "Amt").get("Ccy")
    amount = Decimal(text) if _AMOUNT.fullmatch(text) else None
    if amount is None or amount != amount.quantize(Decimal("0.0001")):
        raise StatementError("is not an amount from 0 with at most 4 decimals", element="Amt", value=text)
    if not currency:
        raise StatementError("has an amount without a currency", element="Amt/@Ccy", value=text)
    direction = _required(element, "CdtDbtInd")
    if direction not in ("CRDT", "DBIT"):
        raise StatementError("is neither CRDT nor DBIT", element="CdtDbtInd", value=direction)
    return (amount if direction == "CRDT" else -amount), currency


def _path(path: str) -> str:
    return "/".join("{*}" + part for part in path.split("/"))


def _find(element: etree._Element, path: str) -> etree._Element:
    found = element.find(_path(path))
    if found is None:
        raise StatementError(f"lacks the element {path}", element=path)
    return found


def _text(element: etree._Element, path: str) -> str | None:
    found = element.find(_path(path))
    text = found.text.strip() if found is not None and found.text else ""
    return text or None


def _texts(element: etree._Element, path: str) -> list[str]:
    return [found.text.strip() for found in element.iterfind(_path(path)) if found.text and found.text.strip()]


def _required(element: etree._Element, path: str) -> str:
    text = _text(element, path)
    if text is None:
        raise StatementError(f"lacks the element {path}", element=path)
    return text


def _integer(element: etree._Element, path: str) -> int | None:
    text = _text(element, path)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise StatementError("is not a whole number", element=path, value=text) from None


def _date(element: etree._Element, path: str) -> date | None:
    text = _text(element, f"{path}/Dt") or _text(element, f"{path}/DtTm")
    if text is None:
        return None
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise StatementError("is not a date such as 2026-11-05", element=path, value=text) from None


def _moment(element: etree._Element, path: str) -> datetime | None:
    text = _text(element, path)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise StatementError("is not a date and time", element=path, value=text) from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
