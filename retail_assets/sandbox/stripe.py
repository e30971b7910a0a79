"""Stripe's list and retrieve endpoints over the generated ledger: cursors, filters, keys and errors like Stripe's.

The same ledger can be written as Stripe's itemised payout report.
"""

import base64
import binascii
import csv
import hmac
import io
import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from retail_assets.sandbox import minor
from retail_assets.sandbox.profiles import GatewayProfile
from retail_assets.sandbox.storage import encode, open_state

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
    "payment_intents": Resource("payment_intents", "payment_intent", {}),
    "refunds": Resource("refunds", "refund", {"charge": "charge", "payment_intent": "payment_intent"}),
    "disputes": Resource("disputes", "dispute", {"charge": "charge", "payment_intent": "payment_intent"}),
    "payouts": Resource("payouts", "payout", {"status": "status"}, frozenset({"created", "arrival_date"})),
}  # fmt: skip


#: The world keeps charges; what Stripe calls an intent is what the charges of one attempt to pay have in common.
_INTENTS: Final = """
create temp table if not exists payment_intents as
select payment_intent as id, min(created) as created, max(created || '/' || id) as latest
from charges where payment_intent is not null group by payment_intent
"""

#: The usual default columns of payout_reconciliation.itemized.5, in the documentation's order.
REPORT_COLUMNS: Final = (
    "automatic_payout_id", "automatic_payout_effective_at", "balance_transaction_id", "created_utc", "created",
    "available_on_utc", "available_on", "currency", "gross", "fee", "net", "reporting_category", "source_id",
    "description", "customer_facing_amount", "customer_facing_currency",
)  # fmt: skip
#: Further columns that have to be asked for.
EXTRA_COLUMNS: Final = (
    "charge_id", "payment_intent_id", "payment_method_type", "card_brand", "card_country",
    "payment_metadata[order_id]", "payment_metadata[order_key]", "payment_metadata[site_url]",
    "payment_metadata[merchant_reference]",
)  # fmt: skip

_BODY: Final = msgspec.json.Decoder(float_hook=Decimal)


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
        manual_payouts: whether payouts are made by hand, so that nobody knows which lines they took.
    """

    def __init__(
        self, gateway: GatewayProfile, state: sqlite3.Connection, api_key: str, as_of: int, manual_payouts: bool = False
    ) -> None:
        self._gateway = gateway
        self._manual_payouts = manual_payouts
        self._has_intents = False
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
            self._prepare(name)
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
                f"select * from {resource.table} where {where} "  # noqa: S608 (our own words; values are parameters)
                f"order by created {direction}, id {direction} limit ?",
                [*values, limit + 1],
            ).fetchall()
            bodies = [self._body(name, row) for row in rows[:limit]]
            if backwards:
                bodies.reverse()
            more = "true" if len(rows) > limit else "false"
            content = f'{{"object":"list","data":[{",".join(bodies)}],"has_more":{more},"url":"/v1/{name}"}}'
            return _json(content)

        return answer

    def one_of(self, name: str) -> Callable[[Request], Response]:
        """The retrieve endpoint of a resource."""
        resource = RESOURCES[name]

        def answer(request: Request) -> Response:
            _only(request, frozenset({"expand", "expand[]"}))
            self._prepare(name)
            object_id = request.path_params["object_id"]
            row = self._state.execute(
                f"select * from {resource.table} where id = ?",  # noqa: S608 (our own word)
                (object_id,),
            ).fetchone()
            if row is None:
                raise StripeError(404, f"No such {resource.noun}: '{object_id}'", param="id", code="resource_missing")
            return _json(self._body(name, row))

        return answer

    def _prepare(self, name: str) -> None:
        if name == "payment_intents" and not self._has_intents:
            self._state.execute(_INTENTS)
            self._state.execute("create index if not exists temp.intents_created on payment_intents (created, id)")
            self._has_intents = True

    def _body(self, name: str, row: sqlite3.Row) -> str:
        """An object as Stripe sends it."""
        if name == "payment_intents":
            return encode(self._intent(row))
        if name == "disputes":
            # The only list of Stripe's that holds whole ledger lines instead of their ids.
            body = _BODY.decode(row["body"])
            body["balance_transactions"] = [self._line(line) for line in body["balance_transactions"]]
            return encode(body)
        if name == "payouts" and self._manual_payouts:
            return encode({**_BODY.decode(row["body"]), "automatic": False, "reconciliation_status": "not_applicable"})
        return row["body"]

    def _line(self, line_id: str) -> dict[str, Any]:
        row = self._state.execute("select body from balance_transactions where id = ?", (line_id,)).fetchone()
        return _BODY.decode(row["body"])

    def _intent(self, row: sqlite3.Row) -> dict[str, Any]:
        latest_id = row["latest"].rpartition("/")[2]
        charge = _BODY.decode(self._state.execute("select body from charges where id = ?", (latest_id,)).fetchone()[0])
        return {
            "id": row["id"], "object": "payment_intent", "amount": charge["amount"], "amount_capturable": 0,
            "amount_received": charge["amount_captured"], "canceled_at": None, "cancellation_reason": None,
            "capture_method": "automatic", "created": row["created"], "currency": charge["currency"],
            "customer": charge["customer"], "description": charge["description"], "latest_charge": latest_id,
            "livemode": charge["livemode"], "metadata": charge["metadata"],
            "payment_method_types": ["card"], "receipt_email": None,
            "status": "succeeded" if charge["captured"] else "requires_payment_method",
        }  # fmt: skip

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
        if not row["automatic"] or self._manual_payouts:
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


def _json(content: str) -> Response:
    return Response(content, media_type="application/json")


async def _no_route(request: Request, error: Exception) -> Response:
    message = f"Unrecognized request URL ({request.method}: {request.url.path})."
    return StripeError(404, message).response()


def create_app(
    state_path: Path, gateway: GatewayProfile, api_key: str, as_of: int, *, manual_payouts: bool = False
) -> Starlette:
    """The account's API, to be mounted at the account's address.

    Args:
        state_path: the account's generated state file.
        gateway: which account it is.
        api_key: the secret key that opens it.
        as_of: end of the simulated time, Unix seconds.
        manual_payouts: whether its payouts are made by hand.
    """
    connection = open_state(state_path)
    api = StripeApi(gateway, connection, api_key, as_of, manual_payouts)
    routes = [Route("/v1/balance", api.guarded(api.balance), methods=["GET"])]
    for name in RESOURCES:
        routes.append(Route(f"/v1/{name}", api.guarded(api.list_of(name)), methods=["GET"]))
        routes.append(Route(f"/v1/{name}/{{object_id}}", api.guarded(api.one_of(name)), methods=["GET"]))
    app = Starlette(routes=routes, exception_handlers={404: _no_route, 405: _no_route})
    app.state.connection = connection
    return app


def write_reports(state_path: Path, folder: Path, *, own_rows: bool = True, extra: bool = True) -> list[Path]:
    """The account's ledger as payout_reconciliation.itemized.5, a file for each month of payouts, in UTC.

    Lines that were not paid out are in no file. The same state gives the same bytes.

    Args:
        state_path: the account's generated state file.
        folder: where the files go; made if it is not there.
        own_rows: whether a payout's own line is among its lines (Stripe's documentation leaves it open).
        extra: whether columns beyond the default ones were asked for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with closing(open_state(state_path)) as state:
        rows = state.execute(
            "select t.body as line, p.body as payout, p.arrival_date from balance_transactions t "
            "join payouts p on t.payout = p.id order by p.arrival_date, p.id, t.created, t.id"
        )
        months: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            line = _BODY.decode(row["line"])
            if own_rows or line["type"] != "payout":
                month = datetime.fromtimestamp(row["arrival_date"], UTC).strftime("%Y-%m")
                months.setdefault(month, []).append(
                    _report_row(line, row["arrival_date"], _BODY.decode(row["payout"]), state)
                )
    return [
        _write(folder / f"payout_reconciliation_{month}.csv", REPORT_COLUMNS + (EXTRA_COLUMNS if extra else ()), lines)
        for month, lines in months.items()
    ]


