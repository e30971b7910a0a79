"""A WooCommerce store replayed from recorded bodies: it answers by path and query, byte for byte."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

RECORDED = Path(__file__).parent.parent / "recorded" / "woocommerce"


def replay_app(*, has_refund_collection: bool = True) -> Starlette:
    """The recorded store.

    Args:
        has_refund_collection: False makes it a WooCommerce before 9.0, which knows refunds only order by order.
    """
    orders = _records("orders_default_p1", "orders_default_p2", "orders_default_p3")
    refunds = _records("refunds_collection_p1")
    routes = {
        "orders": {"any": orders, "trash": _records("orders_trash_p1")},
        "products": {"any": _records("products_p1")},
        "customers": {"any": _records("customers_p1")},
        "taxes": {"any": _records("taxes_p1")},
    }
    if has_refund_collection:
        routes["refunds"] = {"any": refunds}

    async def collection(request: Request) -> Response:
        lists = routes.get(request.path_params["name"])
        if lists is None:
            return _json({"code": "rest_no_route", "message": "No route", "data": {"status": 404}}, 404)
        return _page(request, _with_status(lists, request.query_params.get("status", "any")))

    async def statuses(request: Request) -> Response:
        slugs = ("pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed", "checkout-draft")
        return Response(json.dumps([{"slug": slug} for slug in slugs]), media_type="application/json")

    async def order(request: Request) -> Response:
        wanted = request.path_params["order_id"]
        for record in (*orders, *routes["orders"]["trash"]):
            if json.loads(record)["id"] == wanted:
                return Response(record, media_type="application/json")
        return _json({"code": "woocommerce_rest_shop_order_invalid_id", "data": {"status": 404}}, 404)

    async def system_status(request: Request) -> Response:
        return Response(json.dumps({"settings": {"HPOS_enabled": True}}), media_type="application/json")

    async def order_refunds(request: Request) -> Response:
        order = request.path_params["order_id"]
        return _page(request, [record for record in refunds if json.loads(record)["parent_id"] == order])

    async def variations(request: Request) -> Response:
        parent = request.path_params["product_id"]
        return _page(
            request, [record for record in _records("variations") if json.loads(record)["parent_id"] == parent]
        )

    return Starlette(
        routes=[
            Route("/wp-json/wc/v3/system_status", system_status),
            Route("/wp-json/wc/v3/orders/statuses", statuses),
            Route("/wp-json/wc/v3/orders/{order_id:int}", order),
            Route("/wp-json/wc/v3/{name}", collection),
            Route("/wp-json/wc/v3/orders/{order_id:int}/refunds", order_refunds),
            Route("/wp-json/wc/v3/products/{product_id:int}/variations", variations),
        ]
    )


def _records(*names: str) -> list[bytes]:
    decode = msgspec.json.Decoder(list[msgspec.Raw]).decode
    return [bytes(raw) for name in names for raw in decode((RECORDED / f"{name}.json").read_bytes())]


def _with_status(lists: Mapping[str, Sequence[bytes]], status: str) -> list[bytes]:
    """As measured: "any" leaves the trash out; statuses that are named are those, trash among them."""
    if status in lists:
        return list(lists[status])
    named = status.split(",")
    live = [record for record in lists["any"] if json.loads(record)["status"] in named]
    return [*live, *lists.get("trash", [])] if "trash" in named else live


def _page(request: Request, records: Sequence[bytes]) -> Response:
    query = request.query_params
    if query.get("include"):
        included = {int(one) for one in query["include"].split(",")}
        records = [record for record in records if json.loads(record)["id"] in included]
    if query.get("before"):
        records = [record for record in records if json.loads(record)["date_created_gmt"] < query["before"]]
    if query.get("type"):
        records = [record for record in records if json.loads(record)["type"] == query["type"]]
    if query.get("modified_after"):
        assert query.get("dates_are_gmt") == "true", "without the flag WooCommerce reads the value as shop-local time"
        stamp = "date_modified_gmt" if b'"date_modified_gmt"' in b"".join(records) else "date_created_gmt"
        records = [record for record in records if json.loads(record)[stamp] > query["modified_after"]]
    if query.get("orderby") == "id":
        records = sorted(records, key=lambda record: json.loads(record)["id"], reverse=query.get("order") == "desc")
    size, page = int(query.get("per_page", 10)), int(query.get("page", 1))
    if not 1 <= size <= 100:
        return _json({"code": "rest_invalid_param", "message": "Invalid parameter(s): per_page"}, 400)
    offset = int(query.get("offset", (page - 1) * size))
    found = records[offset : offset + size]
    if query.get("_fields"):
        fields = query["_fields"].split(",")
        found = [json.dumps({name: json.loads(record)[name] for name in fields}).encode() for record in found]
    # As measured: beyond the last page both totals are 0.
    total, pages = (len(records), math.ceil(len(records) / size)) if found else (0, 0)
    return Response(
        b"[" + b",".join(found) + b"]",
        media_type="application/json",
        headers={"X-WP-Total": str(total), "X-WP-TotalPages": str(pages)},
    )


def _json(body: Mapping[str, object], status: int) -> Response:
    return Response(json.dumps(body), status, media_type="application/json")
