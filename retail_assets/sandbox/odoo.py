"""The simulated Odoo 17 over HTTP: as much as a reader needs, with what a recorded one does and a kinder one would not.

Errors come with HTTP 200; a wrong password makes ``authenticate`` answer false; ``write_date`` is shown in seconds and
kept in microseconds, so ``>`` its own value finds a record again; what Odoo computes and stores (an entry's state on
its lines, what is open on an invoice) changes without a new ``write_date``; deleted drafts leave no trace; many2one
values are ``[id, name]`` and nothing is false. ``/json/2`` answers as documented for Odoo 19, with HTTP statuses.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Values = dict[str, Any]

_USER_ID: Final = 2
_READERS: Final = frozenset({"search", "search_read", "search_count", "read", "fields_get", "context_get"})

#: Model → field → its type, or the model it leads to (``>`` many2one, ``*`` a list of records).
MODELS: Final[Mapping[str, Mapping[str, str]]] = {
    "res.users": {"name": "char"},
    "res.currency": {"name": "char"},
    "res.company": {"name": "char", "currency_id": ">res.currency"},
    "res.partner": {"name": "char"},
    "account.account": {
        "code": "char", "name": "char", "account_type": "selection", "company_id": ">res.company",
        "currency_id": ">res.currency", "deprecated": "boolean",
    },
    "account.journal": {
        "code": "char", "name": "char", "type": "selection", "company_id": ">res.company",
        "currency_id": ">res.currency", "active": "boolean",
    },
    "account.move": {
        "name": "char", "ref": "char", "move_type": "selection", "state": "selection", "payment_state": "selection",
        "date": "date", "invoice_date": "date", "journal_id": ">account.journal", "company_id": ">res.company",
        "currency_id": ">res.currency", "partner_id": ">res.partner", "amount_untaxed": "monetary",
        "amount_tax": "monetary", "amount_total": "monetary", "amount_total_signed": "monetary",
        "amount_residual": "monetary", "reversed_entry_id": ">account.move", "invoice_origin": "char",
        "line_ids": "*account.move.line",
    },
    "account.move.line": {
        "move_id": ">account.move", "move_name": "char", "account_id": ">account.account", "date": "date",
        "debit": "monetary", "credit": "monetary", "amount_currency": "monetary", "currency_id": ">res.currency",
        "company_id": ">res.company", "parent_state": "selection", "partner_id": ">res.partner", "name": "char",
        "display_type": "selection", "matched_credit_ids": "*account.partial.reconcile",
        "matched_debit_ids": "*account.partial.reconcile",
    },
    "account.partial.reconcile": {"amount": "monetary"},
    "account.payment": {
        "name": "char", "payment_type": "selection", "amount": "monetary", "currency_id": ">res.currency",
        "date": "date", "ref": "char", "state": "selection", "partner_id": ">res.partner",
        "journal_id": ">account.journal", "company_id": ">res.company", "move_id": ">account.move",
        "reconciled_invoice_ids": "*account.move",
    },
    "res.currency.rate": {
        "name": "date", "currency_id": ">res.currency", "company_id": ">res.company", "rate": "float",
        "inverse_company_rate": "float",
    },
    "ir.model.data": {"module": "char", "name": "char", "model": "char", "res_id": "many2one_reference"},
    "product.product": {"name": "char", "default_code": "char"},
    "uom.uom": {"name": "char"},
    "stock.location": {"name": "char", "usage": "selection"},
    "stock.quant": {
        "product_id": ">product.product", "location_id": ">stock.location", "lot_id": ">stock.lot",
        "quantity": "float", "reserved_quantity": "float", "product_uom_id": ">uom.uom", "company_id": ">res.company",
    },
    "stock.lot": {"name": "char"},
    "stock.picking.type": {"name": "char", "code": "selection"},
    "sale.order": {"name": "char", "client_order_ref": "char"},
    "stock.picking": {
        "name": "char", "origin": "char", "partner_id": ">res.partner", "picking_type_id": ">stock.picking.type",
        "picking_type_code": "selection", "return_id": ">stock.picking", "sale_id": ">sale.order",
        "location_id": ">stock.location", "location_dest_id": ">stock.location", "date_done": "datetime",
        "scheduled_date": "datetime", "carrier_tracking_ref": "char", "state": "selection",
        "company_id": ">res.company", "move_ids": "*stock.move",
    },
    "stock.move": {
        "picking_id": ">stock.picking", "product_id": ">product.product", "product_uom_qty": "float",
        "quantity": "float", "product_uom": ">uom.uom", "location_id": ">stock.location",
        "location_dest_id": ">stock.location", "date": "datetime", "state": "selection", "origin": "char",
        "company_id": ">res.company",
    },
}  # fmt: skip
_STAMPS: Final[Mapping[str, str]] = {"id": "integer", "create_date": "datetime", "write_date": "datetime"}
#: Lists that are the other side of a many2one: field → (model, its field).
_BACK: Final = {
    ("account.move", "line_ids"): ("account.move.line", "move_id"),
    ("stock.picking", "move_ids"): ("stock.move", "picking_id"),
}


class OdooFault(Exception):  # noqa: N818 -- an answer, not a failure
    """What Odoo answers instead: the class of its exception and its words."""

    def __init__(self, name: str, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.status = status


@dataclass
class OdooData:
    """The records of one database.

    Args:
        clock: the server's time (aware UTC); each change is at least a microsecond after the last.
        forbidden: models that the user may not read.
        missing: models whose module is not installed.
    """

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    forbidden: Collection[str] = ()
    missing: Collection[str] = ()
    records: dict[str, dict[int, Values]] = field(default_factory=lambda: {model: {} for model in MODELS})
    _ids: dict[str, int] = field(default_factory=dict)
    _last: datetime = datetime(1970, 1, 1)  # noqa: DTZ001 -- naive, as the real one's

    def add(self, model: str, /, **values: Any) -> int:
        """A new record; a many2one is given by its id."""
        identity = self._ids[model] = self._ids.get(model, 0) + 1
        now = self._tick()
        self.records[model][identity] = {"id": identity, **values, "create_date": now, "write_date": now}
        return identity

    def change(self, model: str, identity: int, **values: Any) -> None:
        """Change a record, which stamps it."""
        self.records[model][identity] |= {**values, "write_date": self._tick()}

    def compute(self, model: str, identity: int, **values: Any) -> None:
        """Change what Odoo computes and stores, which stamps nothing."""
        self.records[model][identity] |= values

    def delete(self, model: str, identity: int) -> None:
        """Remove a record without a trace; its id is not used again."""
        del self.records[model][identity]

    def _tick(self) -> datetime:
        now = self.clock().astimezone(UTC).replace(tzinfo=None)
        self._last = max(now, self._last + timedelta(microseconds=1))
        return self._last

    # Reading, as the ORM does it

    def fields_get(self, model: str) -> dict[str, Any]:
        """The fields of a model with their types."""
        return {name: {"type": _type(kind)} for name, kind in self._fields(model).items()}

    def search(self, model: str, domain: Sequence[Any], order: str | None, limit: int | None, offset: int) -> list[int]:
        """Ids of the records that a domain finds."""
        self._fields(model)
        found = [record for record in self.records[model].values() if self._fits(model, record, list(domain))]
        for term in reversed((order or "id").split(",")):
            name, _, direction = term.strip().partition(" ")
            found.sort(key=lambda record, name=name: _sortable(record.get(name)), reverse=direction.lower() == "desc")
        return [record["id"] for record in found[offset : offset + limit if limit else None]]

    def read(self, model: str, ids: Sequence[int], fields: Sequence[str] | None) -> list[Values]:
        """Records as they are sent: ``[id, name]``, false for nothing, times in seconds."""
        known = self._fields(model)
        names = list(fields or known)
        for name in names:
            if name not in known:
                raise OdooFault("builtins.ValueError", f"Invalid field '{name}' on model '{model}'")
        for identity in ids:
            if identity not in self.records[model]:
                message = (
                    f"Record does not exist or has been deleted.\n(Record: {model}({identity},), User: {_USER_ID})"
                )
                raise OdooFault("odoo.exceptions.MissingError", message, 404)
        return [
            {"id": identity, **{name: self._sent(model, self.records[model][identity], name) for name in names}}
            for identity in ids
        ]

    def _fields(self, model: str) -> Mapping[str, str]:
        if model not in MODELS or model in self.missing:
            raise OdooFault("odoo.exceptions.UserError", f"Object {model} doesn't exist", 404)
        if model in self.forbidden:
            message = f"You are not allowed to access '{model}' ({model}) records.\n\nContact your administrator."
            raise OdooFault("odoo.exceptions.AccessError", message, 403)
        return {**_STAMPS, **{name: kind for name, kind in MODELS[model].items() if kind[1:] not in self.missing}}

    def _sent(self, model: str, record: Values, name: str) -> Any:
        kind = self._fields(model)[name]
        value = self._value(model, record, name)
        if kind.startswith("*"):
            return list(value)
        if kind.startswith(">"):
            return [value, self.name_of(kind[1:], value)] if value else False
        if isinstance(value, datetime):
            return value.replace(microsecond=0).isoformat(" ")
        if value is None:
            return False if kind not in ("float", "monetary", "integer") else 0.0
        return value

    def _value(self, model: str, record: Values, name: str) -> Any:
        if (model, name) in _BACK:
            other, back = _BACK[model, name]
            return [item["id"] for item in self.records[other].values() if item.get(back) == record["id"]]
        return record.get(name, [] if self._fields(model)[name].startswith("*") else None)

    def name_of(self, model: str, identity: int) -> str:
        """How Odoo shows a record in a many2one."""
        record = self.records[model][identity]
        code = record.get("default_code")
        if model == "account.account":
            return f"{record['code']} {record['name']}"
        if model == "account.move" and record.get("ref"):
            return f"{record['name']} ({record['ref']})"
        return f"[{code}] {record['name']}" if code else str(record.get("name"))

    # Domains: prefix notation, conditions side by side are joined by "and"

    def _fits(self, model: str, record: Values, domain: list[Any]) -> bool:
        rest = list(domain)
        result = True
        while rest:
            result = self._term(model, record, rest) and result
        return result

    def _term(self, model: str, record: Values, rest: list[Any]) -> bool:
        term = rest.pop(0)
        if term == "!":
            return not self._term(model, record, rest)
        if term in ("|", "&"):
            left, right = self._term(model, record, rest), self._term(model, record, rest)
            return (left or right) if term == "|" else (left and right)
        path, operator, value = term
        return any(_compare(found, operator, value) for found in self._at(model, record, str(path).split(".")))

    def _at(self, model: str, record: Values, path: list[str]) -> Iterator[Any]:
        name, *rest = path
        kinds = self._fields(model)
        if name not in kinds:
            raise OdooFault("builtins.ValueError", f"Invalid field {model}.{name} in leaf ({'.'.join(path)!r})")
        value, kind = self._value(model, record, name), kinds[name]
        if not rest:
            yield value
            return
        for identity in value if kind.startswith("*") else [value]:
            if identity:
                yield from self._at(kind[1:], self.records[kind[1:]][identity], rest)


def create_app(
    data: OdooData, *, database: str = "books", login: str = "reader", key: str, series: int = 17
) -> Starlette:
    """The simulated Odoo as an ASGI application.

    Args:
        data: its records; tests change them while it runs.
        database: the name of the one database.
        login: the one user.
        key: its password or API key.
        series: from 19 on ``/json/2`` is there, too.
    """
    endpoint = _Endpoint(data, database, login, key)
    routes = [Route("/jsonrpc", endpoint.jsonrpc, methods=["POST"])]
    if series >= 19:
        routes.append(Route("/json/2/{model}/{method}", endpoint.json2, methods=["POST"]))
    return Starlette(routes=routes)


class _Endpoint:
    def __init__(self, data: OdooData, database: str, login: str, key: str) -> None:
        self._data = data
        self._database = database
        self._login = login
        self._key = key

    async def jsonrpc(self, request: Request) -> Response:
        """``/jsonrpc``: HTTP 200, whatever happens."""
        body = json.loads(await request.body())
        answer: Values = {"jsonrpc": "2.0", "id": body.get("id")}
        params = body.get("params") or {}
        try:
            answer["result"] = self._serve(
                str(params.get("service")), str(params.get("method")), params.get("args") or []
            )
        except OdooFault as fault:
            details = {**_described(fault), "debug": f"Traceback (most recent call last):\n{fault.name}", "context": {}}
            answer["error"] = {"code": 200, "message": "Odoo Server Error", "data": details}
        return JSONResponse(answer)

    async def json2(self, request: Request) -> Response:
        """``/json/2/<model>/<method>``: named arguments, errors as HTTP statuses."""
        model, method = request.path_params["model"], request.path_params["method"]
        if request.headers.get("authorization", "").partition(" ")[2] != self._key:
            fault = OdooFault("werkzeug.exceptions.Unauthorized", "Invalid apikey", 401)
            return JSONResponse(_described(fault), fault.status)
        if request.headers.get("x-odoo-database", self._database) != self._database:
            fault = OdooFault("werkzeug.exceptions.NotFound", "database not found", 404)
            return JSONResponse(_described(fault), fault.status)
        try:
            return JSONResponse(self._execute(model, method, [], json.loads(await request.body())))
        except OdooFault as fault:
            return JSONResponse(_described(fault), fault.status)

    def _serve(self, service: str, method: str, arguments: Sequence[Any]) -> Any:
        if (service, method) == ("common", "version"):
            return {"server_version": "17.0", "server_version_info": [17, 0, 0, "final", 0, ""], "protocol_version": 1}
        database = arguments[0]
        if database != self._database:
            message = f'connection to server failed: FATAL:  database "{database}" does not exist\n'
            raise OdooFault("psycopg2.OperationalError", message)
        if (service, method) == ("common", "authenticate"):
            return _USER_ID if list(arguments[1:3]) == [self._login, self._key] else False
        _, user, key, model, name, *rest = arguments
        if (user, key) != (_USER_ID, self._key):
            raise OdooFault("odoo.exceptions.AccessDenied", "Access Denied")
        return self._execute(model, name, rest[0] if rest else [], rest[1] if len(rest) > 1 else {})

    def _execute(self, model: str, method: str, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
        if method.startswith("_"):
            message = f"Private methods (such as {method}) cannot be called remotely."
            raise OdooFault("odoo.exceptions.AccessError", message, 403)
        if method not in _READERS:
            raise OdooFault("builtins.AttributeError", f"The method '{model}.{method}' does not exist", 404)
        if method == "context_get":
            return {"lang": "en_US", "tz": "UTC", "uid": _USER_ID}
        if method == "fields_get":
            return self._data.fields_get(model)
        if method == "read":
            ids = arguments[0] if arguments else named.get("ids", [])
            return self._data.read(model, ids, named.get("fields"))
        domain = arguments[0] if arguments else named.get("domain", [])
        ids = self._data.search(model, domain, named.get("order"), named.get("limit"), named.get("offset") or 0)
        if method == "search_count":
            return len(ids)
        return ids if method == "search" else self._data.read(model, ids, named.get("fields"))


def _described(fault: OdooFault) -> Values:
    return {"name": fault.name, "message": fault.message, "arguments": [fault.message]}


def _type(kind: str) -> str:
    return {">": "many2one", "*": "one2many"}.get(kind[0], kind)


def _sortable(value: Any) -> tuple[int, Any]:
    return (0, 0) if value is None else (1, value)


def _compare(found: Any, operator: str, value: Any) -> bool:
    if isinstance(found, datetime) and isinstance(value, str):
        value = datetime.fromisoformat(value)
    if operator == "=":
        return (found or False) == value
    if operator == "!=":
        return (found or False) != value
    if operator in ("in", "not in"):
        return (found in value) is (operator == "in")
    if found is None:
        return False
    if operator not in (">", ">=", "<", "<="):
        raise OdooFault("builtins.ValueError", f"Invalid leaf operator {operator!r}")
    return {">": found > value, ">=": found >= value, "<": found < value, "<=": found <= value}[operator]


def fill_books(data: OdooData) -> dict[str, int]:
    """A small set of books: an entry of ours, an invoice with a credit note for order 1001, its payment and delivery.

    Returns:
        Ids: ``entry``, ``invoice``, ``credit_note``, ``payment``, ``delivery``, ``return``, ``quant``, ``cash``.
    """
    euro, dollar = data.add("res.currency", name="EUR"), data.add("res.currency", name="USD")
    company = data.add("res.company", name="Cedar & Pine GmbH", currency_id=euro)
    customer = data.add("res.partner", name="Ada Lovelace")
    data.add("res.currency.rate", name="2026-11-01", currency_id=dollar, company_id=company, rate=1.1723,
             inverse_company_rate=0.8530239699735563)  # fmt: skip

    def account(code: str, name: str, kind: str) -> int:
        return data.add(
            "account.account", code=code, name=name, account_type=kind, company_id=company, deprecated=False
        )

    cash, fees = account("1200", "Bank", "asset_cash"), account("6100", "PSP fees", "expense")
    clearing, sales = account("1250", "PSP clearing", "asset_current"), account("4000", "Web sales", "income")
    journal = data.add("account.journal", code="PSP", name="PSP settlements", type="general", company_id=company,
                       active=True)  # fmt: skip

    def move(name: str, **values: Any) -> int:
        shared = {"state": "posted", "date": "2026-11-05", "journal_id": journal, "company_id": company}
        return data.add("account.move", name=name, **{**shared, "currency_id": euro, **values})

    def line(entry: int, account_id: int, amount: float, currency: int = euro, foreign: float | None = None) -> None:
        record = data.records["account.move"][entry]
        data.add(
            "account.move.line", move_id=entry, move_name=record["name"], account_id=account_id, date=record["date"],
            debit=max(amount, 0.0), credit=max(-amount, 0.0), currency_id=currency, company_id=company,
            amount_currency=amount if foreign is None else foreign, parent_state=record["state"],
        )  # fmt: skip

    entry = move("PSP/2026/11/0001", ref="settl-1", move_type="entry", amount_total=88.01, amount_total_signed=88.01)
    data.add("ir.model.data", module="retail_assets", name="settl-1", model="account.move", res_id=entry)
    line(entry, cash, 85.3)
    line(entry, fees, 2.71, dollar, 3.18)
    line(entry, clearing, -88.01)
    invoice = move(
        "INV/2026/00001", ref="1001", move_type="out_invoice", payment_state="partial", partner_id=customer,
        amount_untaxed=21.01, amount_tax=3.99, amount_total=25.0, amount_total_signed=25.0, amount_residual=12.5,
        invoice_date="2026-11-05",
    )  # fmt: skip
    line(invoice, clearing, 25.0)
    line(invoice, sales, -25.0)
    credit_note = move(
        "RINV/2026/00001", ref="Reversal of: INV/2026/00001, refund", move_type="out_refund", payment_state="paid",
        partner_id=customer, amount_untaxed=10.5, amount_tax=2.0, amount_total=12.5, amount_total_signed=-12.5,
        amount_residual=0.0, reversed_entry_id=invoice, invoice_date="2026-11-05",
    )  # fmt: skip
    line(credit_note, clearing, -12.5)
    line(credit_note, sales, 12.5)
    paid = move("PBNK1/2026/00001", move_type="entry", amount_total=12.5, amount_total_signed=12.5)
    line(paid, cash, 12.5)
    line(paid, clearing, -12.5)
    payment = data.add(
        "account.payment", name="PBNK1/2026/00001", payment_type="inbound", amount=12.5, currency_id=euro,
        date="2026-11-05", ref="1001", state="posted", partner_id=customer, journal_id=journal, company_id=company,
        move_id=paid, reconciled_invoice_ids=[invoice],
    )  # fmt: skip
    return {
        "entry": entry, "invoice": invoice, "credit_note": credit_note, "payment": payment, "cash": cash,
        **_fill_stock(data, company, customer),
    }  # fmt: skip


def _fill_stock(data: OdooData, company: int, customer: int) -> dict[str, int]:
    mug, unit = data.add("product.product", name="Mug", default_code="MUG-1"), data.add("uom.uom", name="Units")
    shelf = data.add("stock.location", name="WH/Stock", usage="internal")
    outside = data.add("stock.location", name="Partners/Customers", usage="customer")
    supplier = data.add("stock.location", name="Partners/Vendors", usage="supplier")
    quant = data.add("stock.quant", product_id=mug, location_id=shelf, quantity=40.99999999999999,
                     reserved_quantity=5.0, product_uom_id=unit, company_id=company)  # fmt: skip
    data.add("stock.quant", product_id=mug, location_id=outside, quantity=1.0, reserved_quantity=0.0,
             product_uom_id=unit, company_id=company)  # fmt: skip
    order = data.add("sale.order", name="S00001", client_order_ref="1001")
    out = data.add("stock.picking.type", name="Delivery Orders", code="outgoing")
    into = data.add("stock.picking.type", name="Receipts", code="incoming")

    def picking(name: str, kind: int, origin: str, source: int, target: int, quantity: float, **values: Any) -> int:
        code = data.records["stock.picking.type"][kind]["code"]
        shared = {"location_id": source, "location_dest_id": target, "company_id": company, "state": "done"}
        made = data.add(
            "stock.picking", name=name, picking_type_id=kind, picking_type_code=code, origin=origin,
            partner_id=customer, date_done=datetime(2026, 11, 5, 9, 30), **{**shared, **values},  # noqa: DTZ001
        )  # fmt: skip
        data.add(
            "stock.move", picking_id=made, product_id=mug, product_uom_qty=quantity, quantity=quantity,
            product_uom=unit, date=datetime(2026, 11, 5, 9, 30), **shared,  # noqa: DTZ001
        )  # fmt: skip
        return made

    picking("WH/IN/00001", into, "P00001", supplier, shelf, 42.0)
    delivery = picking("WH/OUT/00001", out, "S00001", shelf, outside, 2.0, sale_id=order, carrier_tracking_ref="1Z")
    back = picking("WH/IN/00002", into, "Return of WH/OUT/00001", outside, shelf, 1.0, return_id=delivery)
    return {"quant": quant, "delivery": delivery, "return": back}
