"""A WooCommerce store's REST API (wc/v3) over the generated state, behaving as a real 10.2 store was measured to."""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from retail_assets.sandbox.catalogue import API, SITE, gmt_text, local_text
from retail_assets.sandbox.profiles import StoreProfile
from retail_assets.sandbox.storage import change_state, encode, open_state
from retail_assets.sandbox.storebodies import WOOCOMMERCE_VERSION
from retail_assets.sandbox.woo_auth import KeyCheck, query_pairs
from retail_assets.sandbox.woo_changes import Storage
from retail_assets.sandbox.woo_query import (
    STATUSES,
    BadParameterError,
    choice,
    fields_of,
    ids_of,
    moments,
    only,
    page_of,
    statuses_of,
)
from retail_assets.sandbox.woo_webhooks import change_webhooks, webhooks_of

_ORDER_BY: Final = ("date", "id", "include", "title", "slug", "modified")
# All bounds are exclusive.
_DATE_COLUMNS: Final = {
    "after": "created >",
    "before": "created <",
    "modified_after": "modified >",
    "modified_before": "modified <",
}
_BATCH_LIMIT: Final = 100
_NO_CACHE: Final = "no-cache, must-revalidate, max-age=0, no-store, private"
_JSON: Final = "application/json; charset=UTF-8"

# Numbers stay exactly as written when a body is taken apart for _fields.
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)


