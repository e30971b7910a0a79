"""The dlt source of one ERPNext site."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

import dlt
import msgspec
from dlt.sources import DltResource

from retail_assets.erp.errors import CredentialsError, NotOfferedError, UnexpectedAnswerError
from retail_assets.http import HttpClient, HttpStatusError
from retail_assets.settings import Erp
from retail_assets.sources.erp.rows import Record, decode, difference, encode, number, take, text
from retail_assets.sources.erp.walk import Memory, Position, Row, deletion_rows, not_offered, overlapped, whole
from retail_assets.sources.intake import Intake
from retail_assets.sources.warehouse import SCHEMA_CONTRACT

_PAGE_SIZE: Final = 1000
# Names of documents stand in the address, of which servers take some kilobytes.
_CHUNK: Final = 80
_CURSOR: Final = "modified"
#: The moment at which the last portion of a long load stopped, and which load that was.
_PORTION: Final = "portion"
_DELETED: Final = "Deleted Document"
#: Read whole at each load: the stamps of Bins are not to be relied on, and renamed accounts leave no trace.
_WHOLE: Final = frozenset({"accounts", "stock_levels"})

#: Documents, and the moment from which a walk can go on behind them: none where a moment has more than one page.
Pages = Iterator[tuple[list[bytes], str | None]]
Shape = Callable[["Site", Record], Record]


class _Answer(msgspec.Struct):
    data: list[msgspec.Raw]


class _Head(msgspec.Struct):
    name: str
    modified: str


_ANSWER: Final = msgspec.json.Decoder(_Answer)
_HEAD: Final = msgspec.json.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class Kind:
    """One raw table: its DocType, the fields asked for, and how a row is made.

    ``lines`` are read with it: the DocType of the child table and its fields.
    """

    doctype: str
    fields: tuple[str, ...]
    shape: Shape
    lines: tuple[str, tuple[str, ...]] | None = None


@dataclass
class Site:
    """One site, read as one user.

    Args:
        client: a client with the site's token.
        key_field: the custom field that holds our posting key.
    """

    client: HttpClient
    key_field: str
    notes: list[str] = field(default_factory=list)
    _companies: dict[str, str] | None = None

    def read(self, doctype: str, fields: Sequence[str], **query: Any) -> list[bytes]:
        """One page of a list, each document as the bytes that were sent.

        Raises:
            NotOfferedError: the app is not installed, or the user may not read it.
            CredentialsError: the key is wrong.
        """
        try:
            response = self.client.get(f"api/resource/{doctype}", {"fields": json.dumps(fields), **query})
        except HttpStatusError as error:
            raise _failure(doctype, error) from error
        try:
            return [bytes(raw) for raw in _ANSWER.decode(response.content).data]
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswerError(f"{doctype} did not answer with an ERPNext list: {error}") from error

    def changed(self, doctype: str, fields: Sequence[str], cursor: str | None) -> Pages:
        """Documents changed at or after ``cursor``, by (modified, name).

        ``modified`` has microseconds and moves with every change, cancellation included, so it is followed by value: a
        document that changes meanwhile moves to the end of the list, where it is read again.
        """
        seen: set[tuple[str, str]] = set()
        start = 0
        while True:
            page = self.read(
                doctype,
                fields,
                filters=json.dumps([["modified", ">=", cursor]] if cursor else []),
                order_by="modified asc, name asc",
                limit_start=start,
                limit_page_length=_PAGE_SIZE,
            )
            heads = [head_of(doctype, record) for record in page]
            fresh = [record for record, head in zip(page, heads, strict=True) if (head.name, head.modified) not in seen]
            seen.update((head.name, head.modified) for head in heads)
            # Go on from the last moment seen; only a page that lies within one moment has to be paged by offset.
            moved = bool(heads) and heads[-1].modified != cursor
            if fresh:
                yield fresh, heads[-1].modified if moved else None
            if len(page) < _PAGE_SIZE:
                return
            cursor, start = heads[-1].modified, 0 if moved else start + len(page)

    def with_lines(self, kind: Kind, records: Sequence[bytes]) -> list[bytes]:
        """Put each document's child rows into it as ``items``, as the document itself has them."""
        doctype, fields = kind.lines or ("", ())
        documents = [decode(record) for record in records]
        items: dict[str, list[Record]] = {document["name"]: [] for document in documents}
        astray: list[bytes] = []
        names = sorted(items)
        for first in range(0, len(names), _CHUNK):
            filters = [["parent", "in", names[first : first + _CHUNK]]]
            query = {"parent": kind.doctype, "filters": json.dumps(filters), "limit_page_length": 0}
            for sent in self.read(doctype, fields, order_by="parent asc, idx asc", **query):
                row = decode(sent)
                parent = row.get("parent")
                if isinstance(parent, str) and parent in items:
                    items[parent].append(row)
                else:
                    astray.append(sent)  # It breaks the contract as a document without a name, and is seen there.
        return [*(encode({**document, "items": items[document["name"]]}) for document in documents), *astray]

    def company_of(self, warehouse: Any) -> Any:
        """The company of a warehouse, which a Bin does not name."""
        if self._companies is None:
            found = map(decode, self.read("Warehouse", ["name", "company"], limit_page_length=0))
            self._companies = {record["name"]: record["company"] for record in found}
        return self._companies.get(warehouse) if isinstance(warehouse, str) else None

    def has_key_field(self) -> bool:
        """Whether Journal Entry has our key field; a user may lack the right to see how it is customised."""
        filters = [["dt", "=", "Journal Entry"], ["fieldname", "=", self.key_field]]
        try:
            return bool(self.read("Custom Field", ["name"], filters=json.dumps(filters)))
        except NotOfferedError:
            try:
                self.read("Journal Entry", ["name", self.key_field], limit_page_length=1)
            except HttpStatusError:
                self.notes.append(
                    f"our posting keys are not read: Journal Entry has no field {self.key_field}, or our user may not "
                    "read it (it may not read Custom Field, which would tell)"
                )
                return False
            return True


