"""Stripe's part in the acceptance suite: an account of the simulated retailer."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from starlette.types import ASGIApp

from retail_assets.sandbox import stripe
from retail_assets.sandbox.generator import DEFAULT_AS_OF
from retail_assets.sandbox.profiles import GATEWAYS
from tests.sources.acceptance import ApiCase, FileCase, small_world

_ACCOUNT = "stripe_us"
_KEY = "sk_test_acceptance-canary"


def _state() -> Path:
    return small_world() / "sandbox" / f"{_ACCOUNT}.sqlite"


def sandbox_account(key: str = _KEY) -> ASGIApp:
    """The account, for whoever has the key."""
    return stripe.create_app(_state(), GATEWAYS[_ACCOUNT], key, int(DEFAULT_AS_OF.timestamp()))


def _app(_: Path) -> ASGIApp:
    return sandbox_account()


def _expected() -> Mapping[str, int]:
    with closing(sqlite3.connect(_state())) as state:

        def count(table: str, where: str = "true") -> int:
            return state.execute(f"select count(*) from {table} where {where}").fetchone()[0]

        tables = ("balance_transactions", "charges", "refunds", "disputes", "payouts")
        found = {
            **{table: number for table in tables if (number := count(table))},
            "payout_transactions": count("balance_transactions", "payout is not null and type <> 'payout'"),
            "payment_intents": count("(select distinct payment_intent from charges where payment_intent is not null)"),
            "fee_details": count("balance_transactions", "body not like '%\"fee_details\":[]%'"),
            "dispute_transactions": count("balance_transactions", "source like 'dp_%'"),
            "balances": 1,
            "balance_history": 1,
        }
        return {table: number for table, number in found.items() if number}


def _drop(folder: Path) -> None:
    stripe.write_reports(_state(), folder, own_rows=False)


def _expected_of_reports() -> Mapping[str, int]:
    with closing(sqlite3.connect(_state())) as state:
        query = "select count(*) from balance_transactions where payout is not null and type <> 'payout'"
        return {"report_lines": state.execute(query).fetchone()[0]}


CASES = [
    ApiCase(
        variant="stripe",
        section="gateways",
        app=_app,
        block={
            "id": _ACCOUNT,
            "system": "stripe",
            "entity": "US",
            "bank": "bank_us",
            "api_key": _KEY,
            "stores": [{"store": "cedar_us"}],
        },
        wrong={"api_key": "sk_test_wrong-canary"},
        expected=_expected,
    ),
    FileCase(
        variant="stripe_reports",
        section="gateways",
        drop=_drop,
        block={
            "id": "stripe_files",
            "system": "stripe_reports",
            "entity": "US",
            "bank": "bank_us",
            "folder": "stripe_files",
            "stores": [{"store": "cedar_us"}],
        },
        expected=_expected_of_reports,
    ),
]
