"""A small WooCommerce store that changes while it is read; it checks OAuth signatures as WooCommerce does on http."""

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
OPENED = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)


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
            **changes,
        },
    )


def stamp(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")


@dataclass
class FakeStore:
    """Orders by id, a clock that only a test moves, and a hook before each page of orders."""

    orders: dict[int, dict[str, Any]] = field(default_factory=dict)
    now: datetime = OPENED
    before_page: Callable[[str, int], None] = lambda _status, _page: None
    queries: list[dict[str, str]] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    raw: dict[str, Response] = field(default_factory=dict)

    def place(self, number: int = 1, **changes: Any) -> None:
        """Place so many orders, a minute apart."""
        for _ in range(number):
            self.now += timedelta(minutes=1)
            identifier = max(self.orders, default=100) + 1
            lines = [{**line, "id": identifier * 10 + position} for position, line in enumerate(TEMPLATE["line_items"])]
            order = copy.deepcopy(TEMPLATE) | {"id": identifier, "number": str(identifier), "line_items": lines}
            self.orders[identifier] = order | {
                "date_created_gmt": stamp(self.now),
                "date_modified_gmt": stamp(self.now),
                **changes,
            }

    def change(self, identifier: int, **changes: Any) -> None:
        """Change an order now."""
        self.orders[identifier] |= {"date_modified_gmt": stamp(self.now), **changes}

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/wp-json/wc/v3/orders", self._list_orders),
                Route("/wp-json/wc/v3/orders/{order_id:int}/refunds", self._list_refunds),
                Route("/wp-json/wc/v3/{name}", self._other),
            ]
        )

    async def _list_orders(self, request: Request) -> Response:
        query = dict(request.query_params)
        self.queries.append(query)
        self.urls.append(str(request.url))
        if "orders" in self.raw:
            return self.raw["orders"]
        if (refusal := _refusal(request)) is not None:
            return refusal
        self.before_page(query["status"], int(query["page"]))
        wanted = [
            order
            for order in sorted(
                self.orders.values(), key=lambda order: order["id"] if isinstance(order["id"], int) else 0
            )
            if (order["status"] == "trash") == (query["status"] == "trash")
            and order["date_modified_gmt"] > query.get("modified_after", "")
        ]
        return _page(wanted, query)

    async def _list_refunds(self, request: Request) -> Response:
        order = self.orders.get(request.path_params["order_id"])
        if order is None or order.get("_gone"):
            return JSONResponse({"code": "woocommerce_rest_shop_order_invalid_id"}, 404)
        return _page(order.get("_refunds", []), dict(request.query_params))

    async def _other(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name in self.raw:
            return self.raw[name]
        if name == "refunds":
            return JSONResponse({"code": "rest_no_route"}, 404)
        return _page([], dict(request.query_params))


def _page(records: list[Any], query: dict[str, str]) -> Response:
    size, page = int(query.get("per_page", 10)), int(query.get("page", 1))
    found = records[(page - 1) * size : page * size]
    total, pages = (len(records), math.ceil(len(records) / size)) if found else (0, 0)
    return JSONResponse(found, headers={"X-WP-Total": str(total), "X-WP-TotalPages": str(pages)})


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
