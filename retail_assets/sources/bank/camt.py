"""ISO 20022 CAMT.053 bank statements, versions .02 to .13, read element by element.

Namespaces are ignored, so that every version and bank dialect with the standard's element names is read. An entry that
books several payments at once (a batch) stays one entry, as on the account, and keeps the payments as its details.

A statement may come in pages, each in a message of its own (StmtPgntn, or MsgPgntn of the message). Each page is taken
as a statement under the bank's id and its number, from the balance that the page before ended with to the one it ends
with itself. So every page loads when it arrives, and the chain of balances breaks where a page is missing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Final

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] -- compiled, without stubs

from retail_assets.sources.bank.statements import (
    Detail,
    Entry,
    Statement,
    StatementError,
    amount_of,
    joined,
    require_sum,
)

_OPENING: Final = ("OPBD", "PRCD")
_CLOSING: Final = ("CLBD",)
#: Where a page ends and the next one begins; booked before available.
_INTERIM: Final = (("ITBD",), ("ITAV",))
_LARGEST_PAGE: Final = 99_999
_ENTRIES: Final = re.compile(rb"<((?:[\w.-]+:)?Ntry)(?:\s[^>]*)?>.*?</\1\s*>", re.DOTALL)


def read_statements(content: bytes) -> Iterator[Statement | StatementError]:
    """Yield each statement of a file, or what is wrong with it; one bad statement does not stop the others.

    Raises:
        StatementError: the file is no readable CAMT.053 at all.
    """
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
    written = _entries_as_written(content, root, tree.docinfo.encoding or "UTF-8")
    before: Statement | None = None
    for element in statements:
        try:
            statement = _statement(element, written, before)
            before = statement
            yield statement
        except StatementError as error:
            error.key = error.key or _text(element, "Id")
            yield error


def _entries_as_written(content: bytes, root: etree._Element, encoding: str) -> dict[etree._Element, bytes]:
    """The entries' own bytes (as UTF-8); none if they cannot be told apart with certainty."""
    elements = list(root.iterfind("{*}BkToCstmrStmt/{*}Stmt/{*}Ntry"))
    if b"<!--" in content or b"<![CDATA[" in content:
        return {}
    parts = [match[0] for match in _ENTRIES.finditer(content)]
    if len(parts) != len(elements):
        return {}
    try:
        texts = [part.decode(encoding).encode() for part in parts]
    except (UnicodeDecodeError, LookupError):
        return {}
    return dict(zip(elements, texts, strict=True))


def _statement(
    element: etree._Element, written: dict[etree._Element, bytes], before: Statement | None = None
) -> Statement:
    """A statement, or a page of one; ``before`` is what came before it in the file."""
    account_id = _text(element, "Acct/Id/IBAN") or _required(element, "Acct/Id/Othr/Id")
    entries = []
    for part in element.iterfind("{*}Ntry"):
        entry = _entry(part)
        if entry is not None:
            entries.append(replace(entry, payload=written[part]) if part in written else entry)
    identifier, page = _required(element, "Id"), _page(element, entries)
    if page is None:
        opening, closing = _balance(element, _OPENING), _balance(element, _CLOSING)
    else:
        opening, closing = _page_balances(element, page)
        identifier = f"{identifier}/{page.number:05d}"
    given = [balance for balance in (opening, closing) if balance is not None]
    currency = _text(element, "Acct/Ccy") or next((one.currency for one in [*given[::-1], *entries]), None)
    if currency is None:
        raise StatementError("has no currency: neither its account, nor a balance or an entry", element="Acct/Ccy")
    for part, one in (*(("Bal", balance) for balance in given), *(("Ntry", entry) for entry in entries)):
        if one.currency != currency:
            reason = f"is not in {currency}, the account's currency"
            raise StatementError(reason, element=f"{part}/Amt/@Ccy", value=one.currency)
    statement = Statement(
        statement_id=identifier,
        account_id=account_id,
        currency=currency,
        sequence_number=_integer(element, "ElctrncSeqNb"),
        opening_date=opening.day if opening else None,
        closing_date=closing.day if closing else None,
        opening_balance=opening.amount if opening else None,
        closing_balance=closing.amount if closing else None,
        created_at=_moment(element, "CreDtTm"),
        covers_from=_date(element, "FrToDt", "FrDtTm"),
        covers_to=_date(element, "FrToDt", "ToDtTm"),
        entries=entries,
    )
    if page is not None:
        _continue(statement, before, element)
    try:
        return require_sum(statement, "Bal")
    except StatementError as error:
        error.key = identifier
        raise


@dataclass(frozen=True, slots=True)
class _Page:
    """One of several pages, from 1."""

    number: int
    is_last: bool


def _page(element: etree._Element, entries: Sequence[Entry]) -> _Page | None:
    """Which page a statement is; None for one that is whole.

    Pages of a message say nothing about those of its statements that are in it from one balance to the other.
    """
    own = element.find("{*}StmtPgntn")
    paged = own if own is not None else element.getparent().find("{*}GrpHdr/{*}MsgPgntn")
    if paged is None:
        return None
    number = _integer(paged, "PgNb")
    page = _Page(1 if number is None else number, _text(paged, "LastPgInd") in ("true", "1"))
    if not 1 <= page.number <= _LARGEST_PAGE:
        raise StatementError("is no page number", element="PgNb", value=str(number))
    if page.number == 1 and page.is_last:
        return None
    opening, closing = _find_balance(element, _OPENING), _find_balance(element, _CLOSING)
    if own is None and opening is not None and closing is not None:
        total = sum((entry.amount for entry in entries), Decimal(0))
        return None if opening.amount + total == closing.amount else page
    return page


