"""The dlt source of one Odoo database (16 to 19, Community or Enterprise)."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import dlt
from dlt.sources import DltResource

from retail_assets.erp.errors import NotOfferedError, UnexpectedAnswerError
from retail_assets.erp.odoo_client import OdooClient
from retail_assets.settings import Erp
from retail_assets.sources.erp.rows import Record, decode, encode, negative, number, text
from retail_assets.sources.erp.walk import Memory, Position, Row, changed, compared, whole
from retail_assets.sources.intake import Intake
from retail_assets.sources.warehouse import SCHEMA_CONTRACT

_PAGE_SIZE: Final = 1000
_ID_PAGE: Final = 100_000
_CHUNK: Final = 500

_STATES: Final[Mapping[str, int]] = {
    "draft": 0, "posted": 1, "cancel": 2, "canceled": 2, "in_process": 1, "paid": 1, "rejected": 2, "done": 1,
}  # fmt: skip
_ROOT_TYPES: Final = {
    "asset": "Asset", "liability": "Liability", "equity": "Equity", "income": "Income", "expense": "Expense",
    "off": "Off Balance",
}  # fmt: skip
_DIRECTIONS: Final = {"inbound": "receive", "outbound": "pay"}
_INVOICES: Final = ("out_invoice", "out_refund", "out_receipt")


@dataclass
class Books:
    """What rows of one table need besides their own record: companies, currencies, products, external ids.

    ``companies`` (id → currency) and ``products`` (id → SKU) are filled when needed, and shared by all tables.
    """

    client: OdooClient
    key_module: str
    companies: dict[int, str]
    products: dict[int, str | None]
    notes: list[str] = field(default_factory=list)

    def currency_of(self, company: Any) -> str | None:
        """The currency of a company (``[id, name]``); of our only one if none is named."""
        if not self.companies:
            records = map(decode, self.client.search_read("res.company", [], ["name", "currency_id"]))
            self.companies.update({record["id"]: _name(record["currency_id"]) for record in records})
        if isinstance(company, list):
            return self.companies.get(company[0])
        currencies = set(self.companies.values())
        return currencies.pop() if len(currencies) == 1 else None

    def name_of(self, company_id: Any) -> str | None:
        """The name of a company by its id."""
        for record in map(decode, self.client.search_read("res.company", [["id", "=", company_id]], ["name"])):
            return record["name"]
        return None

    def skus(self, products: Iterable[Any]) -> Mapping[int, str | None]:
        """SKU (``default_code``) by product id."""
        unknown = sorted({product[0] for product in products if isinstance(product, list)} - self.products.keys())
        for record in self._looked_up("product.product", "id", unknown, "default_code", "SKUs"):
            self.products[record["id"]] = text(record["default_code"])
        return self.products

    def order_references(self, orders: Sequence[int]) -> Mapping[int, str | None]:
        """The customer's reference by sales order: there connectors put the store's order number."""
        found = self._looked_up("sale.order", "id", orders, "client_order_ref", "order references")
        return {record["id"]: text(record["client_order_ref"]) for record in found}

    def posting_keys(self, moves: Sequence[int]) -> Mapping[int, str]:
        """Our posting key by entry: the external id, which is unique in Odoo, while ``ref`` is not."""
        ours = (["module", "=", self.key_module], ["model", "=", "account.move"])
        found = self._looked_up("ir.model.data", "res_id", moves, "name", "posting keys", ours)
        return {record["res_id"]: record["name"] for record in found}

    def _looked_up(
        self, model: str, by: str, ids: Sequence[int], wanted: str, what: str, domain: Sequence[Any] = ()
    ) -> list[Record]:
        """Records that others lead to; a user who may not read them gets the others without them, and a note."""
        found: list[Record] = []
        try:
            for chunk in _chunks(ids):
                sent = self.client.search_read(model, [*domain, [by, "in", chunk]], [by, wanted])
                found += map(decode, sent)
        except NotOfferedError as error:
            note = f"{what} are not read: {error}"
            if note not in self.notes:
                self.notes.append(note)
        return found


Shape = Callable[[Books, list[Record]], list[Record]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One raw table: its model, the fields asked for (as far as this Odoo has them), and how rows are made.

    ``moves_with`` are the paths to records whose changes change this one too without stamping it: what Odoo computes
    and stores is not stamped. ``lines`` are read with it: model, field that points back, fields.
    """

    model: str
    fields: tuple[str, ...]
    shape: Shape
    domain: tuple[Any, ...] = ()
    moves_with: tuple[str, ...] = ()
    lines: tuple[str, str, tuple[str, ...]] | None = None