def head_of(doctype: str, record: bytes) -> _Head:
    """Name and last change of a document."""
    try:
        return _HEAD.decode(record)
    except msgspec.MsgspecError as error:
        raise UnexpectedAnswerError(f"{doctype} did not answer with an ERPNext list: {error}") from error


def _failure(doctype: str, error: HttpStatusError) -> Exception:
    if error.status == HTTPStatus.UNAUTHORIZED:
        return CredentialsError(f"{error.url}: ERPNext refused api_key and api_secret: check them in retail.yaml")
    if error.status == HTTPStatus.FORBIDDEN:
        return NotOfferedError(f"our user may not read {doctype}: give it a role that may (HTTP 403)")
    if error.status == HTTPStatus.NOT_FOUND and b"DoesNotExistError" in error.body:
        return NotOfferedError(f"the site has no DocType {doctype} (HTTP 404)")
    return error


@dataclass
class Everything:
    """All documents of a kind, for ``whole``."""

    site: Site
    kind: Kind

    def newest(self) -> str | None:
        """See ``Records``."""
        return None

    def pages(self, since: str | None, after: Position | None = None) -> Iterator[tuple[list[Row], Position]]:
        """See ``Records``; they are read in one piece."""
        for page, _ in self.site.changed(self.kind.doctype, self.kind.fields, since):
            yield [_row(self.site, self.kind, record) for record in page], []

    def by_ids(self, ids: Iterable[str]) -> Iterator[list[Row]]:
        """See ``Records``; they are read whole instead."""
        raise NotImplementedError

    def ids(self) -> set[str]:
        """See ``Records``; they are read whole instead."""
        raise NotImplementedError


@dlt.source(name="erp", max_table_nesting=0)
def erpnext_source(erp: Erp, intake: Intake) -> Sequence[DltResource]:
    """Books, documents and stock of one ERPNext site; what our user may not read leaves its table empty.

    Args:
        erp: address and keys.
        intake: counts what comes in and quarantines what breaks its contract.
    """
    site = _site(erp)
    memory = Memory()

    def resource(name: str, rows: Any) -> DltResource:
        return dlt.resource(rows, name=name, schema_contract=SCHEMA_CONTRACT, write_disposition="merge")

    def rows_of(name: str) -> Iterator[Any]:
        intake.counts_of(name)
        if name in _WHOLE:
            yield from whole(intake, name, Everything(site, KINDS[name]), memory)
        else:
            yield from _changed(site, intake, name)

    def resource_of(name: str) -> DltResource:
        return resource(name, lambda: rows_of(name))

    return (
        *map(resource_of, KINDS),
        resource("deletions", lambda: _deletions(site, intake)),
    )