def _page_balances(element: etree._Element, page: _Page) -> "tuple[_Balance | None, _Balance | None]":
    """What a page begins and ends with, as far as it says so.

    Some banks repeat the balances of the whole statement on each page: they are believed on the first and the last.
    """
    interim = next((found for codes in _INTERIM if (found := _balances(element, codes))), [])
    opening = _find_balance(element, _OPENING) if page.number == 1 else None
    closing = _find_balance(element, _CLOSING) if page.is_last else None
    if page.number > 1 and interim and (page.is_last or len(interim) > 1):
        opening = interim[0]
    if not page.is_last and interim:
        closing = interim[-1]
    return opening, closing


def _continue(page: Statement, before: Statement | None, element: etree._Element) -> None:
    """Fill in the balance that a page leaves out: by the page before it, if the file has it, or by its entries."""
    base, _, number = page.statement_id.rpartition("/")
    follows = before is not None and before.statement_id == f"{base}/{int(number) - 1:05d}"
    if follows and before is not None and before.account_id == page.account_id and page.opening_balance is None:
        page.opening_balance = before.closing_balance
    total = sum((entry.amount for entry in page.entries), Decimal(0))
    if page.closing_balance is None and page.opening_balance is not None:
        page.closing_balance = page.opening_balance + total
    elif page.opening_balance is None and page.closing_balance is not None:
        page.opening_balance = page.closing_balance - total
    # Pages are put in order by their dates first.
    said = [*_balances(element, _CLOSING), *(one for codes in _INTERIM for one in _balances(element, codes))]
    days = [*(one.day for one in said if one.day), *(entry.booking_date or entry.value_date for entry in page.entries)]
    page.closing_date = page.closing_date or (days[0] if said and days else max(days, default=page.covers_to))


@dataclass(frozen=True, slots=True)
class _Balance:
    amount: Decimal
    currency: str
    day: date | None


def _balances(statement: etree._Element, codes: tuple[str, ...]) -> list[_Balance]:
    found = []
    for balance in statement.iterfind("{*}Bal"):
        if _text(balance, "Tp/CdOrPrtry/Cd") in codes:
            amount, currency = _signed_amount(balance)
            found.append(_Balance(amount, currency, _date(balance, "Dt")))
    return found


def _find_balance(statement: etree._Element, codes: tuple[str, ...]) -> _Balance | None:
    return next(iter(_balances(statement, codes)), None)


def _balance(statement: etree._Element, codes: tuple[str, ...]) -> _Balance:
    found = _find_balance(statement, codes)
    if found is None:
        raise StatementError(f"has no balance of type {' or '.join(codes)}", element="Bal")
    return found


def _entry(element: etree._Element) -> Entry | None:
    # Sts is a code element since version .03 and plain text before; only booked entries move the balance.
    status = _text(element, "Sts/Cd") or _text(element, "Sts")
    if status not in (None, "BOOK"):
        return None
    amount, currency = _signed_amount(element)
    value_date = _date(element, "ValDt") or _date(element, "BookgDt")
    if value_date is None:
        raise StatementError("has an entry without value date and booking date", element="Ntry/ValDt")
    details = tuple(_detail(part, amount, currency) for part in element.iterfind("{*}NtryDtls/{*}TxDtls"))
    end_to_end = {detail.end_to_end_id for detail in details} - {None}
    return Entry(
        amount=amount,
        currency=currency,
        is_reversal=_text(element, "RvslInd") in ("true", "1"),
        booking_date=_date(element, "BookgDt"),
        value_date=value_date,
        bank_reference=_text(element, "AcctSvcrRef") or _text(element, "NtryDtls/TxDtls/Refs/AcctSvcrRef"),
        # Of a batch no single reference is that of the entry.
        end_to_end_id=end_to_end.pop() if len(end_to_end) == 1 else None,
        remittance_text=joined(detail.remittance_text for detail in details) or joined(_texts(element, "AddtlNtryInf")),
        counterparty=details[0].counterparty if len({detail.counterparty for detail in details}) == 1 else None,
        payload=etree.tostring(element, with_tail=False),
        details=details if len(details) > 1 else (),
    )


def _detail(element: etree._Element, entry_amount: Decimal, currency: str) -> Detail:
    found = element.find(_path("Amt"))
    if found is None:  # Until version .03 the amount of a part stood one level deeper.
        found = element.find(_path("AmtDtls/TxAmt/Amt"))
    amount = None
    if found is not None and found.text:
        sides = {"CRDT": 1, "DBIT": -1}
        sign = sides.get(_text(element, "CdtDbtInd") or "", 1 if entry_amount >= 0 else -1)
        amount = sign * amount_of(found.text, "TxDtls/Amt")
    side = "Dbtr" if entry_amount >= 0 else "Cdtr"
    return Detail(
        amount=amount,
        currency=(found.get("Ccy") if found is not None else None) or currency,
        end_to_end_id=_text(element, "Refs/EndToEndId"),
        remittance_text=joined([*_texts(element, "RmtInf/Ustrd"), *_texts(element, "RmtInf/Strd/CdtrRefInf/Ref")]),
        counterparty=_text(element, f"RltdPties/{side}/Pty/Nm") or _text(element, f"RltdPties/{side}/Nm"),
    )


def _signed_amount(element: etree._Element) -> tuple[Decimal, str]:
    text, currency = _required(element, "Amt"), _find(element, "Amt").get("Ccy")
    if "," in text:
        raise StatementError("is not an amount from 0 with at most 4 decimals", element="Amt", value=text)
    amount = amount_of(text, "Amt")
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


def _date(element: etree._Element, path: str, leaf: str | None = None) -> date | None:
    text = _text(element, f"{path}/{leaf}") if leaf else _text(element, f"{path}/Dt") or _text(element, f"{path}/DtTm")
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
