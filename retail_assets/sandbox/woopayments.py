"""A neutral ledger as WooPayments shows it: the plugin's REST API below a store's address, and its exports as CSV."""

import csv
import hashlib
import io
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from retail_assets.sandbox import minor
from retail_assets.sandbox.ledgers import GatewayLedger, LedgerPayout, Movement
from retail_assets.sandbox.woo_auth import KeyCheck

_LETTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH: Final = 24
_LARGEST_PAGE: Final = 100
_DATE_TIME: Final = "%Y-%m-%d %H:%M:%S"
_TYPES: Final = {
    "sale": "charge", "refund": "refund", "fee": "charge", "chargeback": "dispute",
    "chargeback_reversal": "dispute_reversal",
}  # fmt: skip
#: Type → what the export calls it.
_NAMES: Final = {
    "charge": "Charge", "refund": "Refund", "dispute": "Dispute", "dispute_reversal": "Dispute reversal",
    "card_reader_fee": "Reader fee",
}  # fmt: skip
_STATUS_NAMES: Final = {"paid": "Completed (paid)", "in_transit": "In transit", "estimated": "Estimated"}

#: Columns of the export of transactions (10.x), without the subscription column that only some stores have.
EXPORT_COLUMNS: Final = (
    "Transaction Id", "Date / Time (UTC)", "Type", "Channel", "Paid Currency", "Amount Paid", "Payout Currency",
    "Amount", "Fees", "Net", "Order #", "Payment Method", "Customer", "Email", "Country", "Risk level", "Payout ID",
    "Payout date", "Payout status",
)  # fmt: skip


def line_id_of(movement: Movement) -> str:
    """The id of a movement's transaction."""
    return _id("txn", movement.serial)


def payment_id_of(movement: Movement) -> str | None:
    """The id of the charge behind a movement; None for fees."""
    serial = movement.serial if movement.kind == "sale" else movement.refund_of
    return None if serial is None else _id("ch", serial)


def refund_id_of(movement: Movement) -> str:
    """What a refund is known by: its transaction, as the plugin's API does not name the refund itself."""
    return line_id_of(movement)


def dispute_id_of(movement: Movement) -> str | None:
    """The id of the dispute of a chargeback or of its reversal: there is one for each disputed sale."""
    return None if movement.refund_of is None else _id("dp", movement.refund_of)


def payout_id_of(payout: LedgerPayout) -> str:
    """The id of a payout, which its own line in our ledger has as well."""
    return _id("po", payout.serial)


def _id(prefix: str, serial: int) -> str:
    digest = int.from_bytes(hashlib.sha256(f"woopayments {prefix} {serial}".encode()).digest())
    letters = []
    for _ in range(_ID_LENGTH - 2):
        digest, place = divmod(digest, len(_LETTERS))
        letters.append(_LETTERS[place])
    return f"{prefix}_1P{''.join(letters)}"


