"""Tax engines of the simulated retailer: AvaTax and TaxJar over HTTP, Stripe's tax report and filed returns as files.

All are made from the same neutral documents, so that the engines can be held against each other and the orders.
"""

import base64
import binascii
import csv
import hmac
import io
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from retail_assets.sandbox.minor import RATE_SCALE, major, text

_MAX_TOP: Final = 1000
_CONDITION: Final = re.compile(r"(\w+) (eq|ne|gt|ge|lt|le) '?([^']*)'?")
_JSON: Final = msgspec.json.Encoder(decimal_format="number")
#: AvaTax's words for levels in a summary.
_AVATAX_LEVELS: Final = {
    "country": "Country",
    "state": "State",
    "county": "County",
    "city": "City",
    "district": "Special",
}

Level = Literal["country", "state", "county", "city", "district"]


@dataclass(frozen=True, slots=True)
class TaxSplit:
    """Tax of one jurisdiction: amounts in minor units, negative for a return; ``rate`` in millionths."""

    country: str
    region: str
    level: Level
    code: str
    name: str
    tax_name: str
    rate: int
    taxable: int
    tax: int
    exempt: int = 0


@dataclass(frozen=True, slots=True)
class TaxDocument:
    """A sale or return as a tax engine records it.

    ``serial`` counts from 1 within the engine and never changes. ``at`` and ``modified`` are Unix seconds; ``day`` is
    the tax point in the store's zone. ``amount`` (shipping included, without tax) is in minor units, negative for a
    return. ``payment_id`` is the gateway's id of the payment or refund.
    """

    serial: int
    order_id: int
    at: int
    day: date
    currency: str
    amount: int
    splits: tuple[TaxSplit, ...]
    refund_id: int | None = None
    shipping: int = 0
    payment_id: str = ""
    status: Literal["Committed", "Saved", "Cancelled", "Adjusted"] = "Committed"
    version: int = 1
    locked: bool = False
    modified: int = 0

    @property
    def is_return(self) -> bool:
        return self.refund_id is not None

    @property
    def tax(self) -> int:
        return sum(split.tax for split in self.splits)


@dataclass(frozen=True, slots=True)
class Remittance:
    """A filed return: amounts in minor units; ``paid_amount`` is None while it is not paid."""

    jurisdiction: str
    period_start: date
    period_end: date
    reference: str
    currency: str
    due_amount: int
    due_date: date
    filed_at: date | None = None
    paid_at: date | None = None
    paid_amount: int | None = None
    discount_amount: int = 0


def avatax_id_of(document: TaxDocument) -> int:
    """AvaTax's id of a revision; staging's document key is ``<engine>:<id>``."""
    return 85_000_000_000 + document.serial * 100 + document.version


def avatax_code_of(document: TaxDocument) -> str:
    """The document code that the store's plugin gives."""
    return f"wc-{document.order_id}" + (f"-refund-{document.refund_id}" if document.is_return else "")


def taxjar_id_of(document: TaxDocument) -> str:
    """TaxJar's transaction id; staging's document key is ``<engine>:order:<id>`` or ``<engine>:refund:<id>``."""
    return str(document.refund_id if document.is_return else document.order_id)


def stripe_tax_id_of(document: TaxDocument) -> str:
    """The report's transaction id; staging's document key is ``<engine>:<id>``."""
    prefix = "re" if document.is_return else "pi"
    return document.payment_id or f"{prefix}_{document.serial:024d}"


# -- AvaTax ------------------------------------------------------------------------------------------------------------


class _RefusalError(Exception):
    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body


Endpoint = Callable[[Request], Awaitable[Response]]


