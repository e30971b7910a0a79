"""The dlt source of one Tryton database (8.0; 7.0 over JSON-RPC).

``write_date`` is null until a record's first change, so both it and ``create_date`` are followed. What belongs to a
company is read with that company in the context.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import dlt
from dlt.sources import DltResource

from retail_assets.erp.errors import NotOfferedError
from retail_assets.erp.tryton_client import TrytonClient, moment
from retail_assets.settings import Erp
from retail_assets.sources.erp.rows import Record, decode, difference, encode, number, text
from retail_assets.sources.erp.walk import Memory, Position, Row, changed, compared, whole
from retail_assets.sources.intake import Intake
from retail_assets.sources.warehouse import SCHEMA_CONTRACT

_PAGE_SIZE: Final = 1000
_ID_PAGE: Final = 50_000
# Ids stand in the address with REST.
_CHUNK: Final = 200
_STAMPS: Final = ("create_date", "write_date")

_STATES: Final[Mapping[str, int]] = {
    "draft": 0, "validated": 0, "posted": 1, "paid": 1, "cancelled": 2, "waiting": 0, "assigned": 0, "picked": 0,
    "packed": 0, "shipped": 1, "received": 0, "done": 1, "staging": 0,
}  # fmt: skip

Shape = Callable[["Books", Record], Record]


@dataclass
class Books:
    """What rows need besides their own record: companies with their currencies, rates, our key field."""

    client: TrytonClient
    key_field: str
    _companies: list[Record] | None = None
    _rates: dict[str, list[tuple[date, Decimal]]] | None = None
    _has_key: bool | None = None

    def companies(self) -> list[Record]:
        """The companies our user may see: id, rec_name and currency."""
        if self._companies is None:
            sent = self.client.search_read("company.company", [], ["rec_name", "currency.code"], {})
            self._companies = [plain(decode(record)) for record in sent]
        return self._companies

    def has_key(self) -> bool:
        """Whether account.move has our key field: it comes with a small module."""
        if self._has_key is None:
            self._has_key = self.client.has_field("account.move", self.key_field, self.context())
        return self._has_key

    def context(self) -> dict[str, Any]:
        """The context of what belongs to no company."""
        companies = self.companies()
        return {"company": companies[0]["id"]} if companies else {}

    def rate_of(self, currency: str, day: date) -> Decimal:
        """Tryton's rate of a currency on a day; rates are relative to each other, 1 for one without any."""
        if self._rates is None:
            self._rates = {}
            fields = ["date", "rate", "currency.code"]
            order = [["date", "ASC"], ["id", "ASC"]]
            for sent in self.client.search_read("currency.currency.rate", [], fields, self.context(), order=order):
                record = plain(decode(sent))
                rates = self._rates.setdefault(record["currency"]["code"], [])
                rates.append((date.fromisoformat(record["date"]), Decimal(record["rate"])))
        latest = Decimal(1)
        for start, rate in self._rates.get(currency, []):
            if start <= day:
                latest = rate
        return latest


@dataclass(frozen=True, slots=True)
class Kind:
    """One raw table: its model, the paths asked for, and how a row is made.

    ``company`` is the path to the record's company, None for what all companies share. ``prefix`` keeps the ids of
    several models in one table apart. ``moves_with`` are the paths to records whose changes change this one too without
    stamping it.
    """

    model: str
    fields: tuple[str, ...]
    shape: Shape
    domain: tuple[Any, ...] = ()
    company: str | None = "company"
    prefix: str = ""
    moves_with: tuple[str, ...] = ()