class _Account:
    """The plugin's records of one ledger, as of a moment (Unix seconds): what lies after it has not happened."""

    def __init__(self, ledger: GatewayLedger, now: int) -> None:
        self._ledger = ledger
        self._now = now
        self._payouts = {payout.serial: payout for payout in ledger.payouts if payout.at <= now}
        self._movements = [movement for movement in ledger.movements if movement.at <= now]
        self._sales = {movement.serial: movement for movement in self._movements if movement.kind == "sale"}
        self.transactions = [self._transaction(movement) for movement in self._movements]
        self.deposits = [self._deposit(payout) for payout in self._payouts.values()]
        self.disputes = self._disputes()

    def balance(self) -> dict[str, list[dict[str, Any]]]:
        """What is left: paid out at once, so that nothing is available and all the rest pending."""
        left = sum(movement.net for movement in self._movements)
        left -= sum(payout.amount for payout in self._payouts.values())
        currency = self._ledger.currency.lower()
        return {
            kind: [{"amount": amount, "currency": currency, "source_types": {"card": amount}}]
            for kind, amount in (("available", 0), ("pending", left))
        }

    def _transaction(self, movement: Movement) -> dict[str, Any]:
        payout = self._payouts.get(movement.payout or 0)
        sale = self._sales.get(movement.refund_of or 0, movement)
        currency = self._ledger.currency.lower()
        forecast = datetime.fromtimestamp(movement.at, UTC).date() + timedelta(days=4)
        record = {
            "transaction_id": line_id_of(movement),
            "type": _TYPES[movement.kind],
            "date": _moment(movement.at),
            "source": "visa",
            "source_identifier": "4242",
            "customer_name": sale.order_key or "",
            "customer_email": sale.email or "",
            "customer_country": sale.country or "",
            "amount": movement.amount,
            "net": movement.net,
            "fees": movement.fee,
            "currency": currency,
            "risk_level": 0,
            "charge_id": payment_id_of(movement) or "",
            "deposit_id": payout_id_of(payout) if payout else f"wcpay_estimated_daily_{currency}_{_seconds(forecast)}",
            "available_on": str(payout.arrival if payout else forecast),
            "exchange_rate": None,
            "customer_amount": abs(movement.amount),
            "customer_currency": currency,
            "loan_id": None,
            "order_id": sale.order_id,
            "source_device": None,
            "channel": "online",
            "deposit_status": self._status(payout) if payout else "estimated",
        }
        if movement.kind == "fee":
            record["metadata"] = {"charge_type": "card_reader_fee"}
        elif sale.order_number is not None:
            record["order"] = {"number": sale.order_number, "url": "", "customer_url": "", "subscriptions": []}
            record["payment_intent_id"] = _id("pi", sale.serial)
        return record

    def _status(self, payout: LedgerPayout) -> str:
        return "in_transit" if _seconds(payout.arrival) > self._now else "paid"

    def _deposit(self, payout: LedgerPayout) -> dict[str, Any]:
        return {
            "id": payout_id_of(payout),
            "date": _seconds(payout.arrival) * 1000,
            "type": "deposit" if payout.amount >= 0 else "withdrawal",
            "amount": payout.amount,
            "status": self._status(payout),
            "bankAccount": f"BANK •••• 6789 ({self._ledger.currency})",
            "currency": self._ledger.currency.lower(),
            "automatic": True,
            "fee": 0,
            "fee_percentage": 0,
            "created": payout.at,
        }

    def _disputes(self) -> list[dict[str, Any]]:
        won = {movement.refund_of for movement in self._movements if movement.kind == "chargeback_reversal"}
        return [
            {
                "dispute_id": dispute_id_of(movement),
                "charge_id": payment_id_of(movement),
                "amount": -movement.amount,
                "currency": self._ledger.currency.lower(),
                "reason": "fraudulent",
                "source": "visa",
                "status": "won" if movement.refund_of in won else "needs_response",
                "created": _moment(movement.at),
                "due_by": _moment(movement.at + 9 * 86_400),
                "order": {"number": sale.order_number} if (sale := self._sales.get(movement.refund_of or 0)) else None,
            }
            for movement in self._movements
            if movement.kind == "chargeback"
        ]


