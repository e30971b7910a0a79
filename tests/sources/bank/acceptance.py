"""The banks' part in the acceptance suite: three days of one account in each format."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from retail_assets.sandbox import bank as sandbox
from retail_assets.sandbox.profiles import BANKS
from tests.sources.acceptance import FileCase

_BANK = BANKS["bank_de"]
_DAYS = (date(2026, 11, 2), date(2026, 11, 3), date(2026, 11, 4))


def _entry(amount: int, day: date, text: str, **more: Any) -> sandbox.BankEntry:
    return sandbox.BankEntry(amount, day, day, "NOTPROVIDED", text, "Stripe Payments", **more)


_ENTRIES = [
    _entry(120_050, _DAYS[0], "STRIPE PAYOUT po_1"),
    _entry(-310_000, _DAYS[0], "Rent 11/2026"),
    _entry(4_999, _DAYS[1], "STRIPE TRANSFER"),
    _entry(-2_000, _DAYS[1], "Electricity"),
    _entry(2_000, _DAYS[2], "Direct debit returned: Electricity", is_reversal=True),
]
_STATEMENTS = sandbox.make_statements(_BANK, _ENTRIES, _DAYS[0], _DAYS[-1])


def _drop_camt(folder: Path) -> None:
    for statement in _STATEMENTS:
        sandbox.write_statement(statement, folder)


def _drop_mt940(folder: Path) -> None:
    for statement in _STATEMENTS:
        sandbox.write_mt940(statement, folder)


def _drop_ofx(folder: Path) -> None:
    """Two downloads that share a day."""
    sandbox.write_ofx(_STATEMENTS[:2], folder)
    sandbox.write_ofx(_STATEMENTS[1:], folder)


def _drop_csv(folder: Path) -> None:
    """Two exports that share a day."""
    sandbox.write_csv(_STATEMENTS[:2], folder)
    sandbox.write_csv(_STATEMENTS[1:], folder)


def _block(name: str, **parts: Any) -> Mapping[str, Any]:
    account = {"account": _BANK.account, "currency": _BANK.currency}
    return {"id": "bank_de", "entity": "DE", "format": name, "folder": "bank_de", **account, **parts}


def _case(name: str, drop: Any, **parts: Any) -> FileCase:
    # Each day is a statement; an entry that books one payment has no details beside itself.
    expected = {"statements": len(_DAYS), "entries": len(_ENTRIES)}
    return FileCase(variant=name, section="banks", drop=drop, block=_block(name, **parts), expected=lambda: expected)


CASES = [
    _case("camt.053", _drop_camt),
    _case("mt940", _drop_mt940),
    _case("ofx", _drop_ofx),
    _case("csv", _drop_csv, mapping=sandbox.CSV_MAPPING),
]