@dataclass
class TrytonRecords:
    """The records of one kind."""

    kind: Kind
    books: Books

    def newest(self) -> str | None:
        """See ``Records``."""
        stamps = []
        for context, domain in self._views():
            for field, order in (("write_date", "DESC NULLS LAST"), ("create_date", "DESC")):
                found = self._search(domain, [field], context, order=[[field, order]], limit=1)
                stamps += [plain(decode(record)).get(field) for record in found]
        return max((stamp for stamp in stamps if stamp), default=None)

    def pages(self, since: str | None, after: Position | None = None) -> Iterator[tuple[list[Row], Position]]:
        """See ``Records``; a position is a company, None where all share the records, and an id."""
        moved: list[Any] = []
        if since is not None:
            start = moment(since)
            untouched = [["write_date", "=", None], ["create_date", ">=", start]]
            others = [[f"{path}.{stamp}", ">=", start] for path in self.kind.moves_with for stamp in _STAMPS]
            moved = [["OR", ["write_date", ">=", start], untouched, *others]]
        reached, last = after or (None, 0)
        for context, domain in self._views():
            company = context.get("company") if self.kind.company else None
            if after is not None and company is not None and company < reached:
                continue
            last = last if company == reached else 0
            while True:
                wanted = [*domain, ["id", ">", last], *moved]
                rows, last = self._rows(self._search(wanted, self._fields(), context, limit=_PAGE_SIZE))
                if rows:
                    yield rows, [company, last]
                if len(rows) < _PAGE_SIZE:
                    break

    def by_ids(self, ids: Iterable[str]) -> Iterator[list[Row]]:
        """See ``Records``."""
        numbers = sorted(int(identity.removeprefix(self.kind.prefix)) for identity in ids)
        for context, domain in self._views():
            for start in range(0, len(numbers), _CHUNK):
                wanted = [*domain, ["id", "in", list(itertools.islice(numbers, start, start + _CHUNK))]]
                rows, _ = self._rows(self._search(wanted, self._fields(), context))
                if rows:
                    yield rows

    def ids(self) -> set[str]:
        """See ``Records``."""
        ids: set[str] = set()
        for context, domain in self._views():
            last = 0
            while True:
                found = [
                    decode(record)["id"]
                    for record in self._search([*domain, ["id", ">", last]], ["id"], context, limit=_ID_PAGE)
                ]
                ids.update(f"{self.kind.prefix}{identity}" for identity in found)
                if len(found) < _ID_PAGE:
                    break
                last = max(found)
        return ids

    def _views(self) -> Iterator[tuple[dict[str, Any], list[Any]]]:
        """The contexts to read in, each with the domain of what is read in it."""
        if self.kind.company is None:
            yield self.books.context(), list(self.kind.domain)
            return
        for company in sorted(self.books.companies(), key=lambda company: company["id"]):
            yield {"company": company["id"]}, [*self.kind.domain, [self.kind.company, "=", company["id"]]]

    def _fields(self) -> list[str]:
        extra = [self.books.key_field] if self.kind.model == "account.move" and self.books.has_key() else []
        return [*self.kind.fields, *_STAMPS, *extra]

    def _search(self, domain: list[Any], fields: list[str], context: dict[str, Any], **rest: Any) -> list[bytes]:
        return self.books.client.search_read(self.kind.model, domain, fields, context, **rest)

    def _rows(self, found: list[bytes]) -> tuple[list[Row], int]:
        rows: list[Row] = []
        last = 0
        for payload in found:
            record = plain(decode(payload))
            last = max(last, record["id"])
            row = self.kind.shape(self.books, record)
            stamp = record.get("write_date") or record.get("create_date")
            rows.append(({**row, "id": f"{self.kind.prefix}{record['id']}", "modified": stamp}, payload))
        return rows, last


@dataclass
class Joined:
    """Several models in one table."""

    parts: Sequence[TrytonRecords]

    def newest(self) -> str | None:
        """See ``Records``."""
        return max((stamp for part in self.parts if (stamp := part.newest())), default=None)

    def pages(self, since: str | None, after: Position | None = None) -> Iterator[tuple[list[Row], Position]]:
        """See ``Records``; a position is the place of the model and the position within it."""
        first, within = after or (0, None)
        for place, part in enumerate(self.parts[first:], first):
            for rows, position in part.pages(since, within if place == first else None):
                yield rows, [place, position]

    def by_ids(self, ids: Iterable[str]) -> Iterator[list[Row]]:
        """See ``Records``."""
        wanted = list(ids)
        for part in self.parts:
            own = [identity for identity in wanted if identity.startswith(part.kind.prefix)]
            if own:
                yield from part.by_ids(own)

    def ids(self) -> set[str]:
        """See ``Records``."""
        return set().union(*(part.ids() for part in self.parts))


