"""Stripe's list and retrieve endpoints over the generated ledger: cursors, filters, keys and errors like Stripe's."""

import base64
import binascii
import hmac
import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from retail_assets.sandbox.catalogue import SITE
from retail_assets.sandbox.profiles import GatewayProfile
from retail_assets.sandbox.storage import open_state

_OPERATORS: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_RANGED: Final = re.compile(r"^(created|arrival_date|available_on)\[(gt|gte|lt|lte)\]$")
_MAX_LIMIT: Final = 100
#: Taken by every endpoint; expanding is not done, as the ids say enough.
_ALWAYS: Final = frozenset({"limit", "starting_after", "ending_before", "expand", "expand[]"})


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object: its table and the filters its list takes (parameter -> column)."""

    table: str
    noun: str
    filters: dict[str, str]
    ranges: frozenset[str] = frozenset({"created"})


RESOURCES: Final = {
    "balance_transactions": Resource(
        "balance_transactions", "balance transaction",
        {"type": "type", "source": "source", "currency": "currency", "payout": "payout"},
    ),
    "charges": Resource("charges", "charge", {"payment_intent": "payment_intent"}),
    "refunds": Resource("refunds", "refund", {"charge": "charge", "payment_intent": "payment_intent"}),
    "disputes": Resource("disputes", "dispute", {"charge": "charge", "payment_intent": "payment_intent"}),
    "payouts": Resource("payouts", "payout", {"status": "status"}, frozenset({"created", "arrival_date"})),
}  # fmt: skip


class StripeError(Exception):
    """An answer that is an error, in Stripe's shape."""

    def __init__(self, status: int, message: str, *, param: str = "", code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"message": message, "type": "invalid_request_error"}
        if param:
            self.body["param"] = param
        if code:
            self.body["code"] = code

    def response(self) -> JSONResponse:
        headers = {"WWW-Authenticate": 'Basic realm="Stripe"'} if self.status == 401 else {}
        return JSONResponse({"error": self.body}, status_code=self.status, headers=headers)