class _Api:
    """The plugin's routes over one account."""

    def __init__(self, account: _Account, key: KeyCheck) -> None:
        self._key = key
        self._account = account
        self._lists = {
            "transactions": (account.transactions, "date"),
            "deposits": (account.deposits, "date"),
            "disputes": (account.disputes, "created"),
        }

    def guarded(self, answer: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            refusal = self._key.refuse(request)
            if refusal is not None:
                body = {"code": refusal.code, "message": refusal.message, "data": {"status": 401}}
                return JSONResponse(body, status_code=401)
            return answer(request)

        return endpoint

    def page(self, request: Request) -> Response:
        """A page of a list; the first is page 1, and page 0 is the same one."""
        name, query = request.path_params["name"], request.query_params
        if name not in self._lists:
            return _refuse(404, "rest_no_route", "No route was found matching the URL and request method.")
        field = self._lists[name][1]
        if query.get("sort", field) not in (field, "amount"):
            return _refuse(400, "wcpay_bad_request", f"Error: Invalid sorting field: {query['sort']}")
        if query.get("direction", "desc") not in ("asc", "desc"):
            return _refuse(400, "wcpay_bad_request", f"Error: Invalid sorting direction: {query['direction']}")
        size = min(int(query.get("pagesize", 25)), _LARGEST_PAGE)
        start = (max(int(query.get("page", 0)), 1) - 1) * size
        found = sorted(self._filtered(name, request), key=lambda item: item[query.get("sort", field)])
        if query.get("direction", "desc") == "desc":
            found.reverse()
        answer: dict[str, Any] = {"data": found[start : start + size]}
        return JSONResponse(answer | ({"total_count": len(found)} if name == "deposits" else {}))

    def summary(self, request: Request) -> Response:
        """How many records a list has."""
        name = request.path_params["name"]
        if name not in self._lists:
            return _refuse(404, "rest_no_route", "No route was found matching the URL and request method.")
        return JSONResponse({"count": len(self._filtered(name, request))})

    def overview(self, request: Request) -> Response:
        """``GET /payments/deposits/overview-all``."""
        body = {
            "deposit": {"last_paid": [], "last_manual_deposits": []},
            "balance": self._account.balance(),
            "account": {},
        }
        return JSONResponse(body)

    def _filtered(self, name: str, request: Request) -> list[dict[str, Any]]:
        records, field = self._lists[name]
        after = request.query_params.get("date_after")
        if after is None:
            return list(records)
        bound: Any = after
        if name == "deposits":
            bound = int(datetime.strptime(after, _DATE_TIME).replace(tzinfo=UTC).timestamp()) * 1000
        return [record for record in records if record[field] > bound]


def create_app(ledger: GatewayLedger, consumer_key: str, consumer_secret: str, now: int) -> Starlette:
    """The plugin's API, to be mounted at the store's address.

    Args:
        ledger: what happened on the account.
        consumer_key: the store's key that opens it.
        consumer_secret: its secret.
        now: end of the simulated time, Unix seconds.
    """
    api = _Api(_Account(ledger, now), KeyCheck(consumer_key, consumer_secret))
    root = "/wp-json/wc/v3/payments"
    return Starlette(
        routes=[
            Route(f"{root}/deposits/overview-all", api.guarded(api.overview)),
            Route(f"{root}/{{name}}/summary", api.guarded(api.summary)),
            Route(f"{root}/{{name}}", api.guarded(api.page)),
        ]
    )


def write_files(ledger: GatewayLedger, folder: Path, now: int | None = None) -> list[Path]:
    """The exports of transactions, one for each month, newest line first; the same ledger gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    last = max([movement.at for movement in ledger.movements] + [payout.at for payout in ledger.payouts], default=0)
    months: dict[str, list[dict[str, Any]]] = {}
    for record in _Account(ledger, last + 30 * 86_400 if now is None else now).transactions:
        months.setdefault(record["date"][:7], []).append(record)
    return [
        _write(folder / f"transactions_{month}.csv", (_export_row(record) for record in reversed(records)))
        for month, records in sorted(months.items())
    ]


def _export_row(record: dict[str, Any]) -> Sequence[str]:
    currency = record["currency"].upper()
    is_fee = "metadata" in record
    kind = record["metadata"]["charge_type"] if is_fee else record["type"]
    return (
        record["transaction_id"],
        record["date"],
        _NAMES[kind],
        "Online store",
        currency,
        _amount(record["customer_amount"], currency),
        currency,
        # The plugin shows a reader's fee among the fees and leaves its amount empty.
        _amount(0 if is_fee else record["amount"], currency),
        _amount(record["amount"] if is_fee else -record["fees"], currency),
        _amount(record["net"], currency),
        record.get("order", {}).get("number", ""),
        record["source"],
        record["customer_name"],
        record["customer_email"],
        record["customer_country"],
        "Normal",
        record["deposit_id"],
        record["available_on"],
        _STATUS_NAMES[record["deposit_status"]],
    )


def _amount(amount: int, currency: str) -> str:
    """As JavaScript writes a number: without trailing zeros."""
    written = minor.text(amount, currency)
    return written.rstrip("0").rstrip(".") if "." in written else written


def _write(path: Path, rows: Iterable[Sequence[str]]) -> Path:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(EXPORT_COLUMNS)
    writer.writerows(rows)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(text.getvalue(), encoding="utf-8", newline="")
    unfinished.replace(path)
    return path


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(_DATE_TIME)


def _seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _refuse(status: int, code: str, message: str) -> Response:
    return JSONResponse({"code": code, "message": message, "data": None}, status_code=status)