@dataclass
class Levels:
    """Stock per warehouse and product: Tryton computes it from the moves, so there is nothing to follow."""

    books: Books

    def newest(self) -> str | None:
        """See ``Records``; levels carry no time."""
        return None

    def pages(self, since: str | None, after: Position | None = None) -> Iterator[tuple[list[Row], Position]]:
        """See ``Records``; always all of them."""
        client = self.books.client
        fields = ["code", "rec_name", "quantity", "default_uom.symbol"]
        for company in self.books.companies():
            base = {"company": company["id"]}
            warehouses = client.search_read("stock.location", [["type", "=", "warehouse"]], ["code", "name"], base)
            for warehouse in map(plain, map(decode, warehouses)):
                context = {**base, "locations": [warehouse["id"]], "with_childs": True}
                # With stock_assign what is assigned to documents no longer counts as there.
                free_of = {**context, "stock_assign": True}
                last = 0
                while True:
                    wanted = [["id", ">", last]]
                    found = client.search_read("product.product", wanted, fields, context, limit=_PAGE_SIZE)
                    free = client.search_read("product.product", wanted, ["quantity"], free_of, limit=_PAGE_SIZE)
                    rows, last = self._rows(found, free, company, warehouse)
                    if rows:
                        yield rows, []
                    if len(found) < _PAGE_SIZE:
                        break

    def _rows(self, found: list[bytes], free: list[bytes], company: Record, warehouse: Record) -> tuple[list[Row], int]:
        unassigned = {record["id"]: record["quantity"] for record in map(decode, free)}
        rows: list[Row] = []
        last = 0
        for payload in found:
            record = plain(decode(payload))
            last = max(last, record["id"])
            on_hand, available = record["quantity"] or 0, unassigned.get(record["id"]) or 0
            if not on_hand and not available:
                continue
            row = {
                "id": f"{company['id']}:{warehouse['id']}:{record['id']}",
                "company": company["rec_name"],
                "location": warehouse["name"],
                "sku": text(record["code"]),
                "product": record["rec_name"],
                "on_hand": number(on_hand),
                "reserved": difference(on_hand, available),
                "unit": _of(record, "default_uom", "symbol"),
            }
            combined = {**decode(payload), "warehouse": warehouse["id"], "quantity_unassigned": available}
            rows.append((row, encode(combined)))
        return rows, last

    def by_ids(self, ids: Iterable[str]) -> Iterator[list[Row]]:
        """See ``Records``; they are read whole instead."""
        raise NotImplementedError

    def ids(self) -> set[str]:
        """See ``Records``; they are read whole instead."""
        raise NotImplementedError


@dlt.source(name="erp", max_table_nesting=0)
def tryton_source(erp: Erp, intake: Intake) -> Sequence[DltResource]:
    """Books, documents and stock of one Tryton database; a module that is not activated leaves its table empty.

    Args:
        erp: address, database and credentials.
        intake: counts what comes in and quarantines what breaks its contract.
    """
    books = Books(TrytonClient(erp), erp.option("key_field"))
    records = {name: Joined([TrytonRecords(kind, books) for kind in kinds]) for name, kinds in KINDS.items()}
    memory = Memory()

    def resource(name: str, rows: Any) -> DltResource:
        return dlt.resource(rows, name=name, schema_contract=SCHEMA_CONTRACT, write_disposition="merge")

    def rows_of(name: str) -> Iterator[Any]:
        intake.counts_of(name)
        if name == "stock_levels":
            yield from whole(intake, name, Levels(books), memory)
            return
        yield from changed(intake, name, records[name], memory)

    def resource_of(name: str) -> DltResource:
        return resource(name, lambda: rows_of(name))

    present = {name: part.ids for name, part in records.items()}
    return (
        *map(resource_of, (*KINDS, "stock_levels")),
        resource("deletions", lambda: compared(intake, present, memory, erp.option("compare_hours"))),
    )


def examine(erp: Erp) -> str:
    """What a doctor finds: a sentence when all is well, an exception otherwise."""
    client = TrytonClient(erp)
    books = Books(client, erp.option("key_field"))
    try:
        if not books.companies():
            raise NotOfferedError(f"{erp.id}: our user has no company: give it one in Tryton")
        missing = []
        for name, kinds in KINDS.items():
            try:
                for kind in kinds:
                    client.search_read(kind.model, [], ["id"], books.context(), limit=1)
            except NotOfferedError as error:
                missing.append(f"{name} ({error})")
    finally:
        client.close()
    return f"answers at {erp.base_url}" + (f"; not to be read: {', '.join(missing)}" if missing else "")


