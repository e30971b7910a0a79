"""Mollie's API over a ledger: balance, balance transactions, payments, refunds, chargebacks and settlements."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from retail_assets.money import from_minor
from retail_assets.sandbox.ledgers import GatewayLedger, LedgerPayout, Movement

_MAX_LIMIT: Final = 250
_DEFAULT_LIMIT: Final = 50
_TYPES: Final = {
    "sale": "payment",
    "refund": "refund",
    "fee": "payment-fee",
    "chargeback": "chargeback",
    "chargeback_reversal": "chargeback-reversal",
}
_MEDIA_TYPE: Final = "application/hal+json; charset=utf-8"
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

Record = dict[str, Any]


def payment_id_of(movement: Movement) -> str:
    """The payment that a sale made, or that a refund or chargeback gives back."""
    sale = movement.serial if movement.refund_of is None else movement.refund_of
    return _id("tr", f"payment/{sale}/{movement.order_id}", 10)


def refund_id_of(movement: Movement) -> str:
    """The refund or chargeback; a reversal names the chargeback that it reverses."""
    if movement.kind == "refund":
        return _id("re", f"refund/{movement.serial}/{movement.order_id}", 10)
    return _id("chb", f"chargeback/{movement.refund_of}/{movement.order_id}", 10)


def line_id_of(movement: Movement) -> str:
    """The balance transaction of a movement."""
    return _id("baltr", f"{movement.kind}/{movement.serial}/{movement.order_id}/{movement.at}", 22)


def payout_id_of(payout: LedgerPayout) -> str:
    """The settlement."""
    return _id("stl", f"{payout.serial}/{payout.at}/{payout.amount}", 10)


def payout_line_id_of(payout: LedgerPayout) -> str:
    """The balance transaction that takes a settlement off the balance."""
    return _id("baltr", f"transfer/{payout.serial}/{payout.at}/{payout.amount}", 22)


def reference_of(payout: LedgerPayout) -> str:
    """What the bank's text says: client, month and number, such as 1234567.2404.03."""
    return f"1234567.{datetime.fromtimestamp(payout.at, UTC):%y%m}.{payout.serial:02d}"


