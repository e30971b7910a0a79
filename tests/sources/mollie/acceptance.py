"""Mollie's part in the acceptance suite: the account of a small ledger."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from retail_assets.sandbox import mollie
from tests.sandbox.test_adyen import LEDGER
from tests.sources.acceptance import ApiCase

_KEY = "access_acceptance-canary"


def _app(_: Path) -> ASGIApp:
    return mollie.create_app(LEDGER, _KEY, datetime(2026, 4, 1, tzinfo=UTC))


def _records(document: Any) -> list[list[Any]]:
    return list(_lists(document))


def _lists(document: Any) -> Iterator[list[Any]]:
    if isinstance(document, dict):
        yield from document.get("_embedded", {}).values()


def _expected() -> Mapping[str, int]:
    return {
        "balance_transactions": 9,
        "balances": 1,
        "payments": 3,
        "refunds": 1,
        "chargebacks": 1,
        "settlements": 2,
        "settlement_items": 5,
        "settlement_periods": 11,
    }


CASES = [
    ApiCase(
        variant="mollie",
        section="gateways",
        app=_app,
        block={
            "id": "mollie_eu",
            "system": "mollie",
            "entity": "DE",
            "bank": "bank_de",
            "api_key": _KEY,
            "stores": [{"store": "shop_de"}],
        },
        wrong={"api_key": "access_wrong-canary"},
        expected=_expected,
        records_of=_records,
    )
]