def plain(value: Any) -> Any:
    """Tryton's JSON without its classes: decimals, dates and times as text, and ``account.`` as ``account``."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("__class__")
    try:
        if kind == "Decimal":
            return value["decimal"]
        if kind == "date":
            return date(value["year"], value["month"], value["day"]).isoformat()
        if kind == "datetime":
            parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
            moment = datetime(*(value[part] for part in parts))  # noqa: DTZ001 - Tryton's clock has no zone
            return moment.isoformat(" ", "microseconds")
    except (KeyError, TypeError, ValueError):
        return encode(value).decode()  # The contract will name it.
    return {name.removesuffix("."): plain(item) for name, item in value.items()}


def _of(record: Record, *path: str) -> Any:
    """The value at a path, nothing where a relation is empty."""
    value: Any = record
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _total(record: Record, side: str) -> Any:
    amounts = [number(_of(line, side)) for line in record.get("lines") or []]
    try:
        return number(sum((Decimal(amount or 0) for amount in amounts), Decimal(0)))
    except (ArithmeticError, TypeError, ValueError):
        return amounts[0]  # The contract will name it.


def _company(record: Record) -> Any:
    return _of(record, "company", "rec_name")


def _state(record: Record) -> int:
    return _STATES.get(str(record.get("state")), 0)


def _account(_: Books, record: Record) -> Record:
    kind = record.get("type")
    flags = kind if isinstance(kind, dict) else {}
    if flags.get("statement") == "income":
        root = "Income" if flags.get("revenue") else "Expense"
    elif flags.get("statement") == "balance":
        root = "Asset" if flags.get("assets") else "Liability"
    else:
        root = "Off Balance" if flags.get("statement") == "off-balance" else None
    return {
        "code": text(record.get("code")),
        "name": record.get("name"),
        "company": _company(record),
        "account_currency": _of(record, "second_currency", "code") or _of(record, "currency", "code"),
        "root_type": root,
        "account_type": flags.get("name"),
        # An account without a type takes no lines.
        "is_group": not flags,
        "is_disabled": bool(record.get("closed")),
    }


def _journal(_: Books, record: Record) -> Record:
    return {
        "code": text(record.get("code")),
        "name": record.get("name"),
        "journal_type": record.get("type"),
        "is_disabled": record.get("active") in (False, 0),
    }


def _entry(books: Books, record: Record) -> Record:
    return {
        "number": text(record.get("number")),
        "platform_ref": text(record.get(books.key_field)),
        "company": _company(record),
        "entry_type": str(record.get("origin") or "entry").partition(",")[0],
        "journal_id": text(_of(record, "journal", "id")),
        "posting_date": record.get("date"),
        "docstatus": _state(record),
        "status": record.get("state"),
        "total_debit": _total(record, "debit"),
        "total_credit": _total(record, "credit"),
        "reference": record.get("description"),
    }


def _line(_: Books, record: Record) -> Record:
    origin = str(_of(record, "move", "origin") or f"account.move,{_of(record, 'move', 'id')}")
    foreign = _of(record, "second_currency", "code")
    return {
        "company": _of(record, "move", "company", "rec_name"),
        "posting_date": _of(record, "move", "date"),
        "account_id": text(_of(record, "account", "id")),
        "voucher_type": origin.partition(",")[0],
        "voucher_id": origin.partition(",")[2],
        "voucher_number": _of(record, "move", "number"),
        "debit": number(record.get("debit")),
        "credit": number(record.get("credit")),
        "currency": foreign or _of(record, "currency", "code"),
        "currency_amount": number(record.get("amount_second_currency")) if foreign else None,
        "party": _of(record, "party", "rec_name"),
        "remarks": record.get("description"),
        "docstatus": _STATES.get(str(_of(record, "move", "state")), 0),
    }


def _invoice(_: Books, record: Record) -> Record:
    total = number(record.get("total_amount"))
    return {
        "number": text(record.get("number")),
        "company": _company(record),
        "customer": _of(record, "party", "rec_name"),
        "posting_date": record.get("accounting_date") or record.get("invoice_date"),
        "currency": _of(record, "currency", "code"),
        "total_amount": total,
        "tax_amount": number(record.get("tax_amount")),
        "outstanding_amount": number(record.get("amount_to_pay")),
        # A credit note is an invoice over less than nothing.
        "is_return": isinstance(total, str) and total.startswith("-"),
        "order_reference": text(record.get("reference")),
        "docstatus": _state(record),
        "status": record.get("state"),
        "payment_status": record.get("state"),
    }


def _rate(books: Books, record: Record) -> Record:
    """The company's currency for one of the rate's: Tryton keeps how many units of each are worth the same."""
    companies = books.companies()
    target = _of(companies[0], "currency", "code") if companies else None
    try:
        rate, day = Decimal(record["rate"]), date.fromisoformat(record["date"])
        value = books.rate_of(target, day) / rate if target else None
    except (ArithmeticError, TypeError, ValueError):
        value = record.get("rate")  # Zero, or no rate at all.
    return {
        "name": str(record["id"]),
        "date": record.get("date"),
        "from_currency": _of(record, "currency", "code"),
        "to_currency": target,
        "exchange_rate": number(value),
    }


def _movement(_: Books, record: Record) -> Record:
    shipment = str(record.get("shipment") or "")
    return {
        "company": _company(record),
        "sku": text(_of(record, "product", "code")),
        "product": _of(record, "product", "rec_name"),
        "quantity": number(record.get("quantity")),
        "unit": _of(record, "unit", "symbol"),
        "from_location": _of(record, "from_location", "name"),
        "to_location": _of(record, "to_location", "name"),
        "moved_on": record.get("effective_date") or record.get("planned_date"),
        "voucher_type": shipment.partition(",")[0] or None,
        "voucher_id": shipment.partition(",")[2] or None,
        "docstatus": _state(record),
        "status": record.get("state"),
    }


def _shipment(lines: str, is_return: bool) -> Shape:
    def shape(_: Books, record: Record) -> Record:
        warehouse = _of(record, "warehouse", "name")
        return {
            "number": text(record.get("number")),
            "company": _company(record),
            "customer": _of(record, "customer", "rec_name"),
            "is_return": is_return,
            "order_reference": text(record.get("reference")),
            "source_document": text(record.get("origins")),
            "warehouse": warehouse,
            "shipped_on": record.get("effective_date"),
            "docstatus": _state(record),
            "status": record.get("state"),
            "lines": [
                {
                    "id": str(line["id"]),
                    "sku": text(_of(line, "product", "code")),
                    "product": _of(line, "product", "rec_name"),
                    "quantity": number(line.get("quantity")),
                    "unit": _of(line, "unit", "symbol"),
                    "warehouse": warehouse,
                    "sales_order": text(record.get("origins")),
                }
                for line in record.get(lines) or []
            ],
        }

    return shape


def _shipment_kind(model: str, lines: str, is_return: bool) -> Kind:
    fields = ("number", "reference", "origins", "company.rec_name", "customer.rec_name", "warehouse.name",
              "effective_date", "planned_date", "state")  # fmt: skip
    paths = ("quantity", "product.code", "product.rec_name", "unit.symbol")
    return Kind(
        model, (*fields, *(f"{lines}.{path}" for path in paths)), _shipment(lines, is_return), prefix=f"{model},",
        moves_with=("moves",),
    )  # fmt: skip


#: Resource → what Tryton has for it.
KINDS: Final[Mapping[str, tuple[Kind, ...]]] = {
    "accounts": (
        Kind(
            "account.account",
            ("code", "name", "type.name", "type.statement", "type.assets", "type.revenue", "currency.code",
             "second_currency.code", "company.rec_name", "closed"),
            _account,
        ),
    ),
    "journals": (Kind("account.journal", ("code", "name", "type", "active"), _journal, company=None),),
    "journal_entries": (
        Kind(
            "account.move",
            ("number", "description", "state", "date", "origin", "journal.code", "company.rec_name", "lines.debit",
             "lines.credit"),
            _entry,
            moves_with=("lines",),
        ),
    ),
    "gl_entries": (
        Kind(
            "account.move.line",
            ("debit", "credit", "amount_second_currency", "second_currency.code", "currency.code", "account.code",
             "party.rec_name", "description", "move.number", "move.date", "move.state", "move.origin",
             "move.company.rec_name"),
            _line,
            company="move.company",
            moves_with=("move",),
        ),
    ),
    "sales_invoices": (
        Kind(
            "account.invoice",
            ("number", "reference", "state", "type", "invoice_date", "accounting_date", "party.rec_name",
             "currency.code", "company.rec_name", "untaxed_amount", "tax_amount", "total_amount", "amount_to_pay"),
            _invoice,
            domain=(["type", "=", "out"],),
            # What is left to pay is computed.
            moves_with=("payment_lines",),
        ),
    ),
    "exchange_rates": (
        Kind("currency.currency.rate", ("date", "rate", "currency.code"), _rate, company=None),
    ),
    "stock_movements": (
        Kind(
            "stock.move",
            ("product.code", "product.rec_name", "quantity", "unit.symbol", "from_location.name", "to_location.name",
             "effective_date", "planned_date", "state", "shipment", "company.rec_name"),
            _movement,
        ),
    ),
    "deliveries": (
        _shipment_kind("stock.shipment.out", "outgoing_moves", False),
        _shipment_kind("stock.shipment.out.return", "incoming_moves", True),
    ),
}  # fmt: skip
