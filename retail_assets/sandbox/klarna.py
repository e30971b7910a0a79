"""Klarna over a ledger: payouts with totals and their transactions, by the Settlements API and as reports."""

import base64
import binascii
import csv
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from retail_assets.sandbox import minor
from retail_assets.sandbox.ledgers import GatewayLedger, LedgerPayout, Movement

_MAX_SIZE: Final = 500
_DEFAULT_SIZE: Final = 20
_TYPES: Final = {
    "sale": ("SALE", "PURCHASE"),
    "refund": ("RETURN", "PURCHASE_RETURN"),
    "fee": ("FEE", "SERVICING_FEE"),
    "chargeback": ("REVERSAL", "REVERSAL"),
    "chargeback_reversal": ("REVERSAL_MERCHANT_PROTECTION", "FRAUD_POLICY_CREDIT_NET"),
}

_REPORT_COLUMNS: Final = (
    "type",
    "capture_date",
    "sale_date",
    "order_id",
    "short_order_id",
    "capture_id",
    "merchant_reference1",
    "merchant_reference2",
    "amount",
    "posting_currency",
    "refund_id",
    "purchase_country",
    "detailed_type",
)

Record = dict[str, Any]


def payment_id_of(movement: Movement) -> str:
    """Klarna's order: of a sale, and of what gives it back."""
    sale = movement.serial if movement.refund_of is None else movement.refund_of
    return _uuid(f"order/{sale}/{movement.order_id}")


def refund_id_of(movement: Movement) -> str:
    """The refund; of a sale the capture."""
    return _uuid(f"{movement.kind}/{movement.serial}/{movement.order_id}")


def line_id_of(movement: Movement) -> str:
    """The transaction of a sale or refund, as our staging models name it.

    Raises:
        ValueError: the models name what is neither after its payout, which a movement does not know.
    """
    if movement.kind not in ("sale", "refund"):
        raise ValueError(f"a {movement.kind} is named after its payout")
    kind, detailed = _TYPES[movement.kind]
    return f"{kind}/{payment_id_of(movement)}/{refund_id_of(movement)}/{detailed}/1"


def payout_id_of(payout: LedgerPayout) -> str:
    """The payment reference, which the bank's text has as well."""
    digest = hashlib.sha256(f"{payout.serial}/{payout.at}/{payout.amount}".encode()).hexdigest()
    return f"XI{digest[:8].upper()}"