def examine(erp: Erp) -> str:
    """What a doctor finds: a sentence when all is well, an exception otherwise."""
    site = _site(erp)
    missing = []
    try:
        for name, kind in KINDS.items():
            try:
                site.read(kind.doctype, ["name"], limit_page_length=1)
            except NotOfferedError as error:
                missing.append(f"{name} ({error})")
    finally:
        site.client.close()
    if len(missing) == len(KINDS):
        raise CredentialsError(f"{erp.base_url}: our user may read nothing: {missing[0]}")
    return f"answers at {erp.base_url}" + (f"; not to be read: {', '.join(missing)}" if missing else "")


def _site(erp: Erp) -> Site:
    client = HttpClient(
        erp.base_url,
        headers={"Authorization": f"token {erp.secret('api_key')}:{erp.secret('api_secret')}"},
        requests_per_second=erp.requests_per_second,
        timeout=erp.timeout_seconds,
        retries=erp.retries,
    )
    return Site(client, erp.option("key_field"))


def _changed(site: Site, intake: Intake, name: str) -> Iterator[Any]:
    """Documents changed since the last load."""
    state = dlt.current.resource_state()
    kind = KINDS[name]
    counts = intake.counts_of(name)
    try:
        fields = [*kind.fields, *([site.key_field] if name == "journal_entries" and site.has_key_field() else [])]
        # Within one load the overlap, which may be longer than a portion, is read once.
        portion = state.pop(_PORTION, {})
        exactly = portion.get("from") if portion.get("load") == intake.now.isoformat() else None
        for page, moment in _since(site, kind.doctype, fields, state.get(_CURSOR), counts.notes, exactly):
            sent = site.with_lines(kind, page) if kind.lines else page
            rows = [_row(site, kind, record) for record in sent]
            yield from take(intake, name, rows, f"{kind.doctype} from {head_of(kind.doctype, page[0]).name}")
            state[_CURSOR] = head_of(kind.doctype, page[-1]).modified
            if moment is not None and intake.portion_full():
                state[_PORTION] = {"from": moment, "load": intake.now.isoformat()}
                intake.more(name)
                return
    except NotOfferedError as error:
        not_offered(intake, name, error)
        return
    if name == "journal_entries":
        counts.notes.extend(site.notes)


def _since(
    site: Site, doctype: str, fields: Sequence[str], cursor: str | None, notes: list[str], exactly: str | None = None
) -> Pages:
    """Pages from the cursor less the overlap; all of them when not even the cursor's own document is there.

    Args:
        exactly: the moment from which to read instead.
    """
    start = exactly or (None if cursor is None else _start(cursor))
    is_empty = True
    for page in site.changed(doctype, fields, start):
        is_empty = False
        yield page
    if is_empty and start is not None:
        notes.append(f"no {doctype} as new as the last one read ({cursor}), as after a restore: all are read")
        yield from site.changed(doctype, fields, None)


def _start(cursor: str) -> str:
    """The cursor less the overlap: ``modified`` is set before the transaction commits, so a long one appears late."""
    start = datetime.fromisoformat(overlapped(cursor))
    return start.isoformat(" ", "microseconds")


def _deletions(site: Site, intake: Intake) -> Iterator[Any]:
    """ERPNext's own list of deletions."""
    state = dlt.current.resource_state()
    intake.counts_of("deletions")
    tables = {kind.doctype: name for name, kind in KINDS.items()}
    fields = ("name", "deleted_doctype", "deleted_name", "restored", "modified")
    notes = intake.counts_of("deletions").notes
    try:
        for page, _ in _since(site, _DELETED, fields, state.get(_CURSOR), notes):
            rows = [
                {
                    "table_name": tables[record["deleted_doctype"]],
                    "id": record["deleted_name"],
                    "is_deleted": not record.get("restored"),
                    "found_by": "deleted_document",
                    "modified": record["modified"],
                }
                for record in map(decode, page)
                if record["deleted_doctype"] in tables
            ]
            yield from deletion_rows(intake, rows)
            state[_CURSOR] = head_of(_DELETED, page[-1]).modified
    except NotOfferedError as error:
        not_offered(intake, "deletions", error)


def _row(site: Site, kind: Kind, payload: bytes) -> Row:
    record = decode(payload)
    return {**kind.shape(site, record), "id": record.get("name"), "modified": record.get("modified")}, payload


