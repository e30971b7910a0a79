"""A small Stripe account that changes while it is read: newest first, paged by cursor, like Stripe."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from retail_assets.settings import Gateway, instance_of

KEY = "sk_test_canary-key"
DAY = 86_400
OPENED = 1_762_000_000


def settings_for(url: str) -> Gateway:
    """The account as retail.yaml would have it."""
    return instance_of(
        "gateways",
        {
            "id": "stripe_us",
            "system": "stripe",
            "entity": "US",
            "bank": "bank_us",
            "base_url": url,
            "api_key": KEY,
            "stores": [{"store": "cedar_us"}],
            "retries": 0,
            "requests_per_second": 1000,
        },
    )


@dataclass
class FakeAccount:
    """Objects by list; ``page_size`` caps what is asked for, so that small lists have several pages."""

    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)
    balance: dict[str, Any] = field(default_factory=lambda: {"available": [], "pending": []})
    page_size: int = 2
    stuck: bool = False
    refused: dict[str, Response] = field(default_factory=dict)
    after_page: Callable[[str], None] = lambda _name: None
    queries: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)

    def line(self, number: int, net: int, **changes: Any) -> None:
        """A ledger line, booked on day ``number``."""
        self.lists.setdefault("balance_transactions", []).append(
            {
                "id": f"txn_{number}",
                "object": "balance_transaction",
                "amount": net,
                "fee": 0,
                "net": net,
                "currency": "usd",
                "exchange_rate": None,
                "type": "charge",
                "reporting_category": "charge",
                "source": f"ch_{number}",
                "status": "available",
                "created": OPENED + number * DAY,
                "available_on": OPENED,
                "description": None,
            }
            | changes
        )

    def refund(self, number: int, **changes: Any) -> None:
        """A refund of day ``number``."""
        self.lists.setdefault("refunds", []).append(
            {
                "id": f"re_{number}",
                "amount": 500,
                "currency": "usd",
                "charge": "ch_1",
                "payment_intent": None,
                "balance_transaction": f"txn_{number}",
                "status": "succeeded",
                "reason": None,
                "created": OPENED + number * DAY,
            }
            | changes
        )

    def payout(self, number: int, **changes: Any) -> None:
        """An automatic payout of day ``number`` whose lines can be listed."""
        self.lists.setdefault("payouts", []).append(
            {
                "id": f"po_{number}",
                "amount": 1000,
                "currency": "usd",
                "status": "paid",
                "created": OPENED + number * DAY,
                "arrival_date": OPENED + (number + 2) * DAY,
                "automatic": True,
                "method": "standard",
                "balance_transaction": f"txn_po_{number}",
                "reconciliation_status": "completed",
                "trace_id": None,
            }
            | changes
        )

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/balance", self._balance),
                Route("/v1/{name}", self._list),
                Route("/v1/{name}/{object_id}", self._one),
            ]
        )

    async def _one(self, request: Request) -> Response:
        name, object_id = request.path_params["name"], request.path_params["object_id"]
        self.queries.append((f"{name}/{object_id}", {}))
        found = [item for item in self.lists.get(name, []) if item["id"] == object_id]
        return JSONResponse(found[0]) if found else JSONResponse({"error": {}}, status_code=404)

    async def _balance(self, request: Request) -> Response:
        self.keys.add(request.headers.get("authorization"))
        return JSONResponse(json.loads(json.dumps(self.balance)))

    async def _list(self, request: Request) -> Response:
        name, query = request.path_params["name"], dict(request.query_params)
        self.queries.append((name, query))
        self.keys.add(request.headers.get("authorization"))
        refused = self.refused.get(str(query.get("payout", name)))
        if refused is not None:
            return refused
        found = sorted(self.lists.get(name, []), key=lambda item: item["created"], reverse=True)
        if "payout" in query:
            found = [item for item in found if item["id"] in self.members[query["payout"]]]
        if "created[gte]" in query:
            found = [item for item in found if item["created"] >= int(query["created[gte]"])]
        if "starting_after" in query and not self.stuck:
            ids = [item["id"] for item in found]
            if query["starting_after"] not in ids:
                error = {"code": "resource_missing", "param": "starting_after"}
                return JSONResponse({"error": error}, status_code=400)
            position = ids.index(query["starting_after"])
            found = found[position + 1 :]
        size = min(self.page_size, int(query.get("limit", 10)))
        answer = JSONResponse({"object": "list", "data": found[:size], "has_more": self.stuck or len(found) > size})
        self.after_page(name)
        return answer