def _guarded(answer: Callable[[Request], Any]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            status, body = 200, answer(request)
        except _RefusalError as refusal:
            status, body = refusal.status, refusal.body
        return Response(_JSON.encode(body), status_code=status, media_type="application/json")

    return endpoint


def _avatax_error(status: int, code: str, message: str) -> _RefusalError:
    details = [{"code": code, "message": message, "faultCode": "Client", "severity": "Error"}]
    return _RefusalError(status, {"error": {"code": code, "message": message, "target": "Unknown", "details": details}})


def create_avatax_app(
    documents: Sequence[TaxDocument], *, company_code: str, account_id: str, license_key: str, now: datetime
) -> Starlette:
    """``GET /api/v2/companies/{company}/transactions`` as AvaTax answers it.

    Args:
        documents: all revisions, in any order.
        company_code: the only company of the account.
        account_id: user of Basic authentication.
        license_key: its password.
        now: end of the simulated time; without a date in the filter the 30 days before it are listed.
    """
    bodies = [_avatax_body(document) for document in sorted(documents, key=avatax_id_of)]

    def answer(request: Request) -> Any:
        if not _is_basic(request, account_id, license_key):
            raise _avatax_error(401, "AuthenticationException", "Authentication failed.")
        company = unquote(request.path_params["company"])
        for character in "/+?%#":
            company = company.replace(f"_-ava{ord(character):02x}-_", character)
        if company != company_code:
            raise _avatax_error(404, "EntityNotFoundError", f"Company with code '{company}' not found.")
        query = request.query_params
        conditions = _conditions(query.get("$filter", ""))
        if not any(name == "date" for name, _, _ in conditions):
            conditions.append(("date", "ge", (now - timedelta(days=30)).date().isoformat()))
        found = [body for body in bodies if all(_holds(body, *condition) for condition in conditions)]
        field, _, direction = query.get("$orderBy", "id ASC").partition(" ")
        if bodies and field not in bodies[0]:
            raise _avatax_error(400, "InvalidOrderBy", f"The field '{field}' cannot be sorted.")
        found.sort(key=lambda body: body[field], reverse=direction.upper() == "DESC")
        top, skip = _number(query.get("$top", "0")) or _MAX_TOP, _number(query.get("$skip", "0"))
        page = found[skip : skip + min(top, _MAX_TOP)]
        include = {part.strip().casefold() for part in query.get("$include", "").split(",")}
        shown = page if include & {"summary", "summaryonly"} else [{**body, "summary": None} for body in page]
        answered: dict[str, Any] = {"@recordsetCount": len(found), "value": shown}
        if skip + len(page) < len(found):
            link = request.url.include_query_params(**{"$skip": skip + len(page)})
            answered["@nextLink"] = str(link)
        return answered

    return Starlette(routes=[Route("/api/v2/companies/{company}/transactions", _guarded(answer))])


def _is_basic(request: Request, user: str, password: str) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        given = base64.b64decode(token, validate=True)
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(given, f"{user}:{password}".encode())


def _number(written: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", written):
        raise _avatax_error(400, "InvalidParameter", f"'{written}' is not a whole number.")
    return int(written)


def _conditions(written: str) -> list[tuple[str, str, str]]:
    conditions = []
    for part in filter(None, re.split(r" and ", written, flags=re.IGNORECASE)):
        match = _CONDITION.fullmatch(part.strip())
        if match is None or match[1] not in ("date", "modifiedDate", "status", "type", "code", "id"):
            raise _avatax_error(400, "InvalidFilter", f"The filter '{part}' cannot be read.")
        conditions.append((match[1], match[2], match[3]))
    return conditions


def _holds(body: dict[str, Any], name: str, operator: str, value: str) -> bool:
    held = str(body[name])
    results = {
        "eq": held == value, "ne": held != value, "gt": held > value, "ge": held >= value,
        "lt": held < value, "le": held <= value,
    }  # fmt: skip
    return results[operator]


def _avatax_body(document: TaxDocument) -> dict[str, Any]:
    def amount(minor: int) -> Decimal:
        return major(minor, document.currency)

    exempt = max((split.exempt for split in document.splits), key=abs, default=document.amount)
    main = document.splits[0] if document.splits else None
    modified = datetime.fromtimestamp(document.modified or document.at, UTC)
    return {
        "id": avatax_id_of(document),
        "code": avatax_code_of(document),
        "companyId": 7_801_234,
        "date": document.day.isoformat(),
        "status": document.status,
        "type": "ReturnInvoice" if document.is_return else "SalesInvoice",
        "batchCode": "",
        "currencyCode": document.currency,
        "exchangeRateCurrencyCode": document.currency,
        "customerUsageType": "",
        "customerCode": f"guest-{document.order_id}",
        "exemptNo": "",
        "reconciled": False,
        "purchaseOrderNo": "",
        "referenceCode": f"Refund of order {document.order_id}" if document.is_return else "",
        "totalAmount": amount(document.amount),
        "totalExempt": amount(exempt),
        "totalDiscount": Decimal(0),
        "totalTax": amount(document.tax),
        "totalTaxable": amount(document.amount - exempt),
        "totalTaxCalculated": amount(document.tax),
        "adjustmentReason": "NotAdjusted" if document.version == 1 else "SourcingIssue",
        "locked": document.locked,
        "region": main.region if main else "",
        "country": main.country if main else "",
        "version": document.version,
        "exchangeRateEffectiveDate": document.day.isoformat(),
        "exchangeRate": 1,
        "modifiedDate": modified.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3],
        "modifiedUserId": 7097,
        "taxDate": f"{document.day}T00:00:00",
        "lines": None,
        "summary": [
            {
                "country": split.country,
                "region": split.region,
                "jurisType": _AVATAX_LEVELS[split.level],
                "jurisCode": split.code,
                "jurisName": split.name,
                "taxAuthorityType": 45,
                "stateAssignedNo": "",
                "taxType": "Sales",
                "taxName": split.tax_name,
                "rateType": "General",
                "taxable": amount(split.taxable),
                "rate": Decimal(split.rate) / RATE_SCALE,
                "tax": amount(split.tax),
                "taxCalculated": amount(split.tax),
                "nonTaxable": Decimal(0),
                "exemption": amount(split.exempt),
            }
            for split in document.splits
        ],
    }


# -- TaxJar ------------------------------------------------------------------------------------------------------------


def _taxjar_error(status: int, error: str, detail: str) -> _RefusalError:
    return _RefusalError(status, {"status": status, "error": error, "detail": detail})


def create_taxjar_app(documents: Sequence[TaxDocument], *, api_token: str, provider: str = "woo") -> Starlette:
    """``GET /v2/transactions/orders``, ``…/refunds`` and one of each, as TaxJar answers them.

    Only documents that count are there: a cancelled one was deleted, of several revisions the last holds.

    Args:
        documents: in any order.
        api_token: opens the account, as bearer or token.
        provider: where the transactions were recorded; other providers have none.
    """
    current: dict[tuple[bool, str], TaxDocument] = {}
    for document in sorted(documents, key=lambda one: (one.serial, one.version)):
        current[document.is_return, taxjar_id_of(document)] = document
    there = {key: document for key, document in current.items() if document.status == "Committed"}

    def check(request: Request) -> str:
        given = request.headers.get("authorization", "")
        if given not in (f"Bearer {api_token}", f'Token token="{api_token}"'):
            detail = f"Not authorized for route '{request.method} {request.url.path}'"
            raise _taxjar_error(401, "Unauthorized", detail)
        if (kind := request.path_params["kind"]) not in ("orders", "refunds"):
            raise _taxjar_error(404, "Not Found", f"No such route '{request.url.path}'")
        return kind

    def listed(request: Request) -> Any:
        kind = check(request)
        query = request.query_params
        first, last = (_taxjar_day(query.get(f"{end}_transaction_date")) for end in ("from", "to"))
        ids = [
            identity
            for (is_return, identity), document in there.items()
            if is_return == (kind == "refunds")
            and query.get("provider", "api") == provider
            and (first is None or document.day >= first)
            and (last is None or document.day <= last)
        ]
        return {kind: ids}

    def one(request: Request) -> Any:
        kind, identity = check(request), request.path_params["identity"]
        document = there.get((kind == "refunds", identity))
        if document is None or request.query_params.get("provider", "api") != provider:
            raise _taxjar_error(404, "Not Found", "Resource can not be found")
        return {kind[:-1]: _taxjar_body(document, provider)}

    return Starlette(
        routes=[
            Route("/v2/transactions/{kind}", _guarded(listed)),
            Route("/v2/transactions/{kind}/{identity}", _guarded(one)),
        ]
    )


def _taxjar_day(written: str | None) -> date | None:
    if written is None:
        return None
    try:
        return date.fromisoformat(written.replace("/", "-"))
    except ValueError:
        raise _taxjar_error(400, "Bad Request", f"{written} is not a date") from None


def _taxjar_amount(minor: int, currency: str) -> str:
    """As TaxJar writes it: no needless zeros, but one digit behind the point."""
    written = text(minor, currency)
    whole, _, digits = written.partition(".")
    return f"{whole}.{digits.rstrip('0') or '0'}"


def _taxjar_body(document: TaxDocument, provider: str) -> dict[str, Any]:
    def amount(minor: int) -> str:
        return _taxjar_amount(minor, document.currency)

    main = document.splits[0] if document.splits else None
    item = document.amount - document.shipping
    return {
        "transaction_id": taxjar_id_of(document),
        "user_id": 10649,
        "transaction_date": f"{document.day}T00:00:00.000Z",
        "transaction_reference_id": str(document.order_id) if document.is_return else None,
        "provider": provider,
        "exemption_type": None if document.tax else "other",
        "from_country": "US",
        "from_zip": "07001",
        "from_state": "NJ",
        "to_country": main.country if main else "US",
        "to_zip": "10118",
        "to_state": main.region if main else None,
        "to_city": "NEW YORK",
        "to_street": None,
        "amount": amount(document.amount),
        "shipping": amount(document.shipping),
        "sales_tax": amount(document.tax),
        "line_items": [
            {
                "id": "1",
                "quantity": 1,
                "product_identifier": "SKU-1",
                "product_tax_code": None,
                "description": "Goods",
                "unit_price": amount(item),
                "discount": "0.0",
                "sales_tax": amount(document.tax),
            }
        ],
    }


# -- files -------------------------------------------------------------------------------------------------------------

#: The default columns of tax.transactions.itemized.2 that carry tax, and the metadata column of the order.
STRIPE_COLUMNS: Final = (
    "id",
    "line_item_id",
    "type",
    "transaction_date",
    "tax_date",
    "currency",
    "country_code",
    "state_code",
    "jurisdiction_level",
    "jurisdiction_name",
    "tax_name",
    "tax_rate",
    "tax_code",
    "taxability",
    "taxability_reason",
    "quantity",
    "subtotal",
    "taxable_amount",
    "non_taxable_amount",
    "tax_amount",
    "total",
    "filing_currency",
    "filing_exchange_rate",
    "filing_tax_amount",
    "tax_transaction_metadata[order_id]",
)
REMITTANCE_COLUMNS: Final = (
    "jurisdiction",
    "period_start",
    "period_end",
    "reference",
    "filed_at",
    "due_date",
    "paid_at",
    "currency",
    "due_amount",
    "discount_amount",
    "paid_amount",
)


def write_stripe_report(documents: Iterable[TaxDocument], folder: Path) -> list[Path]:
    """Stripe's itemised tax report, one CSV file for each month; the same documents give the same bytes."""
    months: dict[str, list[TaxDocument]] = {}
    for document in sorted(documents, key=lambda one: (one.at, one.serial)):
        if document.status == "Committed":
            months.setdefault(f"{document.day:%Y-%m}", []).append(document)
    return [
        write_csv(
            folder / f"tax.transactions.itemized.2_{month}.csv",
            STRIPE_COLUMNS,
            [row for document in found for row in _stripe_rows(document)],
        )
        for month, found in sorted(months.items())
    ]


def _stripe_rows(document: TaxDocument) -> list[dict[str, str]]:
    def amount(minor: int) -> str:
        return text(minor, document.currency)

    common = {
        "id": stripe_tax_id_of(document),
        "line_item_id": f"tax_li_{document.serial:016d}",
        "type": "refund" if document.is_return else "payment_intent",
        "transaction_date": datetime.fromtimestamp(document.at, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "tax_date": document.day.isoformat(),
        "currency": document.currency.lower(),
        "tax_code": "txcd_99999999",
        "quantity": "1",
        "subtotal": amount(document.amount),
        "filing_currency": document.currency.lower(),
        "filing_exchange_rate": "1",
        "tax_transaction_metadata[order_id]": str(document.order_id),
    }
    if not document.splits:
        return [
            {
                **common,
                "taxability": "non_taxable",
                "taxability_reason": "not_collecting",
                "taxable_amount": amount(0),
                "non_taxable_amount": amount(document.amount),
                "tax_amount": amount(0),
                "total": amount(document.amount),
                "filing_tax_amount": amount(0),
            }
        ]
    return [
        {
            **common,
            "country_code": split.country,
            "state_code": split.region,
            "jurisdiction_level": split.level,
            "jurisdiction_name": split.name,
            "tax_name": split.tax_name,
            "tax_rate": format(Decimal(split.rate) / RATE_SCALE, "f"),
            "taxability": "taxable" if split.tax else "non_taxable",
            "taxability_reason": "standard_rated" if split.tax else "not_subject_to_tax",
            "taxable_amount": amount(split.taxable),
            "non_taxable_amount": amount(split.exempt),
            "tax_amount": amount(split.tax),
            "total": amount(document.amount + split.tax),
            "filing_tax_amount": amount(split.tax),
        }
        for split in document.splits
    ]


def write_remittances(remittances: Iterable[Remittance], folder: Path) -> list[Path]:
    """Filed returns as CSV, one file for each quarter of their periods; the same returns give the same bytes."""
    quarters: dict[str, list[dict[str, str]]] = {}
    for one in sorted(remittances, key=lambda one: (one.period_start, one.jurisdiction, one.reference)):
        quarter = f"{one.period_start.year}-q{(one.period_start.month + 2) // 3}"
        quarters.setdefault(quarter, []).append(
            {
                "jurisdiction": one.jurisdiction,
                "period_start": one.period_start.isoformat(),
                "period_end": one.period_end.isoformat(),
                "reference": one.reference,
                "filed_at": one.filed_at.isoformat() if one.filed_at else "",
                "due_date": one.due_date.isoformat(),
                "paid_at": one.paid_at.isoformat() if one.paid_at else "",
                "currency": one.currency,
                "due_amount": text(one.due_amount, one.currency),
                "discount_amount": text(one.discount_amount, one.currency),
                "paid_amount": "" if one.paid_amount is None else text(one.paid_amount, one.currency),
            }
        )
    return [
        write_csv(folder / f"returns_{quarter}.csv", REMITTANCE_COLUMNS, rows)
        for quarter, rows in sorted(quarters.items())
    ]


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, str]]) -> Path:
    """A CSV file that appears under its name only when it is whole; columns that a row lacks are empty."""
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(written.getvalue(), encoding="utf-8", newline="")
    return unfinished.replace(path)