@dataclass
class OdooRecords:
    """The records of one kind."""

    client: OdooClient
    kind: Kind
    books: Books
    _fields: Mapping[str, str] | None = None

    def newest(self) -> str | None:
        """See ``Records``."""
        found = self.client.search_read(
            self.kind.model, self.kind.domain, ["write_date"], order="write_date desc, id desc", limit=1
        )
        return text(decode(found[0]).get("write_date")) if found else None

    def pages(self, since: str | None, after: Position | None = None) -> Iterator[tuple[list[Row], Position]]:
        """See ``Records``; ``>=``, since ``write_date`` is shown in seconds and kept in microseconds."""
        moved: list[Any] = []
        if since is not None:
            moved = [["write_date", ">=", since]]
            for path in self.kind.moves_with:
                if path.partition(".")[0] in self._types():
                    moved = ["|", *moved, [f"{path}.write_date", ">=", since]]
        (last,) = after or (0,)
        while True:
            found = self._read([*self.kind.domain, ["id", ">", last], *moved], _PAGE_SIZE)
            if not found:
                return
            last = max(record["id"] for record, _ in found)
            yield self._shaped(found), [last]
            if len(found) < _PAGE_SIZE:
                return

    def by_ids(self, ids: Iterable[str]) -> Iterator[list[Row]]:
        """See ``Records``."""
        for chunk in _chunks([int(identity) for identity in ids]):
            found = self._read([*self.kind.domain, ["id", "in", chunk]], None)
            if found:
                yield self._shaped(found)

    def ids(self) -> set[str]:
        """See ``Records``."""
        ids: set[str] = set()
        last = 0
        while True:
            found = self.client.search(self.kind.model, [*self.kind.domain, ["id", ">", last]], limit=_ID_PAGE)
            ids.update(map(str, found))
            if len(found) < _ID_PAGE:
                return ids
            last = found[-1]

    def _types(self) -> Mapping[str, str]:
        if self._fields is None:
            self._fields = self.client.fields(self.kind.model)
        return self._fields

    def _read(self, domain: Sequence[Any], limit: int | None) -> list[tuple[Record, bytes]]:
        types = self._types()
        asked = [name for name in self.kind.fields if name in types]
        sent = self.client.search_read(self.kind.model, domain, asked, limit=limit)
        return [(_without_false(decode(record), types), record) for record in sent]

    def _shaped(self, found: list[tuple[Record, bytes]]) -> list[Row]:
        records, payloads = [record for record, _ in found], [payload for _, payload in found]
        if self.kind.lines:
            payloads = self._with_lines(records, payloads)
        rows = self.kind.shape(self.books, records)
        for row, record in zip(rows, records, strict=True):
            row |= {"id": str(record["id"]), "modified": record.get("write_date")}
        return list(zip(rows, payloads, strict=True))

    def _with_lines(self, records: list[Record], payloads: list[bytes]) -> list[bytes]:
        """Put each record's lines into it; the payload then holds the records in place of their ids."""
        model, back, fields = self.kind.lines or ("", "", ())
        types = self.client.fields(model)
        asked = [name for name in fields if name in types]
        by_parent: dict[int, list[tuple[Record, Record]]] = {}
        for chunk in _chunks([record["id"] for record in records]):
            for sent in map(decode, self.client.search_read(model, [[back, "in", chunk]], asked)):
                parent = sent.get(back)
                if not isinstance(parent, list) or not parent:
                    raise UnexpectedAnswerError(f"{model} {sent.get('id')} has no {back}, by which it was asked for")
                by_parent.setdefault(parent[0], []).append((_without_false(sent, types), sent))
        combined = []
        for record, payload in zip(records, payloads, strict=True):
            lines = by_parent.get(record["id"], [])
            record["lines"] = [line for line, _ in lines]
            combined.append(encode({**decode(payload), "lines": [sent for _, sent in lines]}))
        return combined


