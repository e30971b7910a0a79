"""A handful of tax documents, and the configured engines that read them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from retail_assets.sandbox.tax import Remittance, TaxDocument, TaxSplit
from retail_assets.settings import TaxEngine, instance_of
from tests.sources.loading import NOW

LICENSE = "avatax-canary-license"
TOKEN = "taxjar-canary-token"
COMPANY = "CEDAR/US + Co"


def split(level: Any, name: str, rate: int, taxable: int, tax: int, **changes: Any) -> TaxSplit:
    """Tax of one jurisdiction in the state of New York."""
    values = {"country": "US", "region": "NY", "code": name[:3], "tax_name": f"NY {level} TAX", "exempt": 0}
    return TaxSplit(**{**values, **changes}, level=level, name=name, rate=rate, taxable=taxable, tax=tax)


def sale(serial: int, day: date, net: int = 10_000, **changes: Any) -> TaxDocument:
    """A sale with tax of the state and the city, or a return when ``refund_id`` is given."""
    at = int(datetime.combine(day, datetime.min.time(), UTC).timestamp()) + 3600
    state, city = net * 4 // 100, net * 45 // 1000
    splits = (split("state", "NEW YORK", 40_000, net, state), split("city", "NEW YORK CITY", 45_000, net, city))
    values: dict[str, Any] = {"order_id": 1000 + serial, "currency": "USD", "modified": at, "splits": splits}
    return TaxDocument(**{**values, **changes}, serial=serial, at=at, day=day, amount=net)


def some(count: int = 7) -> list[TaxDocument]:
    """Sales of the last weeks, the last of which is returned in part."""
    today = NOW.date()
    sales = [sale(serial, today - timedelta(days=3 * (count - serial) + 1)) for serial in range(1, count + 1)]
    back = sale(count + 1, today - timedelta(days=1), -2_000, order_id=sales[-1].order_id, refund_id=9001)
    return [*sales, back]


def filed() -> list[Remittance]:
    """Returns of two quarters and two states; the last one is not paid yet."""
    return [
        Remittance(
            jurisdiction, start, end, reference, "USD", due, date(end.year, end.month + 1, 20),
            filed_at=date(end.year, end.month + 1, 18), paid_at=paid, paid_amount=due - discount if paid else None,
            discount_amount=discount,
        )
        for jurisdiction, start, end, reference, due, discount, paid in (
            ("US-CA", date(2026, 4, 1), date(2026, 6, 30), "CA-1", 8_800, 0, date(2026, 7, 19)),
            ("US-NY", date(2026, 7, 1), date(2026, 9, 30), "NY-1", 123_456, 500, date(2026, 10, 19)),
            ("US-CA", date(2026, 7, 1), date(2026, 9, 30), "", 9_900, 0, None),
        )
    ]  # fmt: skip


def avatax(url: str, **changes: Any) -> TaxEngine:
    """An AvaTax company as retail.yaml would have it."""
    return instance_of("tax", {**AVATAX, "base_url": url, "retries": 0, "requests_per_second": 1000, **changes})


def taxjar(url: str, **changes: Any) -> TaxEngine:
    """A TaxJar account as retail.yaml would have it."""
    return instance_of("tax", {**TAXJAR, "base_url": url, "retries": 0, "requests_per_second": 1000, **changes})


AVATAX = {
    "id": "avatax_us",
    "system": "avatax",
    "entity": "US",
    "account_id": "2000123456",
    "license_key": LICENSE,
    "company_code": COMPANY,
}
TAXJAR = {"id": "taxjar_us", "system": "taxjar", "entity": "US", "api_token": TOKEN, "start_date": "2026-08-15"}
