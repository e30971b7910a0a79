"""Stripe's part in the acceptance suite: an account of the simulated retailer."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from starlette.types import ASGIApp

from retail_assets.sandbox import stripe
from retail_assets.sandbox.generator import DEFAULT_AS_OF
from retail_assets.sandbox.profiles import GATEWAYS
from tests.sources.acceptance import ApiCase, small_world

_ACCOUNT = "stripe_us"
_KEY = "sk_test_acceptance-canary"


def _app(_: Path) -> ASGIApp:
    state = small_world() / "sandbox" / f"{_ACCOUNT}.sqlite"
    return stripe.create_app(state, GATEWAYS[_ACCOUNT], _KEY, int(DEFAULT_AS_OF.timestamp()))


def _expected() -> Mapping[str, int]:
    with closing(sqlite3.connect(small_world() / "sandbox" / f"{_ACCOUNT}.sqlite")) as state:

        def count(table: str, where: str = "true") -> int:
            return state.execute(f"select count(*) from {table} where {where}").fetchone()[0]

        tables = ("balance_transactions", "charges", "refunds", "disputes", "payouts")
        return {
            **{table: number for table in tables if (number := count(table))},
            "payout_transactions": count("balance_transactions", "payout is not null and type <> 'payout'"),
            "balances": 1,
        }


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
    )
]