@dlt.source(name="erp", max_table_nesting=0)
def odoo_source(erp: Erp, intake: Intake) -> Sequence[DltResource]:
    """Books, documents and stock of one Odoo database; a module that is not installed leaves its table empty.

    Args:
        erp: address, database and key.
        intake: counts what comes in and quarantines what breaks its contract.
    """
    client = OdooClient(erp)
    companies: dict[int, str] = {}
    products: dict[int, str | None] = {}
    records = {
        name: OdooRecords(client, kind, Books(client, erp.option("key_module"), companies, products))
        for name, kind in KINDS.items()
    }
    memory = Memory()

    def resource(name: str, rows: Any) -> DltResource:
        return dlt.resource(rows, name=name, schema_contract=SCHEMA_CONTRACT, write_disposition="merge")

    def rows_of(name: str) -> Iterator[Any]:
        intake.counts_of(name)
        yield from (whole if name == "stock_levels" else changed)(intake, name, records[name], memory)
        intake.counts_of(name).notes.extend(records[name].books.notes)

    def resource_of(name: str) -> DltResource:
        return resource(name, lambda: rows_of(name))

    # Levels are read whole, so that what is missing is known at once.
    present = {name: records[name].ids for name in KINDS if name != "stock_levels"}
    return (
        *map(resource_of, KINDS),
        resource("deletions", lambda: compared(intake, present, memory, erp.option("compare_hours"))),
    )


def examine(erp: Erp) -> str:
    """What a doctor finds: a sentence when all is well, an exception otherwise."""
    client = OdooClient(erp)
    try:
        client.log_in()
        missing = []
        for name, kind in KINDS.items():
            try:
                client.search_read(kind.model, [], ["id"], limit=1)
            except NotOfferedError as error:
                missing.append(f"{name} ({error})")
    finally:
        client.close()
    return f"answers at {erp.base_url}" + (f"; not to be read: {', '.join(missing)}" if missing else "")


def _without_false(record: Record, types: Mapping[str, str]) -> Record:
    """Odoo sends false for nothing; only in a boolean field it is a value."""
    return {name: None if value is False and types.get(name) != "boolean" else value for name, value in record.items()}


def _name(value: Any) -> Any:
    """The name in ``[id, name]``."""
    return value[1] if isinstance(value, list) and len(value) == 2 else text(value)


def _id(value: Any) -> Any:
    """The id in ``[id, name]``, as text."""
    return str(value[0]) if isinstance(value, list) and len(value) == 2 else text(value)


def _chunks(ids: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), _CHUNK):
        yield list(itertools.islice(ids, start, start + _CHUNK))


def _state(record: Record) -> int:
    return _STATES.get(str(record.get("state")), 0)


def _accounts(books: Books, records: list[Record]) -> list[Record]:
    return [
        {
            "code": text(record.get("code")),
            "name": record.get("name"),
            "company": _company(books, record),
            "account_currency": _name(record.get("currency_id")) or books.currency_of(record.get("company_id")),
            "root_type": _ROOT_TYPES.get(str(record.get("account_type")).partition("_")[0]),
            "account_type": record.get("account_type"),
            "is_group": False,
            "is_disabled": bool(record.get("deprecated")) or record.get("active") is False,
        }
        for record in records
    ]


