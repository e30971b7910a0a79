"""The settlement files' part in the acceptance suite: an acquirer nobody has written code for."""

from collections.abc import Mapping
from pathlib import Path

from retail_assets.sandbox import settlement_file
from tests.sandbox.test_adyen import LEDGER
from tests.sources.acceptance import FileCase


def _drop(folder: Path) -> None:
    settlement_file.write_files(LEDGER, folder)


def _expected() -> Mapping[str, int]:
    return {"lines": len(LEDGER.movements)}


CASES = [
    FileCase(
        variant="settlement_file",
        section="gateways",
        drop=_drop,
        block={
            "id": "acquirer_eu",
            "system": "settlement_file",
            "entity": "DE",
            "bank": "bank_de",
            "folder": "acquirer_eu",
            "mapping": settlement_file.ACQUIRER_MAPPING,
            "stores": [{"store": "linden_de"}],
        },
        expected=_expected,
        keeps_every_file=True,
    )
]
