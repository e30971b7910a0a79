"""The simulated Odoo 17 over HTTP: as much as a reader and a poster of entries need, as a recorded one answered.

Errors come with HTTP 200; a wrong password makes ``authenticate`` answer false. ``/json/2`` answers as documented for
Odoo 19, with HTTP statuses. What the records do is in ``odoo_data``, what writing does in ``odoo_books``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from retail_assets.sandbox.erpnext import Fault, Faults, spoilt
from retail_assets.sandbox.odoo_books import WRITERS, change
from retail_assets.sandbox.odoo_data import USER_ID, OdooData, OdooFault, Values

__all__ = ["OdooData", "OdooFault", "create_app", "fill_books"]

_READERS: Final = frozenset({"search", "search_read", "search_count", "read", "fields_get", "context_get"})


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

    Returns:
        The application; ``app.state.faults`` make it fail, by ``<model>.<method>`` as their path.
    """
    endpoint = _Endpoint(data, database, login, key)
    routes = [Route("/jsonrpc", endpoint.jsonrpc, methods=["POST"])]
    if series >= 19:
        routes.append(Route("/json/2/{model}/{method}", endpoint.json2, methods=["POST"]))
    app = Starlette(routes=routes)
    app.state.faults = endpoint.faults
    return app


class _Endpoint:
    def __init__(self, data: OdooData, database: str, login: str, key: str) -> None:
        self._data = data
        self._database = database
        self._login = login
        self._key = key
        self.faults = Faults()

    async def jsonrpc(self, request: Request) -> Response:
        """``/jsonrpc``: HTTP 200, whatever happens."""
        body = json.loads(await request.body())
        params = body.get("params") or {}
        service, method, arguments = str(params.get("service")), str(params.get("method")), params.get("args") or []
        fault = self.faults.hit("POST", ".".join(map(str, arguments[3:5])) if service == "object" else method)

        def answered() -> Response:
            answer: Values = {"jsonrpc": "2.0", "id": body.get("id")}
            try:
                answer["result"] = self._serve(service, method, arguments)
            except OdooFault as refusal:
                debug = f"Traceback (most recent call last):\n{refusal.name}"
                details = {**_described(refusal), "debug": debug, "context": {}}
                answer["error"] = {"code": 200, "message": "Odoo Server Error", "data": details}
            return JSONResponse(answer)

        return await _spoilt(fault, answered)

    async def json2(self, request: Request) -> Response:
        """``/json/2/<model>/<method>``: named arguments, errors as HTTP statuses."""
        model, method = request.path_params["model"], request.path_params["method"]
        if request.headers.get("authorization", "").partition(" ")[2] != self._key:
            fault = OdooFault("werkzeug.exceptions.Unauthorized", "Invalid apikey", 401)
            return JSONResponse(_described(fault), fault.status)
        if request.headers.get("x-odoo-database", self._database) != self._database:
            fault = OdooFault("werkzeug.exceptions.NotFound", "database not found", 404)
            return JSONResponse(_described(fault), fault.status)
        named = json.loads(await request.body())

        def answered() -> Response:
            try:
                return JSONResponse(self._execute(model, method, [], named))
            except OdooFault as refusal:
                return JSONResponse(_described(refusal), refusal.status)

        return await _spoilt(self.faults.hit("POST", f"{model}.{method}"), answered)

    def _serve(self, service: str, method: str, arguments: Sequence[Any]) -> Any:
        if (service, method) == ("common", "version"):
            return {"server_version": "17.0", "server_version_info": [17, 0, 0, "final", 0, ""], "protocol_version": 1}
        database = arguments[0]
        if database != self._database:
            message = f'connection to server failed: FATAL:  database "{database}" does not exist\n'
            raise OdooFault("psycopg2.OperationalError", message)
        if (service, method) == ("common", "authenticate"):
            return USER_ID if list(arguments[1:3]) == [self._login, self._key] else False
        _, user, key, model, name, *rest = arguments
        if (user, key) != (USER_ID, self._key):
            raise OdooFault("odoo.exceptions.AccessDenied", "Access Denied")
        return self._execute(model, name, rest[0] if rest else [], rest[1] if len(rest) > 1 else {})

    def _execute(self, model: str, method: str, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
        if method.startswith("_"):
            message = f"Private methods (such as {method}) cannot be called remotely."
            raise OdooFault("odoo.exceptions.AccessError", message, 403)
        if method in WRITERS:
            return change(self._data, model, method, arguments, named)
        if method not in _READERS:
            raise OdooFault("builtins.AttributeError", f"The method '{model}.{method}' does not exist", 404)
        if method == "context_get":
            return {"lang": "en_US", "tz": "UTC", "uid": USER_ID}
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


async def _spoilt(fault: Fault | None, answered: Callable[[], Response]) -> Response:
    """The answer, unless a fault hits the request before it is carried out, or the answer after."""
    if fault is None:
        return answered()
    return await spoilt(fault, Response() if fault.at == "before_commit" else answered())


def _described(fault: OdooFault) -> Values:
    return {"name": fault.name, "message": fault.message, "arguments": [fault.message]}


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