class WooCommerceStore:
    """One store's answers.

    Args:
        store: which store.
        state: its state file.
        key: the check of its API key.
        path: the state file, for what is written.
        storage: where it keeps its orders.
        before: called before each answer; a test changes the store there.
    """

    def __init__(
        self,
        store: StoreProfile,
        state: sqlite3.Connection,
        key: KeyCheck,
        path: Path,
        storage: Storage = "hpos",
        before: Callable[[Request], None] | None = None,
    ) -> None:
        self._path = path
        self._storage = storage
        self._before = before
        self._store = store
        self._state = state
        self._key = key
        self._zone = ZoneInfo(store.zone)

    def guarded(self, answer: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
        """``answer`` behind the key check, with WordPress' errors for bad parameters."""

        async def endpoint(request: Request) -> Response:
            refusal = self._key.refuse(request)
            if refusal is not None:
                body = {"code": refusal.code, "message": refusal.message, "data": {"status": 401}}
                return JSONResponse(body, status_code=401)
            if self._before is not None:
                self._before(request)
            if request.method not in ("GET", "HEAD"):
                # Nothing of this can be changed through the simulated store's API.
                return _not_found("rest_no_route", "No route was found matching the URL and request method.")
            try:
                return answer(request)
            except BadParameterError as error:
                return error.response()

        return endpoint

    def writing(self, answer: Callable[[Request, Any], Response]) -> Callable[[Request], Awaitable[Response]]:
        """``answer``, which takes the body of a POST, behind the key check."""

        async def endpoint(request: Request) -> Response:
            refusal = self._key.refuse(request)
            if refusal is not None:
                return _refused(refusal.code, refusal.message, 401)
            try:
                sent = _DECODER.decode(await request.body() or b"{}")
            except msgspec.DecodeError:
                return _refused("rest_invalid_json", "Invalid JSON body passed.", 400)
            return answer(request, sent)

        return endpoint

    # -- orders that are made by REST ----------------------------------------------------------------------------------

    def make_order(self, request: Request, body: Any) -> Response:
        """``POST /orders``, of which this store makes orders without lines: its clock is the wall clock."""
        if body.get("line_items") or body.get("set_paid"):
            return _refused("rest_invalid_param", "The simulated store makes orders without lines only.", 400)
        at = datetime.now(UTC).replace(microsecond=0)
        with change_state(self._path) as connection:
            row = connection.execute("select body from orders order by id desc limit 1").fetchone()
            (highest,) = connection.execute(
                "select max(id) from (select id from orders union all select id from refunds)"
            ).fetchone()
            order_id = (highest or 0) + 1
            metas = [{"id": order_id * 100 + step, **meta} for step, meta in enumerate(body.get("meta_data", []))]
            dates = {"date_created": local_text(at, self._zone), "date_created_gmt": gmt_text(at)}
            dates |= {"date_modified": dates["date_created"], "date_modified_gmt": dates["date_created_gmt"]}
            emptied = dict.fromkeys(("date_paid", "date_paid_gmt", "date_completed", "date_completed_gmt"))
            money = (
                "total",
                "total_tax",
                "cart_tax",
                "shipping_total",
                "shipping_tax",
                "discount_total",
                "discount_tax",
            )
            lists = ("line_items", "tax_lines", "shipping_lines", "fee_lines", "coupon_lines", "refunds", "gift_cards")
            order = {
                **(_DECODER.decode(row["body"]) if row else {}),
                "id": order_id, "number": str(order_id), "order_key": f"wc_order_{order_id}", "customer_id": 0,
                "status": body.get("status", "pending"), "created_via": "rest-api", "transaction_id": "",
                "payment_method": "", "payment_method_title": "", "currency": self._store.currency, "meta_data": metas,
                **dates, **emptied, **dict.fromkeys(money, "0.00"), **{name: [] for name in lists},
            }  # fmt: skip
            values = (order_id, str(order_id), order["status"], *[int(at.timestamp())] * 2, 0, encode(order))
            connection.execute("insert into orders values (?, ?, ?, ?, ?, ?, ?)", values)
        return Response(encode(order), status_code=201, media_type=_JSON)

    def trash_order(self, request: Request, body: Any) -> Response:
        """``DELETE /orders/<id>`` without ``force``: into the trash."""
        order_id = request.path_params["order_id"]
        with change_state(self._path) as connection:
            row = connection.execute("select body from orders where id = ?", (order_id,)).fetchone()
            if row is None:
                return _not_found("woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
            order = {**_DECODER.decode(row["body"]), "status": "trash"}
            connection.execute("update orders set status = 'trash', body = ? where id = ?", (encode(order), order_id))
        return self._json(encode(order), {})

    # -- webhooks ------------------------------------------------------------------------------------------------------

    def webhooks(self, request: Request) -> Response:
        """``GET /webhooks``, of whatever status; their secrets are not told."""
        return self._json(encode(webhooks_of(self._state, self._store.store_id)), {})

    def change_webhook(self, request: Request, body: Any) -> Response:
        """``POST /webhooks/<id>``, of which this store changes the status only."""
        status = body.get("status")
        if status not in ("active", "paused", "disabled"):
            return _refused("rest_invalid_param", "Invalid parameter(s): status", 400)
        with change_state(self._path) as connection:
            moved = change_webhooks(connection, self._store.store_id, status, request.path_params["webhook_id"])
        if not moved:
            return _not_found("woocommerce_rest_shop_webhook_invalid_id", "Invalid ID.")
        return self._json(encode(moved[0]), {})

    # -- stock ---------------------------------------------------------------------------------------------------------

    def batch_of_products(self, request: Request, body: Any) -> Response:
        """``POST /products/batch``, of which this store does updates of the stock only."""
        return self._update_stock(body, "products", None)

    def batch_of_variations(self, request: Request, body: Any) -> Response:
        """``POST /products/<id>/variations/batch``, likewise."""
        return self._update_stock(body, "variations", request.path_params["product_id"])

    def _update_stock(self, body: Any, resource: str, parent_id: int | None) -> Response:
        items = body.get("update", []) if isinstance(body, dict) else []
        if len(items) > _BATCH_LIMIT:
            message = f"Unable to accept more than {_BATCH_LIMIT} items for this request."
            return _refused("woocommerce_rest_request_entity_too_large", message, 413)
        kind = "product" if resource == "products" else "product_variation"
        answers: list[str] = []
        with change_state(self._path) as connection:
            for item in items:
                row = connection.execute(
                    "select body from documents where resource = ? and id = ? and coalesce(?, parent_id) = parent_id",
                    (resource, item.get("id"), parent_id),
                ).fetchone()
                if row is None:
                    error = {"code": f"woocommerce_rest_{kind}_invalid_id", "message": "Invalid ID."}
                    answers.append(encode({"id": item.get("id"), "error": {**error, "data": {"status": 400}}}))
                    continue
                record = _DECODER.decode(row["body"])
                # Of a product whose stock it does not track a store takes no quantity, and says nothing.
                if record["manage_stock"] is True and "stock_quantity" in item:
                    record["stock_quantity"] = item["stock_quantity"]
                    record["stock_status"] = "instock" if item["stock_quantity"] > 0 else "outofstock"
                connection.execute(
                    "update documents set body = ? where resource = ? and id = ?",
                    (encode(record), resource, item["id"]),
                )
                answers.append(encode(record))
        return self._json(f'{{"update":[{",".join(answers)}]}}', {})

    # -- lists ---------------------------------------------------------------------------------------------------------

    def orders(self, request: Request) -> Response:
        """``GET /orders``."""
        pairs = query_pairs(request)
        statuses = statuses_of(pairs)
        conditions, values = self._date_conditions(dict(pairs))
        if statuses is None:
            conditions.append("status <> 'trash'")
        else:
            conditions.append(f"status in ({_marks(statuses)})")
            values += sorted(statuses)
        customer = dict(pairs).get("customer")
        if customer is not None and customer.isdigit():
            conditions.append("customer = ?")
            values.append(int(customer))
        return self._list(request, pairs, "orders", conditions, values)

    def refunds(self, request: Request) -> Response:
        """``GET /refunds``: refunds of all orders, trashed ones included.

        Not so those that the old storage put into the trash with their order: their ``parent_id`` is negative.
        """
        pairs = query_pairs(request)
        conditions, values = self._date_conditions(dict(pairs))
        conditions.append("parent_id > 0")
        return self._list(request, pairs, "refunds", conditions, values)

    def refunds_of_order(self, request: Request) -> Response:
        """``GET /orders/<id>/refunds``: the same refunds without ``parent_id``."""
        order_id = request.path_params["order_id"]
        if not self._state.execute("select 1 from orders where id = ?", (order_id,)).fetchone():
            return _not_found("woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
        pairs = query_pairs(request)
        conditions, values = self._date_conditions(dict(pairs))
        return self._list(
            request, pairs, "refunds", [*conditions, "parent_id = ?"], [*values, order_id], drop="parent_id"
        )

    def fulfillments_of_order(self, request: Request) -> Response:
        """``GET /orders/<id>/fulfillments``: no such route in a shop that has not switched them on."""
        if not self._state.execute("select 1 from documents where resource = 'fulfillments' limit 1").fetchone():
            return _not_found("rest_no_route", "No route was found matching the URL and request method.")
        order_id = request.path_params["order_id"]
        if not self._state.execute("select 1 from orders where id = ?", (order_id,)).fetchone():
            return _not_found("woocommerce_rest_order_invalid_id", "Invalid order ID.")
        rows = self._state.execute(
            "select body from documents where resource = 'fulfillments' and parent_id = ? order by id", (order_id,)
        )
        return self._json(f"[{','.join(row['body'] for row in rows)}]", {})

    def products(self, request: Request) -> Response:
        """``GET /products``."""
        pairs = query_pairs(request)
        conditions, values = self._date_conditions(dict(pairs))
        return self._list(request, pairs, "documents", [*conditions, "resource = 'products'"], values)

    def variations(self, request: Request) -> Response:
        """``GET /products/<id>/variations``."""
        product_id = request.path_params["product_id"]
        found = self._state.execute("select 1 from documents where resource = 'products' and id = ?", (product_id,))
        if not found.fetchone():
            return _not_found("woocommerce_rest_product_invalid_id", "Invalid ID.")
        pairs = query_pairs(request)
        conditions, values = self._date_conditions(dict(pairs))
        conditions += ["resource = 'variations'", "parent_id = ?"]
        return self._list(request, pairs, "documents", conditions, [*values, product_id])

    def customers(self, request: Request) -> Response:
        """``GET /customers``; the date filters are ignored without a word."""
        pairs = query_pairs(request)
        order_by = ("id", "include", "name", "registered_date")
        return self._list(request, pairs, "documents", ["resource = 'customers'"], [], order_by=order_by)

    def taxes(self, request: Request) -> Response:
        """``GET /taxes``."""
        return self._list(
            request, query_pairs(request), "documents", ["resource = 'taxes'"], [], order_by=("id", "order", "priority")
        )

    def _date_conditions(self, query: dict[str, str]) -> tuple[list[str], list[Any]]:
        found = moments(query, self._zone)
        return [f"{_DATE_COLUMNS[name]} ?" for name in found], list(found.values())

    def _list(
        self, request: Request, pairs: Sequence[tuple[str, str]], table: str, conditions: list[str], values: list[Any],
        *, order_by: Sequence[str] = _ORDER_BY, drop: str = "",
    ) -> Response:  # fmt: skip
        query = dict(pairs)
        page = page_of(query)
        by = choice(query, "orderby", order_by[0], order_by)
        direction = choice(query, "order", "desc", ("asc", "desc"))
        included = ids_of(pairs, "include")
        if included:
            conditions = [*conditions, f"id in ({_marks(included)})"]
            values = [*values, *included]
        where = " and ".join(conditions) or "true"
        # Only our own words are put into the statements below; everything a client sends is a parameter.
        (total,) = self._state.execute(f"select count(*) from {table} where {where}", values).fetchone()  # noqa: S608
        order = _order_clause(by, direction, page.number, included)
        rows = self._state.execute(
            f"select body from {table} where {where} order by {order} limit ? offset ?",  # noqa: S608
            [*values, page.size, page.offset],
        ).fetchall()
        fields = fields_of(pairs)
        bodies = [_shown(row["body"], fields, drop) for row in rows]
        content = self._with_site(request, f"[{','.join(bodies)}]")
        # Beyond the last page both totals are 0, whatever the real totals are.
        pages = -(-total // page.size) if rows else 0
        headers = {"X-WP-Total": str(total if rows else 0), "X-WP-TotalPages": str(pages)}
        link = self._link(request, pairs, page.number, pages)
        if link:
            headers["Link"] = link
        return self._json(content, headers)

    def _link(self, request: Request, pairs: Sequence[tuple[str, str]], number: int, pages: int) -> str:
        base = f"{_server(request)}{request.url.path}"
        others = [(name, value) for name, value in pairs if name != "page"]
        found = []
        for step, relation in ((number - 1, "prev"), (number + 1, "next")):
            if pages and 1 <= step <= pages:
                found.append(f'<{base}?{urlencode([*others, ("page", str(step))])}>; rel="{relation}"')
        return ", ".join(found)

    # -- single records ------------------------------------------------------------------------------------------------

    def order(self, request: Request) -> Response:
        """``GET /orders/<id>``: trashed orders too, with status trash."""
        return self._single(request, "orders", "id = ?", "woocommerce_rest_shop_order_invalid_id", "order_id")

    def product(self, request: Request) -> Response:
        """``GET /products/<id>``."""
        where = "resource = 'products' and id = ?"
        return self._single(request, "documents", where, "woocommerce_rest_product_invalid_id", "product_id")

    def customer(self, request: Request) -> Response:
        """``GET /customers/<id>``."""
        where = "resource = 'customers' and id = ?"
        return self._single(request, "documents", where, "woocommerce_rest_invalid_id", "customer_id")

    def _single(self, request: Request, table: str, where: str, missing: str, parameter: str) -> Response:
        row = self._state.execute(
            f"select body from {table} where {where}",  # noqa: S608 (our own words)
            (request.path_params[parameter],),
        ).fetchone()
        if row is None:
            return _not_found(missing, "Invalid ID.")
        fields = fields_of(query_pairs(request))
        body = _shown(row["body"], fields, "")
        return self._json(self._with_site(request, body), {})

    # -- the shop itself -----------------------------------------------------------------------------------------------

    def statuses(self, request: Request) -> Response:
        """``GET /orders/statuses``: without trash."""
        return JSONResponse([{"slug": slug, "name": name} for slug, name in STATUSES.items()])

    def currency(self, request: Request) -> Response:
        """``GET /data/currencies/current``."""
        store = self._store
        href = f"{_server(request)}/{store.store_id}{API}/data/currencies"
        links = {
            "self": [{"href": f"{href}/{store.currency}", "targetHints": {"allow": ["GET"]}}],
            "collection": [{"href": href}],
        }
        return JSONResponse(
            {"code": store.currency, "name": store.currency_name, "symbol": store.currency_symbol, "_links": links}
        )

    def system_status(self, request: Request) -> Response:
        """``GET /system_status``: what a loader wants to know of a shop's set-up."""
        store = self._store
        site = f"{_server(request)}/{store.store_id}"
        body = {
            "environment": {
                "home_url": site, "site_url": site, "version": WOOCOMMERCE_VERSION, "wp_version": "6.8.3",
                "wp_multisite": False, "php_version": "8.2.36", "default_timezone": "UTC", "language": "en_US",
                "secure_connection": request.url.scheme == "https", "hide_errors": True,
            },
            "database": {"wc_database_version": WOOCOMMERCE_VERSION, "database_prefix": "wp_"},
            "active_plugins": [
                {"plugin": "woocommerce-gateway-stripe/woocommerce-gateway-stripe.php",
                 "name": "WooCommerce Stripe Gateway", "version": "10.6.1" if store.notes_refund_id else "9.1.0"},
            ],
            "settings": {
                "api_enabled": True, "force_ssl": False, "currency": store.currency,
                "currency_symbol": store.currency_symbol, "currency_position": "left", "thousand_separator": ",",
                "decimal_separator": ".", "number_of_decimals": 2, "HPOS_enabled": self._storage == "hpos",
                "HPOS_sync_enabled": False,
            },
            "security": {"secure_connection": request.url.scheme == "https", "hide_errors": True},
            "pages": [],
        }  # fmt: skip
        fields = fields_of(query_pairs(request))
        return JSONResponse(only(body, fields) if fields else body)

    def _with_site(self, request: Request, content: str) -> str:
        return content.replace(SITE, _server(request))

    def _json(self, content: str, headers: dict[str, str]) -> Response:
        fixed = {"Cache-Control": _NO_CACHE, "Allow": "GET, POST"}
        return Response(content, media_type=_JSON, headers=fixed | headers)


def _server(request: Request) -> str:
    """Scheme and host the client used: the address that stands in links and in ``site_url``."""
    return f"{request.url.scheme}://{request.url.netloc}"


def _marks(values: Sequence[Any] | set[str]) -> str:
    return ", ".join("?" * len(values))


def _order_clause(by: str, direction: str, page: int, included: Sequence[int]) -> str:
    if by == "modified":
        # The real query has no tie-breaker, so records of one second may change places from page to page.
        return f"modified {direction}, id {'asc' if page % 2 else 'desc'}"
    if by in ("date", "registered_date"):
        return f"created {direction}, id {direction}"
    if by == "include" and included:
        places = " ".join(f"when {record_id} then {place}" for place, record_id in enumerate(included))
        return f"case id {places} end"
    return f"id {direction}"


def _shown(body: str, fields: Sequence[Sequence[str]], drop: str) -> str:
    """A body as served; what ``woo_changes`` notes for itself (``_was``) is left out."""
    if not (drop or fields or '"_was"' in body or '"_refunds"' in body):
        return body
    record = {name: value for name, value in _DECODER.decode(body).items() if name not in (drop, "_was", "_refunds")}
    return encode(only(record, fields) if fields else record)


def _refused(code: str, message: str, status: int) -> JSONResponse:
    return JSONResponse({"code": code, "message": message, "data": {"status": status}}, status_code=status)


def _not_found(code: str, message: str) -> JSONResponse:
    return _refused(code, message, 404)


async def _no_route(request: Request, error: Exception) -> Response:
    return _not_found("rest_no_route", "No route was found matching the URL and request method.")


def create_app(
    state_path: Path,
    store: StoreProfile,
    consumer_key: str,
    consumer_secret: str,
    *,
    storage: Storage = "hpos",
    before: Callable[[Request], None] | None = None,
    may_write: bool = False,
) -> Starlette:
    """The store's REST API, to be mounted at the store's address.

    Args:
        state_path: the store's generated state file.
        store: which store it is.
        consumer_key: its API key.
        consumer_secret: the key's secret.
        storage: where the shop keeps its orders; see ``woo_changes``.
        before: called before each answer, for changes that happen while a client pages.
        may_write: its key may write.
    """
    connection = open_state(state_path)
    key = KeyCheck(consumer_key, consumer_secret, may_write=may_write)
    shop = WooCommerceStore(store, connection, key, state_path, storage, before)
    routes = {
        "/orders": shop.orders,
        "/orders/statuses": shop.statuses,
        "/orders/{order_id:int}": shop.order,
        "/orders/{order_id:int}/refunds": shop.refunds_of_order,
        "/orders/{order_id:int}/fulfillments": shop.fulfillments_of_order,
        "/refunds": shop.refunds,
        "/products": shop.products,
        "/products/{product_id:int}": shop.product,
        "/products/{product_id:int}/variations": shop.variations,
        "/customers": shop.customers,
        "/customers/{customer_id:int}": shop.customer,
        "/taxes": shop.taxes,
        "/webhooks": shop.webhooks,
        "/system_status": shop.system_status,
        "/data/currencies/current": shop.currency,
    }
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    writes = {
        "/orders": shop.make_order,
        "/webhooks/{webhook_id:int}": shop.change_webhook,
        "/products/batch": shop.batch_of_products,
        "/products/{product_id:int}/variations/batch": shop.batch_of_variations,
    }
    app = Starlette(
        routes=[
            *(Route(f"{API}{path}", shop.writing(answer), methods=["POST"]) for path, answer in writes.items()),
            Route(f"{API}/orders/{{order_id:int}}", shop.writing(shop.trash_order), methods=["DELETE"]),
            *(Route(f"{API}{path}", shop.guarded(answer), methods=methods) for path, answer in routes.items()),
        ],
        exception_handlers={404: _no_route, 405: _no_route},
    )
    app.state.connection = connection
    return app