class StripeApi:
    """One account's answers.

    Args:
        gateway: which account.
        state: its state file.
        api_key: the secret key that opens it.
        as_of: end of the simulated time, Unix seconds: what is available by then is available.
    """

    def __init__(self, gateway: GatewayProfile, state: sqlite3.Connection, api_key: str, as_of: int) -> None:
        self._gateway = gateway
        self._state = state
        self._api_key = api_key
        self._as_of = as_of

    def guarded(self, answer: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
        """``answer`` behind the key check, with errors in Stripe's shape."""

        async def endpoint(request: Request) -> Response:
            try:
                self._check_key(request)
                return answer(request)
            except StripeError as error:
                return error.response()

        return endpoint

    def _check_key(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                token = base64.b64decode(token, validate=True).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                token = ""
        elif scheme.lower() != "bearer":
            token = ""
        if not token:
            raise StripeError(
                401,
                "You did not provide an API key. You need to provide your API key in the Authorization header, using "
                "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            )
        if not hmac.compare_digest(token.encode(), self._api_key.encode()):
            shown = f"{token[:8]}{'*' * max(0, len(token) - 12)}{token[-4:]}" if len(token) > 12 else "****"
            raise StripeError(401, f"Invalid API Key provided: {shown}")

    def balance(self, request: Request) -> Response:
        """``GET /v1/balance``: summed over the ledger, payouts included."""
        _only(request, frozenset({"expand", "expand[]"}))
        currency = self._gateway.currency.lower()
        (available, pending) = self._state.execute(
            "select coalesce(sum(net) filter (where available_on <= ?), 0), "
            "coalesce(sum(net) filter (where available_on > ?), 0) from balance_transactions",
            (self._as_of, self._as_of),
        ).fetchone()
        parts = {
            name: [{"amount": amount, "currency": currency, "source_types": {"card": amount}}]
            for name, amount in (("available", available), ("pending", pending))
        }
        return JSONResponse({"object": "balance", "livemode": True, **parts})

    def list_of(self, name: str) -> Callable[[Request], Response]:
        """The list endpoint of a resource: newest first, cursors by id."""
        resource = RESOURCES[name]

        def answer(request: Request) -> Response:
            pairs = parse_qsl(request.url.query, keep_blank_values=True)
            limit, conditions, values = self._filters(resource, pairs)
            query = dict(pairs)
            backwards = "ending_before" in query
            for cursor, older in (("starting_after", "<"), ("ending_before", ">")):
                if cursor in query:
                    row = self._cursor(resource, cursor, query[cursor])
                    conditions.append(f"(created, id) {older} (?, ?)")
                    values += [row["created"], row["id"]]
            direction = "asc" if backwards else "desc"
            where = " and ".join(conditions) or "true"
            rows = self._state.execute(
                f"select body from {resource.table} where {where} "  # noqa: S608 (our own words; values are parameters)
                f"order by created {direction}, id {direction} limit ?",
                [*values, limit + 1],
            ).fetchall()
            bodies = [row["body"] for row in rows[:limit]]
            if backwards:
                bodies.reverse()
            more = "true" if len(rows) > limit else "false"
            content = f'{{"object":"list","data":[{",".join(bodies)}],"has_more":{more},"url":"/v1/{name}"}}'
            return _json(request, content)

        return answer

    def one_of(self, name: str) -> Callable[[Request], Response]:
        """The retrieve endpoint of a resource."""
        resource = RESOURCES[name]

        def answer(request: Request) -> Response:
            _only(request, frozenset({"expand", "expand[]"}))
            object_id = request.path_params["object_id"]
            row = self._state.execute(
                f"select body from {resource.table} where id = ?",  # noqa: S608 (our own word)
                (object_id,),
            ).fetchone()
            if row is None:
                raise StripeError(404, f"No such {resource.noun}: '{object_id}'", param="id", code="resource_missing")
            return _json(request, row["body"])

        return answer

    def _cursor(self, resource: Resource, parameter: str, object_id: str) -> sqlite3.Row:
        row = self._state.execute(
            f"select created, id from {resource.table} where id = ?",  # noqa: S608 (our own word)
            (object_id,),
        ).fetchone()
        if row is None:
            raise StripeError(400, f"No such {resource.noun}: '{object_id}'", param=parameter, code="resource_missing")
        return row

    def _filters(self, resource: Resource, pairs: Sequence[tuple[str, str]]) -> tuple[int, list[str], list[Any]]:
        limit = 10
        conditions: list[str] = []
        values: list[Any] = []
        for name, value in pairs:
            ranged = _RANGED.match(name)
            if name == "limit":
                limit = _number(name, value)
                if not 1 <= limit <= _MAX_LIMIT:
                    message = f"Invalid integer: {limit} must be between 1 and {_MAX_LIMIT}."
                    raise StripeError(400, message, param=name)
            elif ranged and ranged[1] in resource.ranges:
                conditions.append(f"{ranged[1]} {_OPERATORS[ranged[2]]} ?")
                values.append(_number(name, value))
            elif name in resource.ranges:
                conditions.append(f"{name} = ?")
                values.append(_number(name, value))
            elif name in resource.filters:
                if name == "payout":
                    self._check_payout(value)
                conditions.append(f"{resource.filters[name]} = ?")
                values.append(value)
            elif name not in _ALWAYS:
                raise _unknown(name)
        return limit, conditions, values

    def _check_payout(self, payout_id: str) -> None:
        """Only an automatic payout whose reconciliation is complete can be listed line by line."""
        row = self._state.execute(
            "select automatic, reconciliation_status from payouts where id = ?", (payout_id,)
        ).fetchone()
        if row is None:
            raise StripeError(400, f"No such payout: '{payout_id}'", param="payout", code="resource_missing")
        if not row["automatic"]:
            message = "Balance transaction history can only be filtered on automatic transfers, not manual."
            raise StripeError(400, message, param="payout")
        if row["reconciliation_status"] != "completed":
            raise StripeError(400, f"The reconciliation of payout {payout_id} is still in progress.", param="payout")


def _number(name: str, value: str) -> int:
    if not re.fullmatch(r"-?\d+", value):
        raise StripeError(400, f"Invalid integer: {value}", param=name, code="parameter_invalid_integer")
    return int(value)


def _unknown(name: str) -> StripeError:
    return StripeError(400, f"Received unknown parameter: {name}", param=name, code="parameter_unknown")


def _only(request: Request, allowed: frozenset[str]) -> None:
    for name in request.query_params:
        if name not in allowed:
            raise _unknown(name)


def _json(request: Request, content: str) -> Response:
    server = f"{request.url.scheme}://{request.url.netloc}"
    return Response(content.replace(SITE, server), media_type="application/json")


async def _no_route(request: Request, error: Exception) -> Response:
    message = f"Unrecognized request URL ({request.method}: {request.url.path})."
    return StripeError(404, message).response()


def create_app(state_path: Path, gateway: GatewayProfile, api_key: str, as_of: int) -> Starlette:
    """The account's API, to be mounted at the account's address.

    Args:
        state_path: the account's generated state file.
        gateway: which account it is.
        api_key: the secret key that opens it.
        as_of: end of the simulated time, Unix seconds.
    """
    connection = open_state(state_path)
    api = StripeApi(gateway, connection, api_key, as_of)
    routes = [Route("/v1/balance", api.guarded(api.balance), methods=["GET"])]
    for name in RESOURCES:
        routes.append(Route(f"/v1/{name}", api.guarded(api.list_of(name)), methods=["GET"]))
        routes.append(Route(f"/v1/{name}/{{object_id}}", api.guarded(api.one_of(name)), methods=["GET"]))
    app = Starlette(routes=routes, exception_handlers={404: _no_route, 405: _no_route})
    app.state.connection = connection
    return app