def _company(books: Books, record: Record) -> Any:
    if record.get("company_id"):
        return _name(record["company_id"])
    # From series 18 an account belongs to several companies; the first one stands for them.
    companies = record.get("company_ids")
    return books.name_of(companies[0]) if isinstance(companies, list) and companies else None


def _journals(_: Books, records: list[Record]) -> list[Record]:
    return [
        {
            "code": text(record.get("code")),
            "name": record.get("name"),
            "journal_type": record.get("type"),
            "company": _name(record.get("company_id")),
            "journal_currency": _name(record.get("currency_id")),
            "is_disabled": record.get("active") is False,
        }
        for record in records
    ]


def _entries(books: Books, records: list[Record]) -> list[Record]:
    keys = books.posting_keys([record["id"] for record in records])
    rows = []
    for record in records:
        # In company currency; amount_total is in that of the entry. Its sign depends on the kind of entry.
        total = number(record.get("amount_total_signed"))
        total = total.removeprefix("-") if isinstance(total, str) else total
        rows.append(
            {
                "number": _entry_number(record),
                "platform_ref": keys.get(record["id"]),
                "company": _name(record.get("company_id")),
                "entry_type": record.get("move_type"),
                "journal_id": _id(record.get("journal_id")),
                "posting_date": record.get("date"),
                "docstatus": _state(record),
                "status": record.get("state"),
                "total_debit": total,
                "total_credit": total,
                "reference": record.get("ref"),
            }
        )
    return rows


def _entry_number(record: Record) -> Any:
    return None if record.get("name") == "/" else record.get("name")


def _lines(books: Books, records: list[Record]) -> list[Record]:
    rows = []
    for record in records:
        currency = _name(record.get("currency_id"))
        is_foreign = currency is not None and currency != books.currency_of(record.get("company_id"))
        rows.append(
            {
                "company": _name(record.get("company_id")),
                "posting_date": record.get("date"),
                "account_id": _id(record.get("account_id")),
                "voucher_type": record.get("move_type") or "account.move",
                "voucher_id": _id(record.get("move_id")),
                "voucher_number": record.get("move_name"),
                "debit": number(record.get("debit")),
                "credit": number(record.get("credit")),
                "currency": currency,
                "currency_amount": number(record.get("amount_currency")) if is_foreign else None,
                "party": _name(record.get("partner_id")),
                "remarks": record.get("name"),
                "docstatus": _STATES.get(str(record.get("parent_state")), 0),
            }
        )
    return rows


def _invoices(_: Books, records: list[Record]) -> list[Record]:
    rows = []
    for record in records:
        is_return = record.get("move_type") == "out_refund"
        signed = negative if is_return else number
        reference = text(record.get("ref"))
        if is_return and isinstance(reference, str) and reference.startswith("Reversal of: "):
            reference = None  # Odoo writes the reason there; the order stands on the invoice.
        rows.append(
            {
                "number": _entry_number(record),
                "company": _name(record.get("company_id")),
                "customer": _name(record.get("partner_id")),
                "posting_date": record.get("date"),
                "currency": _name(record.get("currency_id")),
                "total_amount": signed(record.get("amount_total")),
                "tax_amount": signed(record.get("amount_tax")),
                "outstanding_amount": signed(record.get("amount_residual")),
                "is_return": is_return,
                "return_against": _id(record.get("reversed_entry_id")),
                "order_reference": reference or (None if is_return else record.get("invoice_origin")),
                "docstatus": _state(record),
                "status": record.get("state"),
                "payment_status": record.get("payment_state"),
            }
        )
    return rows