def _flag(value: Any) -> Any:
    """A check box: 0 or 1."""
    return bool(value) if value in (0, 1, None) else value


def _account(_: Site, record: Record) -> Record:
    return {
        "code": text(record.get("account_number")),
        "name": record.get("account_name"),
        "company": record.get("company"),
        "account_currency": text(record.get("account_currency")),
        "root_type": record.get("root_type"),
        "account_type": record.get("account_type"),
        "is_group": _flag(record.get("is_group")),
        "is_disabled": _flag(record.get("disabled")),
    }


def _entry(site: Site, record: Record) -> Record:
    return {
        "number": record.get("name"),
        "platform_ref": text(record.get(site.key_field)),
        "company": record.get("company"),
        "entry_type": "entry",
        "posting_date": record.get("posting_date"),
        "docstatus": record.get("docstatus"),
        "total_debit": number(record.get("total_debit")),
        "total_credit": number(record.get("total_credit")),
    }


def _ledger_line(_: Site, record: Record) -> Record:
    return {
        "company": record.get("company"),
        "posting_date": record.get("posting_date"),
        "account_id": record.get("account"),
        "voucher_type": record.get("voucher_type"),
        "voucher_id": record.get("voucher_no"),
        "voucher_number": record.get("voucher_no"),
        "debit": number(record.get("debit")),
        "credit": number(record.get("credit")),
        "currency": text(record.get("account_currency")),
        "currency_amount": difference(
            record.get("debit_in_account_currency"), record.get("credit_in_account_currency")
        ),
        "party": record.get("party"),
        # Cancelling writes reversing lines and marks both sides.
        "docstatus": 2 if record.get("is_cancelled") else 1,
    }


def _invoice(_: Site, record: Record) -> Record:
    return {
        "number": record.get("name"),
        "company": record.get("company"),
        "customer": record.get("customer"),
        "posting_date": record.get("posting_date"),
        "currency": record.get("currency"),
        "total_amount": number(record.get("grand_total")),
        "outstanding_amount": number(record.get("outstanding_amount")),
        "is_return": bool(record.get("is_return")),
        "return_against": text(record.get("return_against")),
        "order_reference": text(record.get("po_no")),
        "docstatus": record.get("docstatus"),
        "status": record.get("status"),
        "payment_status": record.get("status"),
    }


_DIRECTIONS: Final = {"Receive": "receive", "Pay": "pay", "Internal Transfer": "transfer"}


def _payment(_: Site, record: Record) -> Record:
    # What reached the bank is what was received; what left it is what was paid.
    side = "received" if record.get("payment_type") == "Receive" else "paid"
    account = "paid_to" if side == "received" else "paid_from"
    return {
        "number": record.get("name"),
        "company": record.get("company"),
        "party": record.get("party"),
        "direction": _DIRECTIONS.get(str(record.get("payment_type")), record.get("payment_type")),
        "posting_date": record.get("posting_date"),
        "currency": text(record.get(f"{account}_account_currency")),
        "amount": number(record.get(f"{side}_amount")),
        "journal": record.get("mode_of_payment"),
        "reference": text(record.get("reference_no")),
        "docstatus": record.get("docstatus"),
        "status": record.get("status"),
    }


def _rate(_: Site, record: Record) -> Record:
    return {
        "name": record.get("name"),
        "date": record.get("date"),
        "from_currency": record.get("from_currency"),
        "to_currency": record.get("to_currency"),
        "exchange_rate": number(record.get("exchange_rate")),
    }


def _level(site: Site, record: Record) -> Record:
    return {
        "company": site.company_of(record.get("warehouse")),
        "location": record.get("warehouse"),
        "sku": record.get("item_code"),
        "product": record.get("item_code"),
        "on_hand": number(record.get("actual_qty")),
        "reserved": number(record.get("reserved_qty")),
        "unit": record.get("stock_uom"),
    }


def _movement(_: Site, record: Record) -> Record:
    quantity = number(record.get("actual_qty"))
    leaves = isinstance(quantity, str) and quantity.startswith("-")
    day, clock = record.get("posting_date"), record.get("posting_time")
    return {
        "company": record.get("company"),
        "sku": record.get("item_code"),
        "product": record.get("item_code"),
        "quantity": quantity.removeprefix("-") if isinstance(quantity, str) else quantity,
        "unit": record.get("stock_uom"),
        "from_location": record.get("warehouse") if leaves else None,
        "to_location": None if leaves else record.get("warehouse"),
        "moved_on": f"{day} {clock}" if clock else day,
        "voucher_type": record.get("voucher_type"),
        "voucher_id": record.get("voucher_no"),
        "docstatus": 2 if record.get("is_cancelled") else 1,
    }


