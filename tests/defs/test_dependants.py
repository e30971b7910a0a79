"""Who reads a field of a source."""

from typing import Any

from retail_assets.contracts import table
from retail_assets.defs.transform.dependants import dependants, read_manifest

MANIFEST: dict[str, Any] = {
    "child_map": {
        "source.retail.woocommerce.orders": ["model.retail.stg_orders", "test.retail.x"],
        "source.retail.woocommerce.order_lines": ["model.retail.stg_lines"],
        "model.retail.stg_orders": ["model.retail.int_orders"],
        "model.retail.int_orders": ["model.retail.fct_orders", "model.retail.dim_customers"],
        "model.retail.stg_lines": ["model.retail.fct_orders"],
    },
    "nodes": {
        f"model.retail.{name}": {"name": name, "schema": schema, "raw_code": code}
        for name, schema, code in (
            ("stg_orders", "staging", "select id, total, billing_email from …"),
            ("stg_lines", "staging", "select sku from …"),
            ("int_orders", "intermediate", "…"),
            ("fct_orders", "marts", "…"),
            ("dim_customers", "marts", "…"),
        )
    },
}
ORDERS = table("woocommerce", "orders")


def test_readers_come_before_the_marts_behind_them() -> None:
    """A dropped field is reported without saying whose figures it takes."""
    assert dependants(MANIFEST, ORDERS, "total") == ["stg_orders", "dim_customers", "fct_orders"]
    assert dependants(MANIFEST, ORDERS, "billing") == ["stg_orders", "dim_customers", "fct_orders"]
    assert dependants(MANIFEST, ORDERS, "billing.email") == ["stg_orders", "dim_customers", "fct_orders"]
    assert dependants(MANIFEST, ORDERS, "line_items") == ["stg_lines", "fct_orders"]
    assert dependants(MANIFEST, ORDERS, "line_items[].sku") == ["stg_lines", "fct_orders"]


def test_what_nobody_reads_is_said_to_be_so() -> None:
    """An alarm about a field that is in no contract, or in no model."""
    assert dependants(MANIFEST, ORDERS, "gift_cards") == []
    assert dependants(MANIFEST, ORDERS, "customer_id") == []
    assert dependants({}, ORDERS, "total") == []


def test_before_the_first_build_there_is_no_manifest(tmp_path: Any) -> None:
    """A fresh installation has nothing to read."""
    assert read_manifest(tmp_path / "manifest.json") == {}
