"""A small set of books in the simulated ERPNext, and entries for it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from retail_assets.erp.erpnext import ErpNextPoster, TokenAuth
from retail_assets.erp.protocol import JournalEntry, JournalLine
from retail_assets.http import HttpClient
from retail_assets.sandbox.erpnext import Fault, create_app
from tests.support.server import running

KEY, SECRET = "key", "secret"
US, DE = "Cedar & Pine LLC", "Lindenhof GmbH"
_CHART = (
    ("1100", "Web Customers", "Asset", "Receivable", 0),
    ("1250", "Stripe Clearing", "Asset", "", 0),
    ("2100", "Creditors", "Liability", "Payable", 0),
    ("4000", "Sales", "Income", "Income Account", 0),
    ("5000", "All Expenses", "Expense", "", 1),
    ("6100", "Payment Fees", "Expense", "Expense Account", 0),
    ("6910", "Rounding", "Expense", "Round Off", 0),
)
SEED: Mapping[str, Any] = {
    "companies": [
        {"name": US, "abbr": "CP", "currency": "USD", "country": "US"},
        {"name": DE, "abbr": "LH", "currency": "EUR", "country": "DE"},
    ],
    "accounts": [
        {
            "company": company,
            "account_number": number,
            "account_name": name,
            "root_type": root,
            "account_type": kind,
            "account_currency": currency,
            "is_group": group,
        }
        for company, currency in ((US, "USD"), (DE, "EUR"))
        for number, name, root, kind, group in _CHART
    ]
    + [
        {
            "company": US,
            "account_number": "1251",
            "account_name": "Stripe Clearing EUR",
            "root_type": "Asset",
            "account_type": "",
            "account_currency": "EUR",
            "is_group": 0,
        }
    ],
    "exchange_rates": [
        {"date": "2026-01-01", "from_currency": "EUR", "to_currency": "USD", "exchange_rate": "1.087"},
        {"date": "2026-06-01", "from_currency": "EUR", "to_currency": "USD", "exchange_rate": "1.1"},
    ],
    "sales_invoices": [
        {
            "company": US,
            "customer": "Wholesale Inc",
            "posting_date": "2026-03-01",
            "currency": "USD",
            "grand_total": "120.50",
            "po_no": "PO-1",
            "is_return": 0,
            "return_against": None,
        },
        {
            "company": US,
            "customer": "Wholesale Inc",
            "posting_date": "2026-03-05",
            "currency": "USD",
            "grand_total": "-20.50",
            "po_no": "PO-1",
            "is_return": 1,
            "return_against": "PO-1",
        },
    ],
}


@dataclass(frozen=True)
class Erp:
    """A running simulated ERPNext and a poster for it."""

    url: str
    app: Starlette
    poster: ErpNextPoster

    def fault(self, **fault: Any) -> None:
        self.app.state.faults.waiting.append(Fault(**fault))

    def client(self, **options: Any) -> HttpClient:
        return client(self.url, **options)

    def get(self, path: str, **params: Any) -> Any:
        http = self.client()
        answer = http.get(path, params).json()
        http.close()
        return answer.get("data", answer.get("message"))

    def entries(self) -> list[dict[str, Any]]:
        """Every Journal Entry of the site."""
        return self.app.state.site.find(
            "Journal Entry",
            fields=["name", "docstatus", "company", "posting_date"],
            filters=None,
            order_by="name asc",
            start=0,
            length=0,
        )


def client(url: str, *, retries: int = 1, timeout: float = 10, secret: str = SECRET) -> HttpClient:
    return HttpClient(url, auth=TokenAuth(KEY, secret), retries=retries, timeout=timeout)


@contextmanager
def running_erp(folder: Path, *, prepared: bool = True, timeout: float = 10) -> Iterator[Erp]:
    """The simulated ERPNext over HTTP, with its state in ``folder``."""
    app = create_app(folder / "erp.sqlite", SEED, KEY, SECRET)
    with running(app) as url:
        http = client(url, timeout=timeout)
        poster = ErpNextPoster(http, base_url=url)
        if prepared:
            poster.prepare()
        yield Erp(url, app, poster)
        poster.close()
    app.state.site.close()


def line(account: str, debit: str = "0", credit: str = "0", currency: str = "USD", rate: str = "1") -> JournalLine:
    """A line whose base amounts are its amounts times the rate, to the cent."""

    def base(amount: str) -> Decimal:
        return (Decimal(amount) * Decimal(rate)).quantize(Decimal("0.01"))

    return JournalLine(
        account_code=account,
        debit=Decimal(debit),
        credit=Decimal(credit),
        currency_code=currency,
        base_debit=base(debit),
        base_credit=base(credit),
        exchange_rate=Decimal(rate),
        memo="a line",
    )


SALE_LINES = (line("1100", debit="33.33"), line("4000", credit="30.00"), line("6100", credit="3.33"))


def entry(key: str = "sale/cedar_us:1001#1", *lines: JournalLine, day: date = date(2026, 3, 15)) -> JournalEntry:
    return JournalEntry(
        key=key,
        entity_code="US",
        company=US,
        posting_date=day,
        base_currency_code="USD",
        memo="Sale 1001",
        lines=lines or SALE_LINES,
    )