def _delivery(_: Site, record: Record) -> Record:
    day, clock = record.get("posting_date"), record.get("posting_time")
    posted = record.get("docstatus") == 1
    items = record.get("items") or []
    return {
        "number": record.get("name"),
        "company": record.get("company"),
        "customer": record.get("customer"),
        "is_return": bool(record.get("is_return")),
        "return_against": text(record.get("return_against")),
        "order_reference": text(record.get("po_no")),
        "source_document": next((item.get("against_sales_order") for item in items), None),
        "warehouse": text(record.get("set_warehouse")) or next((item.get("warehouse") for item in items), None),
        "shipped_on": (f"{day} {clock}" if clock else day) if posted else None,
        "carrier": text(record.get("transporter_name")) or text(record.get("transporter")),
        "tracking_number": text(record.get("lr_no")),
        "docstatus": record.get("docstatus"),
        "status": record.get("status"),
        "lines": [
            {
                "id": item.get("name"),
                "sku": item.get("item_code"),
                "product": item.get("item_name"),
                # Negative on a return.
                "quantity": str(number(item.get("qty"))).removeprefix("-") if item.get("qty") is not None else None,
                "unit": item.get("uom"),
                "warehouse": item.get("warehouse"),
                "sales_order": text(item.get("against_sales_order")),
            }
            for item in items
        ],
    }


_HEAD_FIELDS: Final = ("name", "modified")

#: Resource → what ERPNext has for it; it has no journals.
KINDS: Final[Mapping[str, Kind]] = {
    "accounts": Kind(
        "Account",
        (*_HEAD_FIELDS, "account_number", "account_name", "company", "account_currency", "root_type", "account_type",
         "is_group", "disabled"),
        _account,
    ),
    "journal_entries": Kind(
        "Journal Entry",
        (*_HEAD_FIELDS, "company", "posting_date", "docstatus", "total_debit", "total_credit"),
        _entry,
    ),
    "gl_entries": Kind(
        "GL Entry",
        (*_HEAD_FIELDS, "company", "posting_date", "account", "account_currency", "debit", "credit",
         "debit_in_account_currency", "credit_in_account_currency", "voucher_type", "voucher_no", "party",
         "is_cancelled"),
        _ledger_line,
    ),
    "sales_invoices": Kind(
        "Sales Invoice",
        (*_HEAD_FIELDS, "company", "customer", "posting_date", "currency", "grand_total", "outstanding_amount",
         "is_return", "return_against", "po_no", "docstatus", "status"),
        _invoice,
    ),
    "payments": Kind(
        "Payment Entry",
        (*_HEAD_FIELDS, "company", "payment_type", "party", "posting_date", "mode_of_payment", "paid_amount",
         "received_amount", "paid_from_account_currency", "paid_to_account_currency", "reference_no", "docstatus",
         "status"),
        _payment,
    ),
    "exchange_rates": Kind(
        "Currency Exchange", (*_HEAD_FIELDS, "date", "from_currency", "to_currency", "exchange_rate"), _rate
    ),
    "stock_levels": Kind(
        "Bin", (*_HEAD_FIELDS, "item_code", "warehouse", "actual_qty", "reserved_qty", "projected_qty", "stock_uom"),
        _level,
    ),
    "stock_movements": Kind(
        "Stock Ledger Entry",
        (*_HEAD_FIELDS, "company", "item_code", "warehouse", "posting_date", "posting_time", "actual_qty", "stock_uom",
         "voucher_type", "voucher_no", "is_cancelled"),
        _movement,
    ),
    "deliveries": Kind(
        "Delivery Note",
        (*_HEAD_FIELDS, "company", "customer", "posting_date", "posting_time", "is_return", "return_against", "po_no",
         "set_warehouse", "transporter", "transporter_name", "lr_no", "docstatus", "status"),
        _delivery,
        lines=("Delivery Note Item",
               ("name", "parent", "idx", "item_code", "item_name", "qty", "uom", "warehouse", "against_sales_order")),
    ),
}  # fmt: skip