class MollieApi:
    """One account's answers.

    Args:
        ledger: the account's history.
        api_key: the token that opens it.
        now: end of the simulated time, aware: what is later has not happened.
    """

    def __init__(self, ledger: GatewayLedger, api_key: str, now: datetime) -> None:
        at = int(now.timestamp())
        self._ledger = ledger
        self._api_key = api_key
        self._movements = [movement for movement in ledger.movements if movement.at <= at]
        self._payouts = [payout for payout in ledger.payouts if payout.at <= at]
        self._lists: dict[str, list[Record]] = {
            "balance_transactions": self._balance_transactions(),
            "payments": [self._payment(one) for one in self._of("sale")],
            "refunds": [self._refund(one) for one in self._of("refund")],
            "chargebacks": [self._chargeback(one) for one in self._of("chargeback")],
            "captures": [],
            "settlements": [self._settlement(payout) for payout in self._payouts],
        }
        for records in self._lists.values():
            records.sort(key=lambda record: record["createdAt"], reverse=True)

    def guarded(self, answer: Callable[[Request], JSONResponse]) -> Callable[[Request], Awaitable[JSONResponse]]:
        """``answer`` behind the check of the token."""

        async def endpoint(request: Request) -> JSONResponse:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(token.encode(), self._api_key.encode()):
                return _error(401, "Unauthorized Request", "Missing authentication, or failed to authenticate")
            return answer(request)

        return endpoint

    def list_of(self, name: str) -> Callable[[Request], JSONResponse]:
        """A list of everything of one kind."""
        return lambda request: self._page(request, name, self._lists[name])

    def settlement_list_of(self, name: str) -> Callable[[Request], JSONResponse]:
        """A list of what one settlement holds."""

        def answer(request: Request) -> JSONResponse:
            identity = request.path_params["settlement_id"]
            payout = next((one for one in self._payouts if payout_id_of(one) == identity), None)
            if payout is None:
                return _error(404, "Not Found", f"No settlement exists with token {identity}.")
            kinds = {"payments": "sale", "refunds": "refund", "chargebacks": "chargeback"}
            members = [one for one in self._of(kinds.get(name, "")) if one.payout == payout.serial]
            ids = {payment_id_of(one) if name == "payments" else refund_id_of(one) for one in members}
            return self._page(request, name, [record for record in self._lists[name] if record["id"] in ids])

        return answer

    def balance(self, request: Request) -> JSONResponse:
        """``GET /v2/balances/primary``."""
        total = sum(movement.net for movement in self._movements) - sum(payout.amount for payout in self._payouts)
        currency = self._ledger.currency
        return JSONResponse(
            {
                "resource": "balance",
                "id": "bal_primary",
                "mode": "live",
                "currency": currency,
                "status": "active",
                "availableAmount": self._amount(total),
                "pendingAmount": self._amount(0),
            },
            media_type=_MEDIA_TYPE,
        )

    def _of(self, kind: str) -> list[Movement]:
        return [movement for movement in self._movements if movement.kind == kind]

    def _page(self, request: Request, name: str, records: Sequence[Record]) -> JSONResponse:
        limit_text = request.query_params.get("limit", str(_DEFAULT_LIMIT))
        if not limit_text.isdigit() or not 1 <= int(limit_text) <= _MAX_LIMIT:
            return _error(400, "Bad Request", "Invalid limit: must be between 1 and 250")
        limit, start = int(limit_text), 0
        first = request.query_params.get("from")
        if first is not None:
            start = next((place for place, record in enumerate(records) if record["id"] == first), -1)
            if start < 0:
                return _error(400, "Bad Request", f"Invalid cursor: {first}")
        page = list(records[start : start + limit])
        links: Record = {"self": {"href": str(request.url), "type": "application/hal+json"}, "next": None}
        if start + limit < len(records):
            url = request.url.include_query_params(**{"from": records[start + limit]["id"], "limit": limit})
            links["next"] = {"href": str(url), "type": "application/hal+json"}
        body = {"count": len(page), "_embedded": {name: page}, "_links": links}
        return JSONResponse(body, media_type=_MEDIA_TYPE)

    def _amount(self, minor: int) -> Record:
        return {"currency": self._ledger.currency, "value": f"{from_minor(minor, self._ledger.currency):f}"}

    def _balance_transactions(self) -> list[Record]:
        found = [
            {
                "resource": "balance_transaction",
                "id": line_id_of(movement),
                "type": _TYPES[movement.kind],
                "resultAmount": self._amount(movement.net),
                "initialAmount": self._amount(movement.amount),
                "deductions": self._amount(-movement.fee),
                "createdAt": _time(movement.at),
                "context": {_context_name(movement): _context(movement)},
            }
            for movement in self._movements
        ]
        transfers = [
            {
                "resource": "balance_transaction",
                "id": payout_line_id_of(payout),
                "type": "outgoing-transfer",
                "resultAmount": self._amount(-payout.amount),
                "initialAmount": self._amount(-payout.amount),
                "deductions": None,
                "createdAt": _time(payout.at),
                "context": {"outgoingTransfer": {"settlementId": payout_id_of(payout)}},
            }
            for payout in self._payouts
        ]
        return found + transfers

    def _payment(self, sale: Movement) -> Record:
        back = [one for one in self._movements if one.refund_of == sale.serial]
        return {
            "resource": "payment",
            "id": payment_id_of(sale),
            "mode": "live",
            "status": "paid",
            "amount": self._amount(sale.amount),
            "amountRefunded": self._amount(-sum(one.amount for one in back if one.kind == "refund")),
            "amountChargedBack": self._amount(-sum(one.amount for one in back if one.kind.startswith("chargeback"))),
            "description": sale.description,
            "method": "ideal",
            "metadata": {"order_id": str(sale.order_id)},
            "createdAt": _time(sale.at),
            "paidAt": _time(sale.at),
        }

    def _refund(self, refund: Movement) -> Record:
        return {
            "resource": "refund",
            "id": refund_id_of(refund),
            "paymentId": payment_id_of(refund),
            "status": "refunded",
            "amount": self._amount(-refund.amount),
            "description": refund.description,
            "createdAt": _time(refund.at),
        }

    def _chargeback(self, chargeback: Movement) -> Record:
        reversals = [
            one
            for one in self._of("chargeback_reversal")
            if one.refund_of == chargeback.refund_of and one.order_id == chargeback.order_id
        ]
        return {
            "resource": "chargeback",
            "id": refund_id_of(chargeback),
            "paymentId": payment_id_of(chargeback),
            "amount": self._amount(-chargeback.amount),
            "reason": {"code": "AC01", "description": "Account identifier incorrect"},
            "createdAt": _time(chargeback.at),
            "reversedAt": _time(reversals[0].at) if reversals else None,
        }

    def _settlement(self, payout: LedgerPayout) -> Record:
        months: dict[str, dict[str, Record]] = {}
        for movement in self._movements:
            if movement.payout == payout.serial:
                moment = datetime.fromtimestamp(movement.at, UTC)
                period = months.setdefault(f"{moment:%Y}", {}).setdefault(f"{moment:%m}", {"revenue": [], "costs": []})
                period["revenue"].append(self._subtotal(movement.description, movement.amount))
                if movement.fee:
                    period["costs"].append(self._subtotal("Fee", movement.fee))
        return {
            "resource": "settlement",
            "id": payout_id_of(payout),
            "reference": reference_of(payout),
            "status": "paidout",
            "amount": self._amount(payout.amount),
            "createdAt": _time(payout.at),
            "settledAt": f"{payout.arrival.isoformat()}T05:00:00+00:00",
            "periods": months,
        }

    def _subtotal(self, description: str, minor: int) -> Record:
        amount = self._amount(minor)
        return {"description": description, "method": "ideal", "count": 1, "amountNet": amount, "amountGross": amount}


