"""A small WooCommerce store that changes while it is read; it checks OAuth signatures as WooCommerce does on http.

It keeps orders the new way (``hpos``) or the old one (``legacy``), with what each of them does to modification dates
and refunds as measured on a real 10.2 store.
"""

import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from oauthlib.oauth1.rfc5849 import signature
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from retail_assets.settings import Store, instance_of
from tests.support.replay import RECORDED

KEY, SECRET = "ck_canary-key", "cs_canary-secret"
TEMPLATE: dict[str, Any] = json.loads((RECORDED / "orders_default_p1.json").read_bytes())[0]
REFUND: dict[str, Any] = json.loads((RECORDED / "refunds_collection_p1.json").read_bytes())[0]
OPENED = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)
STATUSES = ("pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed", "checkout-draft")


def settings_for(url: str, **changes: Any) -> Store:
    """The store as retail.yaml would have it."""
    return instance_of(
        "stores",
        {
            "id": "cedar_us",
            "name": "Cedar",
            "entity": "US",
            "base_url": url,
            "consumer_key": KEY,
            "consumer_secret": SECRET,
            "retries": 0,
            "parallel_requests": 1,
            **changes,
        },
    )


def stamp(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")


@dataclass
class FakeStore:
    """Orders by id, a clock that only a test moves, and a hook before each page of orders.

    ``before_page`` gets the statuses asked for and the place of the page's first record, from 0. PHP dies of the
    records in ``broken`` and of pages with more than ``most_per_page`` records; ``garbles`` answers break off;
    ``php_says`` comes before each list.
    """

    orders: dict[int, dict[str, Any]] = field(default_factory=dict)
    storage: str = "hpos"
    now: datetime = OPENED
    before_page: Callable[[str, int], None] = lambda _statuses, _offset: None
    before_request: Callable[[], None] = lambda: None
    queries: list[dict[str, str]] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    raw: dict[str, Response] = field(default_factory=dict)
    absent: frozenset[str] = frozenset({"refunds"})
    customers: int = 0
    deleted_customers: frozenset[int] = frozenset()
    products: dict[int, dict[str, Any]] = field(default_factory=dict)
    offers_offset: bool = True
    offers_totals: bool = True
    plain_permalinks: bool = False
    broken: frozenset[int] = frozenset()
    broken_in_lists_of_ids: bool = False
    most_per_page: int = 100
    garbles: int = 0
    php_says: bytes = b""
    last_id: int = 100

    # -- what a shop does ----------------------------------------------------------------------------------------------

    def place(self, number: int = 1, *, apart: timedelta = timedelta(minutes=1), **changes: Any) -> None:
        """Place so many orders."""
        for _ in range(number):
            self.now += apart
            identifier = self.new_id()
            lines = [{**line, "id": identifier * 10 + position} for position, line in enumerate(TEMPLATE["line_items"])]
            order = copy.deepcopy(TEMPLATE) | {"id": identifier, "number": str(identifier), "line_items": lines}
            self.orders[identifier] = order | {
                "date_created_gmt": stamp(self.now),
                "date_modified_gmt": stamp(self.now),
                "refunds": [],
                "_refunds": [],
                **changes,
            }

    def new_id(self) -> int:
        """Orders and refunds share one number space."""
        self.last_id += 1
        return self.last_id

    def change(self, identifier: int, **changes: Any) -> None:
        """Change an order now, as a new status does."""
        self.orders[identifier] |= {"date_modified_gmt": stamp(self.now), **changes}

    def edit(self, identifier: int, **changes: Any) -> None:
        """Edit an order's lines, total or meta: on the old storage that moves no date."""
        if self.storage == "hpos":
            self.change(identifier, **changes)
        else:
            self.orders[identifier] |= changes

    def trash(self, identifier: int) -> None:
        """Move an order to the trash; on the old storage its refunds go with it."""
        order = self.orders[identifier]
        self.change(identifier, status="trash", _was=order["status"])
        if self.storage != "hpos":
            order["_trashed_refunds"], order["_refunds"], order["refunds"] = order["_refunds"], [], []

    def restore(self, identifier: int, *, in_admin: bool = False) -> None:
        """Take an order out of the trash: by REST, where the old storage keeps the refunds in it, or in the admin."""
        order = self.orders[identifier]
        self.change(identifier, status=order["_was"])
        if in_admin and self.storage != "hpos":
            self._set_refunds(identifier, order.pop("_trashed_refunds", []))

    def delete(self, identifier: int) -> None:
        """Delete an order for good."""
        del self.orders[identifier]

    def refund(self, identifier: int, amount: str = "1.00") -> int:
        """Refund part of an order."""
        refund_id = self.new_id()
        refund = copy.deepcopy(REFUND) | {
            "id": refund_id, "parent_id": identifier, "date_created_gmt": stamp(self.now), "amount": amount,
        }  # fmt: skip
        self._set_refunds(identifier, [*self.orders[identifier]["_refunds"], refund])
        self.change(identifier)
        return refund_id

    def delete_refund(self, identifier: int, refund_id: int) -> None:
        """Delete a refund, which moves no date."""
        kept = [refund for refund in self.orders[identifier]["_refunds"] if refund["id"] != refund_id]
        self._set_refunds(identifier, kept)

    def _set_refunds(self, identifier: int, refunds: list[dict[str, Any]]) -> None:
        shown = [{"id": one["id"], "reason": one["reason"], "total": "-" + one["amount"]} for one in refunds]
        self.orders[identifier] |= {"_refunds": refunds, "refunds": shown}

    # -- what it answers -----------------------------------------------------------------------------------------------

    def app(self) -> Starlette:
        prefix = "" if self.plain_permalinks else "/wp-json/wc/v3"
        routes = {
            "/orders": self._list_orders,
            "/orders/statuses": self._list_statuses,
            "/orders/{order_id:int}": self._order,
            "/orders/{order_id:int}/refunds": self._list_refunds,
            "/orders/{order_id:int}/fulfillments": self._list_fulfillments,
            "/system_status": self._system_status,
            "/products/{product_id:int}": self._product,
            "/customers/{customer_id:int}": self._customer,
            "/{name}": self._other,
        }
        inner = Starlette(routes=[Route(f"{prefix}{path}", answer) for path, answer in routes.items()])
        return Starlette(routes=[Route("/", self._by_query(inner))]) if self.plain_permalinks else inner

    def _by_query(self, inner: Starlette) -> Any:
        async def endpoint(request: Request) -> Response:
            route = request.query_params.get("rest_route", "").removeprefix("/wc/v3")
            for candidate in inner.routes:
                match, scope = candidate.matches({**request.scope, "path": route, "root_path": ""})
                if match.value == 2:
                    return await candidate.endpoint(Request({**request.scope, **scope}, request.receive))  # type: ignore[attr-defined]
            return Response(status_code=404)

        return endpoint

    async def _list_orders(self, request: Request) -> Response:
        query = dict(request.query_params)
        self.queries.append(query)
        self.urls.append(str(request.url))
        if "orders" in self.raw:
            return self.raw["orders"]
        if (refusal := _refusal(request)) is not None:
            return refusal
        size = int(query.get("per_page", 10))
        if "_fields" not in query and "include" not in query:
            self.before_page(query["status"], int(query.get("offset", (int(query.get("page", 1)) - 1) * size)))
        self.before_request()
        statuses = set(query.get("status", "any").split(","))
        included = {int(one) for one in query["include"].split(",")} if "include" in query else None
        wanted = [
            {name: value for name, value in order.items() if not name.startswith("_")}
            for order in sorted(
                self.orders.values(), key=lambda order: order["id"] if isinstance(order["id"], int) else 0
            )
            if (order["status"] in statuses or ("any" in statuses and order["status"] != "trash"))
            and order["date_modified_gmt"] > query.get("modified_after", "")
            and order["date_created_gmt"] < query.get("before", "9")
            and (included is None or order["id"] in included)
        ]
        return self._page(wanted[:: -1 if query.get("order") == "desc" else 1], query)

    async def _list_statuses(self, request: Request) -> Response:
        if "statuses" in self.absent:
            return JSONResponse({"code": "woocommerce_rest_shop_order_invalid_id"}, 404)
        return JSONResponse([{"slug": slug, "name": slug} for slug in STATUSES])

    async def _order(self, request: Request) -> Response:
        if "order" in self.absent:
            return Response("<html>404 Not Found</html>", 404)
        self.before_request()
        order = self.orders.get(request.path_params["order_id"])
        if order is None:
            return JSONResponse({"code": "woocommerce_rest_shop_order_invalid_id"}, 404)
        if order["id"] in self.broken:
            return JSONResponse({"code": "internal_server_error"}, 500)
        return JSONResponse({name: value for name, value in order.items() if not name.startswith("_")})

    async def _list_refunds(self, request: Request) -> Response:
        self.before_request()
        order = self.orders.get(request.path_params["order_id"])
        if order is None or order.get("_gone"):
            return JSONResponse({"code": "woocommerce_rest_shop_order_invalid_id"}, 404)
        refunds = [{key: value for key, value in one.items() if key != "parent_id"} for one in order["_refunds"]]
        return self._page(refunds, dict(request.query_params))

    async def _list_fulfillments(self, request: Request) -> Response:
        order = self.orders.get(request.path_params["order_id"])
        if order is None or "fulfillments" in self.absent:
            return JSONResponse({"code": "rest_no_route"}, 404)
        return JSONResponse(order.get("_fulfillments", []))

    async def _system_status(self, request: Request) -> Response:
        if "system_status" in self.absent:
            return JSONResponse({"code": "woocommerce_rest_cannot_view"}, 401)
        return JSONResponse({"settings": {"HPOS_enabled": self.storage == "hpos"}})

    async def _product(self, request: Request) -> Response:
        product = self.products.get(request.path_params["product_id"])
        if product is None:
            return JSONResponse({"code": "woocommerce_rest_product_invalid_id"}, 404)
        return JSONResponse(product)

    async def _customer(self, request: Request) -> Response:
        number = request.path_params["customer_id"]
        if not 0 < number <= self.customers or number in self.deleted_customers:
            return JSONResponse({"code": "woocommerce_rest_invalid_id"}, 404)
        return JSONResponse({"id": number, "email": f"{number}@example.com"})

    async def _other(self, request: Request) -> Response:
        name = request.path_params["name"]
        query = dict(request.query_params)
        if name in self.raw:
            return self.raw[name]
        if name in self.absent:
            return JSONResponse({"code": "rest_no_route"}, 404)
        self.before_request()
        if name == "refunds":
            refunds = [refund for order in self.orders.values() for refund in order["_refunds"]]
            wanted = [
                refund
                for refund in sorted(refunds, key=lambda refund: refund["id"])
                if query.get("modified_after", "") < refund["date_created_gmt"] < query.get("before", "9")
            ]
            return self._page(wanted, query)
        if name == "customers":
            people = [
                {"id": number, "email": f"{number}@example.com"}
                for number in range(1, self.customers + 1)
                if number not in self.deleted_customers
            ]
            return self._page(people[:: -1 if query.get("order") == "desc" else 1], query)
        if name == "products":
            shown = [product for product in self.products.values() if product["status"] != "trash"]
            wanted = [one for one in shown if one["date_modified_gmt"] > query.get("modified_after", "")]
            return self._page(wanted if "type" not in query else [], query)
        return self._page([], query)

    def _page(self, records: list[Any], query: dict[str, str]) -> Response:
        size, page = int(query.get("per_page", 10)), int(query.get("page", 1))
        offset = int(query["offset"]) if "offset" in query and self.offers_offset else (page - 1) * size
        found = records[offset : offset + size]
        if size > self.most_per_page and "_fields" not in query:
            return Response("<html>504 Gateway Time-out</html>", 504)
        is_listing = "_fields" in query and not self.broken_in_lists_of_ids
        if not is_listing and any(record["id"] in self.broken for record in found):
            return JSONResponse({"code": "internal_server_error"}, 500)
        if fields := query.get("_fields"):
            found = [{name: record[name] for name in fields.split(",") if name in record} for record in found]
        total, pages = (len(records), math.ceil(len(records) / size)) if found else (0, 0)
        totals = {"X-WP-Total": str(total), "X-WP-TotalPages": str(pages)} if self.offers_totals else {}
        body = json.dumps(found).encode()
        if self.garbles and size > 1:
            self.garbles -= 1
            body = body[: len(body) // 2]
        return Response(self.php_says + body, headers=totals, media_type="application/json")


def _refusal(request: Request) -> Response | None:
    """What WooCommerce answers on plain http to anything but a good OAuth 1.0a signature."""
    parameters = [(name, value) for name, value in request.query_params.multi_items() if name != "oauth_signature"]
    if request.query_params.get("oauth_consumer_key") != KEY:
        return JSONResponse({"code": "woocommerce_rest_cannot_view"}, 401)
    parts = urlsplit(str(request.url))
    signed = SimpleNamespace(
        signature=request.query_params.get("oauth_signature", ""),
        params=parameters,
        http_method=request.method,
        uri=f"{parts.scheme}://{parts.netloc}{parts.path}",
    )
    if not signature.verify_hmac_sha256(signed, SECRET, ""):
        return JSONResponse({"code": "woocommerce_rest_authentication_error"}, 401)
    return None