def _payments(_: Books, records: list[Record]) -> list[Record]:
    return [
        {
            "number": _entry_number(record),
            "company": _name(record.get("company_id")),
            "party": _name(record.get("partner_id")),
            "direction": _DIRECTIONS.get(str(record.get("payment_type")), record.get("payment_type")),
            "posting_date": record.get("date"),
            "currency": _name(record.get("currency_id")),
            "amount": number(record.get("amount")),
            "journal": _name(record.get("journal_id")),
            # Called memo from series 18.
            "reference": record.get("memo") or record.get("ref"),
            "invoice_ids": ",".join(map(str, record.get("reconciled_invoice_ids") or ())) or None,
            "docstatus": _state(record),
            "status": record.get("state"),
        }
        for record in records
    ]


def _rates(books: Books, records: list[Record]) -> list[Record]:
    return [
        {
            "name": str(record["id"]),
            "date": record.get("name"),
            "from_currency": _name(record.get("currency_id")),
            "to_currency": books.currency_of(record.get("company_id")),
            "exchange_rate": number(record.get("inverse_company_rate")),
        }
        for record in records
    ]


def _levels(books: Books, records: list[Record]) -> list[Record]:
    skus = books.skus(record.get("product_id") for record in records)
    return [
        {
            "company": _name(record.get("company_id")),
            "location": _name(record.get("location_id")),
            "sku": _sku(skus, record),
            "product": _name(record.get("product_id")),
            "lot": _name(record.get("lot_id")),
            "on_hand": number(record.get("quantity")),
            "reserved": number(record.get("reserved_quantity")),
            "unit": _name(record.get("product_uom_id")),
        }
        for record in records
    ]


def _sku(skus: Mapping[int, str | None], record: Record) -> str | None:
    product = record.get("product_id")
    return skus.get(product[0]) if isinstance(product, list) else None


def _moved(record: Record) -> Any:
    """What was moved once it is done (``quantity_done`` before series 17), and what is planned until then."""
    if record.get("state") != "done":
        return number(record.get("product_uom_qty"))
    return number(record["quantity_done"] if record.get("quantity_done") is not None else record.get("quantity"))


def _movements(books: Books, records: list[Record]) -> list[Record]:
    skus = books.skus(record.get("product_id") for record in records)
    return [
        {
            "company": _name(record.get("company_id")),
            "sku": _sku(skus, record),
            "product": _name(record.get("product_id")),
            "quantity": _moved(record),
            "unit": _name(record.get("product_uom")),
            "from_location": _name(record.get("location_id")),
            "to_location": _name(record.get("location_dest_id")),
            "moved_on": record.get("date"),
            "voucher_type": "stock.picking" if record.get("picking_id") else None,
            "voucher_id": _id(record.get("picking_id")),
            "docstatus": _state(record),
            "status": record.get("state"),
        }
        for record in records
    ]


def _deliveries(books: Books, records: list[Record]) -> list[Record]:
    sales = sorted({record["sale_id"][0] for record in records if isinstance(record.get("sale_id"), list)})
    orders = books.order_references(sales)
    skus = books.skus(line.get("product_id") for record in records for line in record["lines"])
    rows = []
    for record in records:
        is_return = record.get("picking_type_code") == "incoming"
        order = record.get("sale_id")
        reference = orders.get(order[0]) if isinstance(order, list) else None
        rows.append(
            {
                "number": record.get("name"),
                "company": _name(record.get("company_id")),
                "customer": _name(record.get("partner_id")),
                "is_return": is_return,
                "return_against": _id(record.get("return_id")),
                # The origin of a return is the delivery, "Return of WH/OUT/00001".
                "order_reference": reference or (None if is_return else record.get("origin")),
                "source_document": _name(order) or record.get("origin"),
                "warehouse": _name(record.get("location_dest_id" if is_return else "location_id")),
                "shipped_on": record.get("date_done"),
                "carrier": _name(record.get("carrier_id")),
                "tracking_number": record.get("carrier_tracking_ref"),
                "docstatus": _state(record),
                "status": record.get("state"),
                "lines": [
                    {
                        "id": str(line["id"]),
                        "sku": _sku(skus, line),
                        "product": _name(line.get("product_id")),
                        "quantity": _moved(line),
                        "unit": _name(line.get("product_uom")),
                        "warehouse": _name(line.get("location_dest_id" if is_return else "location_id")),
                        "sales_order": _name(order),
                    }
                    for line in record["lines"]
                ],
            }
        )
    return rows


