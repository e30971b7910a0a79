"""The tax engines' part in the acceptance suite."""

from pathlib import Path
from typing import Any

from retail_assets.sandbox.tax import create_avatax_app, create_taxjar_app, write_remittances, write_stripe_report
from tests.sources.acceptance import ApiCase, FileCase
from tests.sources.loading import NOW
from tests.sources.tax.documents import AVATAX, COMPANY, LICENSE, TAXJAR, TOKEN, filed, some

_POISONED = "1002"


def _taxjar_records(answer: Any) -> list[list[Any]]:
    """One record is in each of TaxJar's answers; the suite spoils the last of several, here that of one order."""
    record = next(iter(answer.values())) if isinstance(answer, dict) else None
    if not isinstance(record, dict):
        return []
    return [[{}, record]] if record.get("transaction_id") == _POISONED else [[record]]


CASES = [
    ApiCase(
        variant="avatax",
        section="tax",
        app=lambda _: create_avatax_app(
            some(), company_code=COMPANY, account_id=AVATAX["account_id"], license_key=LICENSE, now=NOW
        ),
        block=AVATAX,
        wrong={"license_key": "avatax-wrong-canary"},
        expected=lambda: {"avatax_transactions": 8, "avatax_summaries": 16},
    ),
    ApiCase(
        variant="taxjar",
        section="tax",
        app=lambda _: create_taxjar_app(some(), api_token=TOKEN),
        block=TAXJAR,
        wrong={"api_token": "taxjar-wrong-canary"},
        # Five months, orders and refunds, have one row each beside the ids.
        expected=lambda: {"taxjar_transactions": 8, "taxjar_listings": 8 + 2 * 5},
        records_of=_taxjar_records,
    ),
    FileCase(
        variant="stripe_tax",
        section="tax",
        drop=lambda folder: write_stripe_report(some(), folder),
        block={"id": "stripe_tax_us", "system": "stripe_tax", "entity": "US", "folder": "stripe_tax"},
        expected=lambda: {"stripe_tax_rows": 16},
    ),
    FileCase(
        variant="remittance_file",
        section="tax",
        drop=lambda folder: write_remittances(filed(), Path(folder)),
        block={"id": "returns_us", "system": "remittance_file", "entity": "US", "folder": "returns"},
        expected=lambda: {"remittances": 3},
    ),
]