def _report_row(
    line: Mapping[str, Any], arrival: int, payout: Mapping[str, Any], state: sqlite3.Connection
) -> dict[str, str]:
    seen = _source_of(line["source"], state)
    charge = seen if str(line["source"]).startswith("ch_") else _source_of(seen.get("charge"), state)
    metadata, card = charge.get("metadata", {}), charge.get("payment_method_details", {})
    currency = line["currency"].upper()
    return {
        "automatic_payout_id": payout["id"],
        "automatic_payout_effective_at": _moment(arrival),
        "balance_transaction_id": line["id"],
        "created_utc": _moment(line["created"]),
        "created": _moment(line["created"]),
        "available_on_utc": _moment(line["available_on"]),
        "available_on": _moment(line["available_on"]),
        "currency": line["currency"],
        "gross": _major(line["amount"], currency),
        "fee": _major(line["fee"], currency),
        "net": _major(line["net"], currency),
        "reporting_category": line["reporting_category"],
        "source_id": line["source"] or "",
        "description": line["description"] or "",
        "customer_facing_amount": _major(seen["amount"], seen["currency"].upper())
        if "charge" in seen or charge
        else "",
        "customer_facing_currency": seen["currency"] if "charge" in seen or charge else "",
        "charge_id": charge.get("id", ""),
        "payment_intent_id": charge.get("payment_intent") or "",
        "payment_method_type": card.get("type", ""),
        "card_brand": card.get("card", {}).get("brand", ""),
        "card_country": card.get("card", {}).get("country", ""),
        **{f"payment_metadata[{key}]": value for key, value in metadata.items()},
    }


def _source_of(source: str | None, state: sqlite3.Connection) -> Mapping[str, Any]:
    """What a line is about, as Stripe's API has it; empty for fees."""
    table = {"ch": "charges", "re": "refunds", "dp": "disputes", "po": "payouts"}.get((source or "").partition("_")[0])
    if table is None:
        return {}
    return _BODY.decode(state.execute(f"select body from {table} where id = ?", (source,)).fetchone()[0])  # noqa: S608


def _major(amount: int, currency: str) -> str:
    """Without trailing zeros, as the reports have it."""
    written = minor.text(amount, currency)
    return written.rstrip("0").rstrip(".") if "." in written else written


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> Path:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(text.getvalue(), encoding="utf-8", newline="")
    unfinished.replace(path)
    return path
