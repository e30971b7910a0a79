"""Adyen's part in the acceptance suite: the reports of a small ledger."""

from collections.abc import Mapping
from pathlib import Path

from retail_assets.sandbox import adyen
from tests.sandbox.test_adyen import LEDGER
from tests.sources.acceptance import FileCase


def _drop(folder: Path) -> None:
    adyen.write_files(LEDGER, folder)


def _expected() -> Mapping[str, int]:
    return {"settlement_details": len(LEDGER.movements) + len(LEDGER.payouts), "batches": len(LEDGER.payouts)}


CASES = [
    FileCase(
        variant="adyen",
        section="gateways",
        drop=_drop,
        block={
            "id": "adyen_eu",
            "system": "adyen",
            "entity": "DE",
            "bank": "bank_de",
            "folder": "adyen_eu",
            "stores": [{"store": "shop_de"}],
        },
        expected=_expected,
    )
]
