"""WooCommerce's part in the acceptance suite: one store of the simulated retailer."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from starlette.types import ASGIApp

from retail_assets.contracts import tables_of
from retail_assets.sandbox import woocommerce
from retail_assets.sandbox.profiles import STORES
from tests.sources.acceptance import ApiCase, small_world

_STORE = "cedar_us"
_KEY, _SECRET = "ck_acceptance-canary", "cs_acceptance-canary"
_DOCUMENTS = {
    "products": "products",
    "variations": "product_variations",
    "customers": "customers",
    "taxes": "tax_rates",
}


def _state() -> Path:
    return small_world() / "sandbox" / f"{_STORE}.sqlite"


def _app(_: Path) -> ASGIApp:
    return woocommerce.create_app(_state(), STORES[_STORE], _KEY, _SECRET)


def _expected() -> Mapping[str, int]:
    with closing(sqlite3.connect(_state())) as state:
        documents = dict(state.execute("select resource, count(*) from documents group by resource"))
        bodies = {
            table: [json.loads(body) for (body,) in state.execute(f"select body from {table}")]
            for table in ("orders", "refunds")
        }
    found = {table: documents.get(resource, 0) for resource, table in _DOCUMENTS.items()}
    found |= {table: len(records) for table, records in bodies.items()}
    for child in tables_of("woocommerce"):
        if child.parent and child.list_path:
            found[child.name] = sum(len(record.get(child.list_path, ())) for record in bodies[child.parent])
    # The first load notes itself as one.
    found["order_sweeps"] = 1
    return {table: number for table, number in found.items() if number}


CASES = [
    ApiCase(
        variant="woocommerce",
        section="stores",
        app=_app,
        block={
            "id": _STORE,
            "system": "woocommerce",
            "name": "Cedar",
            "entity": "US",
            "consumer_key": _KEY,
            "consumer_secret": _SECRET,
        },
        wrong={"consumer_secret": "cs_wrong-canary"},
        expected=_expected,
        own_times=("swept_at",),
    )
]
