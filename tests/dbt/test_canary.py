"""The fence around canaries: no model of the books can read one, whatever is in it."""

import json
from typing import Any

import pytest

from tests.dbt.compiled import Compiled

#: All that may know of a synthetic order. What reads the mart of exceptions is told of late ones, not of orders.
KNOWS = {"int_canaries_travelled", "mon_canaries", "int_exceptions_canaries", "rec_exceptions"}
#: Of what stores say of orders, all that reads it as it came.
READS_RAW_ORDERS = {
    "stg_woocommerce__orders",
    "stg_woocommerce__orders_held",
    "stg_woocommerce__canary_orders",
    "stg_woocommerce__shipments",
}


@pytest.fixture(scope="module")
def manifest(project: Compiled) -> dict[str, Any]:
    return json.loads((project.warehouse.home / "dbt" / "manifest.json").read_text(encoding="utf-8"))


def test_no_model_of_the_books_descends_from_a_canary(manifest: dict[str, Any]) -> None:
    """A join added in good faith brought a synthetic order one step nearer to the ERP."""
    below = manifest["child_map"]
    reached, waiting = set(), ["model.retail.stg_woocommerce__canary_orders"]
    while waiting:
        found = {child for child in below[waiting.pop()] if child.startswith("model.")} - reached
        reached |= found
        waiting += found
    names = {key.rpartition(".")[2] for key in reached}
    assert KNOWS - {"rec_exceptions"} <= names
    beyond = {name for name in names if name.startswith(("acc_", "fct_", "dim_", "int_")) and name not in KNOWS}
    assert beyond == set()


def test_orders_come_through_the_fence_only(manifest: dict[str, Any]) -> None:
    """A new model read the raw orders, canaries among them."""
    readers = manifest["child_map"]["source.retail.woocommerce.orders"]
    assert {key.rpartition(".")[2] for key in readers if key.startswith("model.")} == READS_RAW_ORDERS
