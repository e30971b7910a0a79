"""A small PayPal account as the neutral ledger of the sandbox, and how retail.yaml would have it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from retail_assets.sandbox.ledgers import GatewayLedger, LedgerPayout, Movement
from retail_assets.settings import Gateway, instance_of

CLIENT_ID = "AYSq3RDGsmBLJE-canary-id"
CLIENT_SECRET = "EGnHDxD_qRPdaLdZz8i-canary-secret"
NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
OPENED = int(datetime(2026, 10, 1, 16, tzinfo=UTC).timestamp())
DAY = 86_400


def ledger(sales: int = 8, currency: str = "USD") -> GatewayLedger:
    """Two sales a day, now and then a refund or a chargeback with its fee, and every second day a sweep."""
    movements: list[Movement] = []
    payouts: list[LedgerPayout] = []
    waiting = 0
    for number in range(sales):
        at = OPENED + number * DAY // 2
        sale = len(movements) + 1
        common: dict[str, Any] = {"order_id": 500 + number, "order_number": str(1000 + number)}
        movements.append(
            Movement(sale, "sale", at, 10_000 + number, 349, email="kim@example.com", country="US", **common)
        )
        if number % 5 == 4:
            movements.append(Movement(sale + 1, "refund", at + 60, -2_500, 0, refund_of=sale, **common))
        if number % 7 == 6:
            movements.append(Movement(len(movements) + 1, "chargeback", at + 120, -3_000, 1_500, refund_of=sale))
        if number % 4 == 3:
            amount = sum(movement.net for movement in movements[waiting:])
            waiting = len(movements)
            payouts.append(LedgerPayout(len(payouts) + 1, at + 3_600, date(2026, 10, 5), amount))
    return GatewayLedger("paypal_us", currency, "America/Los_Angeles", "WC-", tuple(movements), tuple(payouts))


def block(**changes: Any) -> dict[str, Any]:
    """The account as a block of retail.yaml, without its address."""
    return {
        "id": "paypal_us",
        "system": "paypal",
        "entity": "US",
        "bank": "bank_us",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "stores": [{"store": "cedar_us"}],
        **changes,
    }


def settings_for(url: str, **changes: Any) -> Gateway:
    """The account by its API."""
    fast = {"base_url": url, "retries": 0, "requests_per_second": 1000}
    return instance_of("gateways", block(**{**fast, **changes}))


def reports_block(**changes: Any) -> dict[str, Any]:
    """The account by its reports."""
    return {
        "id": "paypal_us",
        "system": "paypal_reports",
        "entity": "US",
        "bank": "bank_us",
        "folder": "paypal_us",
        "stores": [{"store": "cedar_us"}],
        **changes,
    }


def days_before(days: float) -> datetime:
    """A moment before the loading time."""
    return NOW - timedelta(days=days)
