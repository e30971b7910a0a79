"""Klarna's part in the acceptance suite: the account of a small ledger."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from starlette.types import ASGIApp

from retail_assets.sandbox import klarna
from tests.sandbox.test_adyen import LEDGER
from tests.sources.acceptance import ApiCase, FileCase

_KEY = "klarna_acceptance-canary"
_NOW = datetime(2026, 4, 1, tzinfo=UTC)


def _app(_: Path) -> ASGIApp:
    return klarna.create_app(LEDGER, "user", _KEY, _NOW)


def _expected() -> Mapping[str, int]:
    return {"payouts": 2, "transactions": 11}


CASES = [
    ApiCase(
        variant="klarna",
        section="gateways",
        app=_app,
        block={
            "id": "klarna_eu",
            "system": "klarna",
            "entity": "DE",
            "bank": "bank_de",
            "username": "user",
            "password": _KEY,
            "stores": [{"store": "shop_de"}],
        },
        wrong={"password": "klarna_wrong-canary"},
        expected=_expected,
    ),
    FileCase(
        variant="klarna_reports",
        section="gateways",
        drop=lambda folder: klarna.write_reports(LEDGER, folder, _NOW),
        block={
            "id": "klarna_files",
            "system": "klarna_reports",
            "entity": "DE",
            "bank": "bank_de",
            "folder": "klarna_files",
            "stores": [{"store": "shop_de"}],
        },
        expected=lambda: {"report_lines": 11},
    ),
]