class KlarnaApi:
    """One account's answers.

    Args:
        ledger: the account's history.
        username, password: what opens it.
        now: end of the simulated time, aware: what is later has not happened.
    """

    def __init__(self, ledger: GatewayLedger, username: str, password: str, now: datetime) -> None:
        self._ledger = ledger
        self._credentials = f"{username}:{password}".encode()
        self.paid_out = [payout for payout in ledger.payouts if payout.at <= int(now.timestamp())]

    def guarded(self, answer: Callable[[Request], JSONResponse]) -> Callable[[Request], Awaitable[JSONResponse]]:
        """``answer`` behind the check of user and password."""

        async def endpoint(request: Request) -> JSONResponse:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            try:
                given = base64.b64decode(token, validate=True) if scheme.lower() == "basic" else b""
            except binascii.Error:
                given = b""
            if not hmac.compare_digest(given, self._credentials):
                return _error(401, "UNAUTHORIZED", "Unauthorized")
            return answer(request)

        return endpoint

    def payouts(self, request: Request) -> JSONResponse:
        """``GET /settlements/v1/payouts``, newest first."""
        try:
            since = datetime.fromisoformat(request.query_params.get("start_date", "1970-01-01T00:00:00Z"))
        except ValueError:
            return _error(400, "BAD_VALUE", "Bad value: start_date")
        found = [self._payout(payout) for payout in reversed(self.paid_out) if payout.at >= since.timestamp()]
        return self._page(request, "payouts", found)

    def transactions(self, request: Request) -> JSONResponse:
        """``GET /settlements/v1/transactions?payment_reference=``."""
        reference = request.query_params.get("payment_reference")
        payouts = [one for one in self.paid_out if reference in (None, payout_id_of(one))]
        return self._page(request, "transactions", [record for one in payouts for record in self._transactions(one)])

    def report(self, payout: LedgerPayout) -> tuple[Record, list[Record]]:
        """A payout with its totals, and its transactions."""
        return self._payout(payout), self._transactions(payout)

    def _page(self, request: Request, name: str, records: Sequence[Record]) -> JSONResponse:
        size, offset = request.query_params.get("size", str(_DEFAULT_SIZE)), request.query_params.get("offset", "0")
        if not (size.isdigit() and offset.isdigit()) or int(size) > _MAX_SIZE:
            return _error(400, "BAD_VALUE", f"Bad value: size is at most {_MAX_SIZE}")
        page = records[int(offset) : int(offset) + int(size)]
        following = request.url.include_query_params(offset=int(offset) + int(size), size=size)
        more = int(offset) + int(size) < len(records)
        pagination = {
            "count": len(page),
            "total": len(records),
            "next": str(following) if more else None,
            "prev": None,
            "offset": int(offset),
        }
        return JSONResponse({name: page, "pagination": pagination})

    def _payout(self, payout: LedgerPayout) -> Record:
        held = self._held(payout)

        def total(kind: str) -> int:
            return sum(abs(movement.amount) for movement in held if movement.kind == kind)

        totals = {
            "sale_amount": total("sale"),
            "return_amount": total("refund"),
            "reversal_amount": total("chargeback") - total("chargeback_reversal"),
            "fee_amount": sum(movement.fee for movement in held) + total("fee"),
            "settlement_amount": payout.amount,
        }
        empty = ("tax", "commission", "holdback", "release", "repay", "fee_correction", "charge", "credit", "deposit")
        return {
            "payment_reference": payout_id_of(payout),
            "payout_date": _time(payout.at),
            "currency_code": self._ledger.currency,
            "merchant_id": "K123456",
            "merchant_settlement_type": "NET",
            "transactions": f"https://api.klarna.com/settlements/v1/transactions?payment_reference={payout_id_of(payout)}",
            "totals": {
                **totals,
                **{f"{name}_amount": 0 for name in empty},
                "opening_debt_balance_amount": 0,
                "closing_debt_balance_amount": 0,
            },
        }

    def _held(self, payout: LedgerPayout) -> list[Movement]:
        return [movement for movement in self._ledger.movements if movement.payout == payout.serial]

    def _transactions(self, payout: LedgerPayout) -> list[Record]:
        found: list[Record] = []
        for movement in self._held(payout):
            kind, detailed = _TYPES[movement.kind]
            common = {
                "payment_reference": payout_id_of(payout),
                "merchant_id": "K123456",
                "currency_code": self._ledger.currency,
                "order_id": payment_id_of(movement) if movement.order_id is not None else None,
                "merchant_reference1": f"{self._ledger.reference_prefix}{movement.order_number}",
                "merchant_reference2": str(movement.order_id),
                "purchase_country": movement.country,
                "sale_date": _time(movement.at),
                "capture_date": _time(movement.at),
            }
            capture = refund_id_of(movement) if movement.kind == "sale" else ""
            refund = "" if movement.kind in ("sale", "fee") else refund_id_of(movement)
            own = {"type": kind, "detailed_type": detailed, "capture_id": capture, "refund_id": refund}
            if movement.amount or movement.kind != "fee":
                found.append({**common, **own, "amount": abs(movement.amount)})
            if movement.fee:
                fee = {"type": "FEE", "detailed_type": "PURCHASE_FEE_PERCENTAGE", "capture_id": capture}
                found.append({**common, **fee, "refund_id": refund, "amount": movement.fee, "vat_amount": 0})
        return found


def create_app(ledger: GatewayLedger, username: str, password: str, now: datetime) -> Starlette:
    """The account's API, to be mounted at the account's address.

    Args:
        ledger: the account's history.
        username, password: what opens it.
        now: end of the simulated time, aware.
    """
    api = KlarnaApi(ledger, username, password, now)
    return Starlette(
        routes=[
            Route("/settlements/v1/payouts", api.guarded(api.payouts)),
            Route("/settlements/v1/transactions", api.guarded(api.transactions)),
        ]
    )


def write_reports(ledger: GatewayLedger, folder: Path, now: datetime) -> list[Path]:
    """The settlement report of each payout, set up with all ids: a section of totals, then one of transactions."""
    folder.mkdir(parents=True, exist_ok=True)
    api = KlarnaApi(ledger, "", "", now)
    return [_write(folder / f"{payout_id_of(one)}.csv", *api.report(one), ledger.currency) for one in api.paid_out]


def _write(path: Path, payout: Record, transactions: Sequence[Record], currency: str) -> Path:
    amounts = {name.removesuffix("_amount"): value for name, value in payout["totals"].items()}
    totals = {f"total_{name}_amount" if "debt" not in name else name: value for name, value in amounts.items()}
    head = {
        **{name: minor.text(value, currency) for name, value in totals.items()},
        "payment_reference": payout["payment_reference"],
        "settlement_currency": currency,
        **{name: payout[name] for name in ("payout_date", "merchant_id", "merchant_settlement_type")},
    }
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\n")
        writer.writerows((head, head.values(), _REPORT_COLUMNS))
        for record in transactions:
            shown = {**record, "amount": minor.text(record["amount"], currency), "posting_currency": currency}
            writer.writerow([shown.get(name) or "" for name in _REPORT_COLUMNS])
    return path


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error_code": code, "error_messages": [message], "correlation_id": "0"}, status)


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _uuid(seed: str) -> str:
    digest = hashlib.sha256(seed.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
