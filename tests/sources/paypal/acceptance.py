"""PayPal's part in the acceptance suite: one account, once by its API and once by its reports."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from starlette.types import ASGIApp

from retail_assets.sandbox import paypal
from tests.sources.acceptance import ApiCase, FileCase
from tests.sources.paypal.account import CLIENT_ID, CLIENT_SECRET, NOW, block, ledger, reports_block


def _app(_: Path) -> ASGIApp:
    return paypal.create_app(ledger(), CLIENT_ID, CLIENT_SECRET, NOW)


def _records_of(document: Any) -> list[list[Any]]:
    """What may be edited is one level down: the transaction itself."""
    details = document.get("transaction_details", []) if isinstance(document, dict) else []
    return [[detail["transaction_info"] for detail in details]]


def _drop(folder: Path) -> None:
    written = paypal.write_files(ledger(), folder, details=True)
    # One detail report is enough here, and each file costs the suite time.
    for path in [path for path in written if path.name.startswith("TRR")][1:]:
        path.unlink()


def _expected_of_api() -> Mapping[str, int]:
    return {"transactions": len(paypal.lines_of(ledger())), "balances": 1}


def _expected_of_files() -> Mapping[str, int]:
    lines = len(paypal.lines_of(ledger()))
    zone = ZoneInfo(ledger().zone)
    days = Counter(datetime.fromtimestamp(line.at, zone).date() for line in paypal.lines_of(ledger()))
    return {"report_lines": lines, "report_transactions": days[min(days)], "report_totals": 2 * len(days)}


CASES = [
    ApiCase(
        variant="paypal",
        section="gateways",
        app=_app,
        block=block(),
        wrong={"client_secret": "wrong-canary"},
        expected=_expected_of_api,
        records_of=_records_of,
    ),
    FileCase(
        variant="paypal_reports", section="gateways", drop=_drop, block=reports_block(), expected=_expected_of_files
    ),
]
