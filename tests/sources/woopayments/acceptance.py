"""WooPayments' part in the acceptance suite."""

from retail_assets.sandbox import woopayments
from tests.sources.acceptance import ApiCase, FileCase
from tests.sources.woopayments.ledger import KEY, LEDGER, NOW, SECRET

_COMMON = {
    "entity": "US",
    "bank": "bank_us",
    "stores": [{"store": "cedar_us", "payment_method": "woocommerce_payments"}],
}

CASES = [
    ApiCase(
        variant="woopayments",
        section="gateways",
        app=lambda _: woopayments.create_app(LEDGER, KEY, SECRET, NOW),
        block={
            "id": "woopayments_us",
            "system": "woopayments",
            "consumer_key": KEY,
            "consumer_secret": SECRET,
            **_COMMON,
        },
        wrong={"consumer_secret": "cs_wrong-canary"},
        expected=lambda: {"transactions": 8, "deposits": 2, "disputes": 1, "balances": 1},
    ),
    FileCase(
        variant="woopayments_reports",
        section="gateways",
        drop=lambda folder: woopayments.write_files(LEDGER, folder),
        block={"id": "woopayments_files", "system": "woopayments_reports", "folder": "woopayments_files", **_COMMON},
        expected=lambda: {"report_lines": 8},
    ),
]