_STOCK_MOVE: Final = (
    "picking_id", "product_id", "product_uom_qty", "quantity", "quantity_done", "product_uom", "location_id",
    "location_dest_id", "date", "state", "origin", "company_id", "write_date",
)  # fmt: skip

#: Resource → what Odoo has for it.
KINDS: Final[Mapping[str, Kind]] = {
    "accounts": Kind(
        "account.account",
        ("code", "name", "account_type", "company_id", "company_ids", "currency_id", "deprecated", "active",
         "write_date"),
        _accounts,
    ),
    "journals": Kind(
        "account.journal", ("code", "name", "type", "company_id", "currency_id", "active", "write_date"), _journals
    ),
    "journal_entries": Kind(
        "account.move",
        ("name", "ref", "move_type", "state", "date", "journal_id", "company_id", "amount_total_signed", "write_date"),
        _entries,
    ),
    "gl_entries": Kind(
        "account.move.line",
        ("move_id", "move_name", "move_type", "account_id", "date", "debit", "credit", "amount_currency", "currency_id",
         "company_id", "parent_state", "partner_id", "name", "write_date"),
        _lines,
        # Sections and notes of an invoice have no account.
        domain=(["account_id", "!=", False],),
        # Posting an entry does not stamp its lines; changing a line's label does not stamp the entry.
        moves_with=("move_id",),
    ),
    "sales_invoices": Kind(
        "account.move",
        ("name", "ref", "move_type", "state", "payment_state", "date", "invoice_date", "currency_id", "amount_untaxed",
         "amount_tax", "amount_total", "amount_residual", "reversed_entry_id", "invoice_origin", "partner_id",
         "company_id", "write_date"),
        _invoices,
        domain=(["move_type", "in", list(_INVOICES)],),
        # A payment changes what is open; undoing one leaves no trace until the invoice's next change.
        moves_with=("line_ids.matched_credit_ids", "line_ids.matched_debit_ids"),
    ),
    "payments": Kind(
        "account.payment",
        ("name", "payment_type", "amount", "currency_id", "date", "ref", "memo", "state", "partner_id", "journal_id",
         "company_id", "move_id", "reconciled_invoice_ids", "write_date"),
        _payments,
        moves_with=("move_id",),
    ),
    "exchange_rates": Kind(
        "res.currency.rate",
        ("name", "currency_id", "company_id", "rate", "inverse_company_rate", "write_date"),
        _rates,
    ),
    "stock_levels": Kind(
        "stock.quant",
        ("product_id", "location_id", "lot_id", "quantity", "reserved_quantity", "product_uom_id", "company_id",
         "write_date"),
        _levels,
        domain=(["location_id.usage", "=", "internal"],),
    ),
    "stock_movements": Kind("stock.move", _STOCK_MOVE, _movements),
    "deliveries": Kind(
        "stock.picking",
        ("name", "origin", "partner_id", "picking_type_code", "return_id", "sale_id", "location_id", "location_dest_id",
         "date_done", "scheduled_date", "carrier_id", "carrier_tracking_ref", "state", "company_id", "write_date"),
        _deliveries,
        # What comes in from a supplier is no return.
        domain=("|", ["picking_type_id.code", "=", "outgoing"], "&", ["picking_type_id.code", "=", "incoming"],
                ["location_id.usage", "=", "customer"]),
        lines=("stock.move", "picking_id", _STOCK_MOVE),
        moves_with=("move_ids",),
    ),
}  # fmt: skip