def create_app(ledger: GatewayLedger, api_key: str, now: datetime) -> Starlette:
    """The account's API, to be mounted at the account's address.

    Args:
        ledger: the account's history.
        api_key: the token that opens it.
        now: end of the simulated time, aware.
    """
    api = MollieApi(ledger, api_key, now)
    routes = [
        Route("/v2/balances/primary", api.guarded(api.balance)),
        Route("/v2/balances/primary/transactions", api.guarded(api.list_of("balance_transactions"))),
    ]
    for name in ("payments", "refunds", "chargebacks", "settlements"):
        routes.append(Route(f"/v2/{name}", api.guarded(api.list_of(name))))
    for name in ("payments", "refunds", "chargebacks", "captures"):
        path = f"/v2/settlements/{{settlement_id}}/{name}"
        routes.append(Route(path, api.guarded(api.settlement_list_of(name))))
    return Starlette(routes=routes)


def _context_name(movement: Movement) -> str:
    words = _TYPES[movement.kind].split("-")
    return words[0] + "".join(word.title() for word in words[1:])


def _context(movement: Movement) -> Record:
    if movement.kind == "fee":
        return {}
    context = {"paymentId": payment_id_of(movement)}
    if movement.kind == "refund":
        context["refundId"] = refund_id_of(movement)
    elif movement.kind != "sale":
        context["chargebackId"] = refund_id_of(movement)
    return context


def _error(status: int, title: str, detail: str) -> JSONResponse:
    return JSONResponse({"status": status, "title": title, "detail": detail}, status, media_type=_MEDIA_TYPE)


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _id(prefix: str, seed: str, length: int) -> str:
    number = int(hashlib.sha256(f"{prefix}/{seed}".encode()).hexdigest(), 16)
    letters = []
    for _ in range(length):
        number, place = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[place])
    return f"{prefix}_{''.join(letters)}"
