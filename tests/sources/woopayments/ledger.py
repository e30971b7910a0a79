"""A small WooPayments ledger with everything that can happen, and an account that serves it."""

from datetime import date
from typing import Any, Final

from retail_assets.sandbox.ledgers import GatewayLedger, LedgerPayout, Movement
from retail_assets.settings import Gateway, instance_of

KEY: Final = "ck_canary-key"
SECRET: Final = "cs_canary-secret"
DAY: Final = 86_400
#: 2026-09-01 10:00 UTC.
OPENED: Final = 1_788_256_800
NOW: Final = 1_793_880_000

LEDGER: Final = GatewayLedger(
    gateway_id="woopayments_us",
    currency="USD",
    zone="UTC",
    reference_prefix="",
    movements=(
        Movement(1, "sale", OPENED, 10_000, 320, 11, "1011", "wc_order_a", "a@example.com", "US", payout=1),
        Movement(2, "sale", OPENED, 5_000, 175, 12, "1012", "wc_order_b", "b@example.com", "US", payout=1),
        Movement(3, "refund", OPENED + DAY, -2_000, 0, 11, "1011", refund_of=1, payout=1),
        Movement(4, "fee", OPENED + 2 * DAY, -250, 0, description="Reader fee", payout=1),
        Movement(5, "sale", OPENED + 40 * DAY, 7_000, 233, 13, "1013", "wc_order_c", "c@example.com", "US", payout=2),
        Movement(6, "chargeback", OPENED + 41 * DAY, -5_000, 1_500, 12, "1012", refund_of=2, payout=2),
        Movement(7, "chargeback_reversal", OPENED + 60 * DAY, 5_000, 0, 12, "1012", refund_of=2),
        Movement(8, "sale", OPENED + 61 * DAY, 900, 56, 14, "1014", "wc_order_d", "d@example.com", "US"),
    ),
    payouts=(
        LedgerPayout(1, OPENED + 3 * DAY, date(2026, 9, 6), 12_255),
        LedgerPayout(2, OPENED + 44 * DAY, date(2026, 10, 17), 267),
    ),
)


def settings_for(url: str, **changes: Any) -> Gateway:
    """The account as retail.yaml would have it."""
    return instance_of(
        "gateways",
        {
            "id": "woopayments_us",
            "system": "woopayments",
            "entity": "US",
            "bank": "bank_us",
            "base_url": url,
            "consumer_key": KEY,
            "consumer_secret": SECRET,
            "stores": [{"store": "cedar_us", "payment_method": "woocommerce_payments"}],
            "retries": 0,
            "requests_per_second": 1000,
        }
        | changes,
    )
