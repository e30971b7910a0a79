"""PayPal's view of a neutral ledger: the reporting API with its limits, and settlement and detail reports as files."""

import base64
import binascii
import hmac
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from retail_assets.money import exponent
from retail_assets.sandbox.ledgers import GatewayLedger, LedgerPayout, Movement

#: PayPal's own limits.
LONGEST_WINDOW: Final = timedelta(days=31)
HISTORY: Final = timedelta(days=3 * 365)
LAG: Final = timedelta(hours=3)
MAXIMUM_ITEMS: Final = 10_000
_LARGEST_PAGE: Final = 500
_DEFAULT_PAGE: Final = 100
_TOKEN_SECONDS: Final = 32_400
_SCATTER: Final = 30_414_093_201_713_378_043_612_641
_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPRSTUVWXY"
_CODES: Final = {
    "sale": "T0006",
    "refund": "T1107",
    "fee": "T0100",
    "chargeback": "T1201",
    "chargeback_reversal": "T1202",
}
_CHARGEBACK_FEE: Final = "T0106"
_FEE_REVERSAL: Final = "T1108"
_SWEEP: Final = "T0401"
_STL_COLUMNS: Final = (
    "Transaction ID", "Invoice ID", "PayPal Reference ID", "PayPal Reference ID Type", "Transaction Event Code",
    "Transaction Initiation Date", "Transaction Completion Date", "Transaction Debit or Credit",
    "Gross Transaction Amount", "Gross Transaction Currency", "Fee Debit or Credit", "Fee Amount", "Fee Currency",
    "Custom Field", "Consumer ID", "Payment Tracking ID", "Store ID", "Bank Reference ID", "Credit Transactional Fee",
    "Credit Promotional Fee", "Credit Term",
)  # fmt: skip
_TRR_COLUMNS: Final = (
    *_STL_COLUMNS[:13], "Transactional Status", "Insurance Amount", "Sales Tax Amount", "Shipping Amount",
    "Transaction Subject", "Transaction Note", "Payer's Account ID", "Item Name", "Item ID", "Shipping Address Country",
    "Custom Field", "Consumer ID", "Card Type", "Payment Source", "Payment Tracking ID", "Store ID",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Line:
    """One movement of PayPal's balance: amounts in hundredths as the reports have them, signed."""

    transaction_id: str
    code: str
    at: int
    gross: int
    fee: int
    reference: str = ""
    invoice: str = ""
    custom: str = ""
    subject: str = ""
    email: str = ""
    country: str = ""
    bank_reference: str = ""

    @property
    def net(self) -> int:
        return self.gross - self.fee


def payment_id_of(movement: Movement) -> str:
    """The capture's transaction id, which the store notes."""
    return _transaction_id(0, movement.serial)


def refund_id_of(movement: Movement) -> str:
    """The refund's transaction id."""
    return _transaction_id(0, movement.serial)


def payout_id_of(payout: LedgerPayout) -> str:
    """The sweep's transaction id."""
    return _transaction_id(1, payout.serial)


def dispute_id_of(movement: Movement) -> str:
    """A chargeback goes by the sale it takes back."""
    return _transaction_id(0, movement.refund_of or movement.serial)


def line_id_of(movement: Movement) -> str:
    """The movement's main line, as the staging models name it."""
    return line_ids_of(movement)[0]


def line_ids_of(movement: Movement) -> tuple[str, ...]:
    """All lines of a movement, the main one first: PayPal books the fee of a chargeback apart."""
    return tuple(_line_id(line) for line in _lines_of(movement, None))


def payout_line_id_of(payout: LedgerPayout) -> str:
    """The sweep's line."""
    return _line_id(_sweep(payout, None))


def account_id_of(ledger: GatewayLedger) -> str:
    """The merchant account id."""
    return _letters(int.from_bytes(ledger.gateway_id.encode()) * _SCATTER % len(_ALPHABET) ** 13, 13)


def lines_of(ledger: GatewayLedger) -> list[Any]:
    """Every line in the order of time; a sweep comes after what it takes."""
    lines = [(line.at, 0, place, line) for place, one in enumerate(ledger.movements) for line in _lines_of(one, ledger)]
    lines += [(payout.at, 1, payout.serial, _sweep(payout, ledger)) for payout in ledger.payouts]
    return [line for *_, line in sorted(lines, key=lambda item: item[:3])]


def _lines_of(movement: Movement, ledger: GatewayLedger | None) -> Iterator[_Line]:
    scale = _hundredths(ledger.currency) if ledger else 1
    code = _CODES[movement.kind]
    prefix = ledger.reference_prefix if ledger else ""
    original = _transaction_id(0, movement.refund_of) if movement.refund_of else ""
    apart = movement.kind in ("chargeback", "chargeback_reversal")
    main = _Line(
        transaction_id=_transaction_id(0, movement.serial),
        code=code,
        at=movement.at,
        gross=movement.amount * scale,
        fee=0 if apart else movement.fee * scale,
        reference=original,
        invoice=f"{prefix}{movement.order_number}" if movement.order_number else "",
        custom=str(movement.order_id or ""),
        subject=movement.description,
        email=movement.email or "",
        country=movement.country or "",
    )
    if movement.kind == "fee" and not movement.amount:
        main = replace(main, gross=-movement.fee * scale, fee=0)
    yield main
    if apart and movement.fee:
        yield replace(
            main,
            transaction_id=_transaction_id(2, movement.serial),
            code=_CHARGEBACK_FEE if movement.fee > 0 else _FEE_REVERSAL,
            gross=-movement.fee * scale,
            fee=0,
            reference=main.transaction_id,
        )


def _sweep(payout: LedgerPayout, ledger: GatewayLedger | None) -> _Line:
    scale = _hundredths(ledger.currency) if ledger else 1
    return _Line(
        transaction_id=payout_id_of(payout),
        code=_SWEEP if payout.amount > 0 else "T0300",
        at=payout.at,
        gross=-payout.amount * scale,
        fee=0,
        bank_reference=payout_id_of(payout),
    )


def _line_id(line: _Line) -> str:
    moment = datetime.fromtimestamp(line.at, UTC)
    return f"{line.transaction_id}:{line.code}:{'DR' if line.gross < 0 else 'CR'}:{moment:%Y%m%d%H%M%S}"


def _hundredths(currency: str) -> int:
    """PayPal's reports count hundredths of every currency, also of yen."""
    return 10 ** (2 - exponent(currency))


def _transaction_id(kind: int, serial: int) -> str:
    """Seventeen letters that look drawn at random; an odd factor makes no two alike."""
    return _letters(((kind << 48) + serial) * _SCATTER % len(_ALPHABET) ** 17, 17)


def _letters(number: int, length: int) -> str:
    letters = ""
    for _ in range(length):
        number, rest = divmod(number, len(_ALPHABET))
        letters = _ALPHABET[rest] + letters
    return letters


def create_app(ledger: GatewayLedger, client_id: str, client_secret: str, now: datetime) -> Starlette:
    """The reporting API of one account, to be mounted at its address.

    Args:
        ledger: the account's history.
        client_id: with the secret, what opens the token endpoint.
        client_secret: see there.
        now: end of the simulated time, aware; what happened in the last three hours does not show yet.
    """
    return _Api(ledger, client_id, client_secret, now).app()


class _PayPalError(Exception):
    def __init__(self, status: int, name: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"name": name, "message": message, "debug_id": "f4a1c0ffee", "details": [], "links": [], **more}


class _Api:
    def __init__(self, ledger: GatewayLedger, client_id: str, client_secret: str, now: datetime) -> None:
        self._ledger = ledger
        self._lines: Sequence[_Line] = lines_of(ledger)
        self._credentials = f"{client_id}:{client_secret}".encode()
        self._token = "A21AA" + _letters(sum(self._credentials) * 15_485_863 + len(self._lines), 40)
        self._now = now
        self._refreshed = now - LAG

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/oauth2/token", self._oauth, methods=["POST"]),
                Route("/v1/reporting/transactions", self._guarded(self._transactions)),
                Route("/v1/reporting/balances", self._guarded(self._balances)),
            ]
        )

    async def _oauth(self, request: Request) -> Response:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            decoded = base64.b64decode(given, validate=True) if scheme.lower() == "basic" else b""
        except binascii.Error:
            decoded = b""
        if not hmac.compare_digest(decoded, self._credentials):
            body = {"error": "invalid_client", "error_description": "Client Authentication failed"}
            return JSONResponse(body, status_code=401)
        form = parse_qs((await request.body()).decode())
        if form.get("grant_type") != ["client_credentials"]:
            body = {"error": "unsupported_grant_type", "error_description": "unsupported grant_type"}
            return JSONResponse(body, status_code=400)
        return JSONResponse(
            {
                "scope": "https://uri.paypal.com/services/reporting/search/read",
                "access_token": self._token,
                "token_type": "Bearer",
                "app_id": "APP-80W284485P519543T",
                "expires_in": _TOKEN_SECONDS,
            }
        )

    def _guarded(self, answer: Any) -> Any:
        async def endpoint(request: Request) -> Response:
            try:
                given = request.headers.get("authorization", "")
                if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                    body = {"error": "invalid_token", "error_description": "Token signature verification failed"}
                    return JSONResponse(body, status_code=401)
                return answer(request)
            except _PayPalError as error:
                return JSONResponse(error.body, status_code=error.status)

        return endpoint

    def _transactions(self, request: Request) -> Response:
        query = request.query_params
        start, end = (_moment(query.get(name), name) for name in ("start_date", "end_date"))
        if end < start:
            raise _invalid("End date should be greater than start date.")
        if end - start > LONGEST_WINDOW:
            raise _invalid("Date range is greater than 31 days")
        if start > self._refreshed or start < self._now - HISTORY:
            raise _invalid("Data for the given start date is not available.")
        size = _number(query.get("page_size", str(_DEFAULT_PAGE)), "page_size", 1, _LARGEST_PAGE)
        page = _number(query.get("page", "1"), "page", 0, 2**31 - 1)
        until = min(end, self._refreshed)
        found = [line for line in self._lines if start.timestamp() <= line.at <= until.timestamp()]
        if len(found) > MAXIMUM_ITEMS:
            message = "Result set size is greater than the maximum limit. Change the filter criteria and try again."
            raise _PayPalError(400, "RESULTSET_TOO_LARGE", message, total_items=len(found), maximum_items=MAXIMUM_ITEMS)
        first = max(page - 1, 0) * size
        everything = query.get("fields", "transaction_info") == "all"
        return JSONResponse(
            {
                "transaction_details": [self._detail(line, everything) for line in found[first : first + size]],
                "account_number": account_id_of(self._ledger),
                "start_date": _written(start),
                "end_date": _written(until),
                "last_refreshed_datetime": _written(self._refreshed),
                "page": page,
                "total_items": len(found),
                "total_pages": -(-len(found) // size),
                "links": [],
            }
        )

    def _balances(self, request: Request) -> Response:
        given = request.query_params.get("as_of_time")
        as_of = min(_moment(given, "as_of_time") if given else self._now, self._refreshed)
        total = sum(line.net for line in self._lines if line.at <= as_of.timestamp())
        currency = self._ledger.currency
        money = {"currency_code": currency, "value": self._value(total)}
        return JSONResponse(
            {
                "balances": [
                    {
                        "currency": currency,
                        "primary": True,
                        "total_balance": money,
                        "available_balance": money,
                        "withheld_balance": {"currency_code": currency, "value": self._value(0)},
                    }
                ],
                "account_id": account_id_of(self._ledger),
                "as_of_time": as_of.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "last_refresh_time": self._refreshed.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )

    def _detail(self, line: _Line, everything: bool) -> dict[str, Any]:
        currency = self._ledger.currency
        moment = _written(datetime.fromtimestamp(line.at, UTC))
        info = {
            "transaction_id": line.transaction_id,
            "transaction_event_code": line.code,
            "transaction_initiation_date": moment,
            "transaction_updated_date": moment,
            "transaction_amount": {"currency_code": currency, "value": self._value(line.gross)},
            "transaction_status": "S",
            "protection_eligibility": "02",
        }
        if line.fee:
            info["fee_amount"] = {"currency_code": currency, "value": self._value(-line.fee)}
        if line.reference:
            info |= {"paypal_reference_id": line.reference, "paypal_reference_id_type": "TXN"}
        named = (
            ("invoice_id", line.invoice),
            ("custom_field", line.custom),
            ("transaction_subject", line.subject),
            ("bank_reference_id", line.bank_reference),
        )
        info |= {name: value for name, value in named if value}
        if not everything:
            return {"transaction_info": info}
        payer = {"email_address": line.email, "country_code": line.country, "address_status": "N", "payer_status": "Y"}
        return {
            "transaction_info": info,
            "payer_info": {name: value for name, value in payer.items() if value},
            "shipping_info": {},
            "cart_info": {},
            "store_info": {},
            "auction_info": {},
            "incentive_info": {},
        }

    def _value(self, hundredths: int) -> str:
        sign, whole = "-" if hundredths < 0 else "", abs(hundredths)
        if not exponent(self._ledger.currency):
            return f"{sign}{whole // 100}"
        return f"{sign}{whole // 100}.{whole % 100:02d}"


def _invalid(message: str) -> _PayPalError:
    return _PayPalError(400, "INVALID_REQUEST", message)


def _moment(text: str | None, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        raise _invalid(f"Request is not well-formed, syntactically incorrect, or violates schema: {name}") from None
    if moment.tzinfo is None or len(text or "") < len("2026-01-06T00:00:30Z"):
        raise _invalid(f"Invalid date passed: {name} needs seconds and an offset")
    return moment.astimezone(UTC)


def _number(text: str, name: str, least: int, most: int) -> int:
    if not text.isdigit() or not least <= int(text) <= most:
        raise _invalid(f"{name} must be from {least} to {most}")
    return int(text)


def _written(moment: datetime) -> str:
    """As PayPal writes it: without a colon in the offset."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


def write_files(ledger: GatewayLedger, folder: Path, *, details: bool = False) -> list[Path]:
    """One settlement report for each day of the account's zone with movements; with ``details`` also a TRR.

    The same ledger gives the same bytes. A file appears whole or not at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    zone = ZoneInfo(ledger.zone)
    days: dict[Any, list[_Line]] = {}
    for line in lines_of(ledger):
        days.setdefault(datetime.fromtimestamp(line.at, zone).date(), []).append(line)
    written = []
    balance = 0
    for day, lines in sorted(days.items()):
        start = datetime(day.year, day.month, day.day, tzinfo=zone)
        end = datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=zone)
        closing = balance + sum(line.net for line in lines)
        for name in ("STL", "TRR") if details else ("STL",):
            path = folder / f"{name}-{day:%Y%m%d}.01.009.CSV"
            _write(path, _report(ledger, lines, start, end, (balance, closing), name))
            written.append(path)
        balance = closing
    return written


def _report(
    ledger: GatewayLedger,
    lines: Sequence[_Line],
    start: datetime,
    end: datetime,
    balances: tuple[int, int],
    kind: str,
) -> str:
    out = io.StringIO()
    columns = _STL_COLUMNS if kind == "STL" else _TRR_COLUMNS
    account = account_id_of(ledger)
    made = end + timedelta(hours=3)
    count = len(lines)
    out.write(f'"RH",{_local(made)},"A","{account}",009,\n"FH",01\n')
    out.write(f'"SH",{_local(start)},{_local(end)},"{account}",""\n')
    out.write(_row("CH", columns))
    for line in lines:
        values = _values(line, ledger.currency, start.tzinfo)
        out.write(_row("SB", [values.get(name, "") for name in columns]))
    totals = _totals(ledger.currency, lines, balances)
    out.write(f'"SF",{totals}\n"SC",{count}\n"RF",{totals}\n"RC",{count}\n"FF",{count}\n')
    return out.getvalue()


class _Bare(str):
    """A text that stands without quotes: a date."""

    __slots__ = ()


def _row(kind: str, values: Sequence[Any]) -> str:
    return ",".join([f'"{kind}"', *map(_field, values)]) + "\n"


def _field(value: Any) -> str:
    """Texts are quoted, also empty ones; dates and numbers are not."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, _Bare):
        return '"' + value.replace('"', '""') + '"'
    return str(value)


def _values(line: _Line, currency: str, zone: Any) -> dict[str, Any]:
    moment = _Bare(_local(datetime.fromtimestamp(line.at, zone)))
    return {
        "Transaction ID": line.transaction_id,
        "Invoice ID": line.invoice,
        "PayPal Reference ID": line.reference,
        "PayPal Reference ID Type": "TXN" if line.reference else "",
        "Transaction Event Code": line.code,
        "Transaction Initiation Date": moment,
        "Transaction Completion Date": moment,
        "Transaction Debit or Credit": "DR" if line.gross < 0 else "CR",
        "Gross Transaction Amount": abs(line.gross),
        "Gross Transaction Currency": currency,
        "Fee Debit or Credit": "" if not line.fee else "DR" if line.fee > 0 else "CR",
        "Fee Amount": abs(line.fee) if line.fee else None,
        "Fee Currency": currency if line.fee else "",
        "Transactional Status": "S",
        "Transaction Subject": line.subject,
        "Payer's Account ID": line.email,
        "Shipping Address Country": line.country,
        "Custom Field": line.custom,
        "Bank Reference ID": line.bank_reference,
        "Credit Transactional Fee": None,
        "Credit Promotional Fee": None,
        "Credit Term": None,
    }


def _totals(currency: str, lines: Sequence[_Line], balances: tuple[int, int]) -> str:
    """The fields of a footer: totals by direction, then beginning and ending of the available, total and payable
    balance, then the number of rows."""
    totals = (
        sum(line.gross for line in lines if line.gross >= 0),
        -sum(line.gross for line in lines if line.gross < 0),
        -sum(line.fee for line in lines if line.fee < 0),
        sum(line.fee for line in lines if line.fee > 0),
    )
    signed = [f'"{"DR" if amount < 0 else "CR"}",{abs(amount)}' for amount in (*balances, *balances, 0, 0)]
    return ",".join([f'"{currency}"', *map(str, totals), *signed, str(len(lines))])


def _local(moment: datetime) -> str:
    return moment.strftime("%Y/%m/%d %H:%M:%S %z")


def _write(path: Path, content: str) -> None:
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_text(content, encoding="utf-8-sig", newline="")
    unfinished.replace(path)
