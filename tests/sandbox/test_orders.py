"""WooCommerce's money identities must hold on every order and refund, as they did on the measured store."""

import json
from collections import defaultdict
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from retail_assets import contracts
from retail_assets.sandbox.profiles import CHANNELS, STORES
from tests.sandbox.conftest import State

RECORDED = Path(__file__).parents[1] / "recorded" / "woocommerce"
every_store = pytest.mark.parametrize("store_id", list(STORES))


def shape(records: list[dict[str, Any]], *, nested: bool = True) -> dict[str, Any]:
    """The fields of records and of the records in their lists; meta data and links differ from shop to shop."""
    fields: dict[str, Any] = {name: None for record in records for name in record}
    for name in fields if nested else ():
        inner = [item for record in records if isinstance(record.get(name), list) for item in record[name]]
        if inner and isinstance(inner[0], dict) and name != "meta_data":
            fields[name] = shape(inner, nested=False)
    return fields


def total_of(items: list[dict[str, Any]], field: str = "total") -> Decimal:
    return sum((Decimal(item[field]) for item in items), Decimal(0))


@every_store
def test_totals_are_the_sum_of_their_parts(world: State, store_id: str) -> None:
    """An order that does not add up is quarantined or posted with a difference."""
    for order in world.rows(store_id, "orders"):
        lines, shipping, fees = order["line_items"], order["shipping_lines"], order["fee_lines"]
        tax = total_of(order["tax_lines"], "tax_total") + total_of(order["tax_lines"], "shipping_tax_total")
        assert Decimal(order["total_tax"]) == tax
        cards = sum(Decimal(str(card["amount"])) for card in order.get("gift_cards", []))
        assert Decimal(order["total"]) + cards == total_of(lines) + total_of(shipping) + total_of(fees) + tax
        assert Decimal(order["cart_tax"]) == total_of(lines, "total_tax") + total_of(fees, "total_tax")
        assert Decimal(order["shipping_tax"]) == total_of(shipping, "total_tax")
        assert Decimal(order["shipping_total"]) == total_of(shipping)
        assert Decimal(order["discount_total"]) == total_of(lines, "subtotal") - total_of(lines)
        assert Decimal(order["discount_total"]) == total_of(order["coupon_lines"], "discount")
        assert Decimal(order["total"]) >= 0


@every_store
def test_tax_lines_are_the_taxes_of_the_lines(world: State, store_id: str) -> None:
    """Tax per rate goes to the ledger; it must be the same as the tax of the lines."""
    for order in world.rows(store_id, "orders"):
        rates: defaultdict[int, Decimal] = defaultdict(Decimal)
        for item in chain(order["line_items"], order["fee_lines"], order["shipping_lines"]):
            for tax in item["taxes"]:
                rates[tax["id"]] += Decimal(tax["total"])
        stated = {
            line["rate_id"]: Decimal(line["tax_total"]) + Decimal(line["shipping_tax_total"])
            for line in order["tax_lines"]
        }
        assert {rate: tax for rate, tax in rates.items() if tax} == {rate: tax for rate, tax in stated.items() if tax}


@every_store
def test_amounts_are_strings_with_two_decimals(world: State, store_id: str) -> None:
    """WooCommerce writes yen with two decimals as well; a loader that trusts the currency's exponent must be caught."""
    for order in world.rows(store_id, "orders"):
        for field in ("total", "total_tax", "shipping_total", "discount_total"):
            assert isinstance(order[field], str)
            assert order[field][-3] == "."
        if order["currency"] == "JPY":
            assert order["total"].endswith(".00")


@every_store
def test_refunds_add_up_and_stay_below_the_order(world: State, store_id: str) -> None:
    """More refunded than sold would be a hole in receivables."""
    orders = {order["id"]: order for order in world.rows(store_id, "orders")}
    given: defaultdict[int, Decimal] = defaultdict(Decimal)
    for refund in world.rows(store_id, "refunds"):
        parts = refund["line_items"] + refund["shipping_lines"] + refund["fee_lines"]
        tax = total_of(refund["tax_lines"], "tax_total") + total_of(refund["tax_lines"], "shipping_tax_total")
        if parts:
            assert Decimal(refund["amount"]) == -(total_of(parts) + tax)
        else:
            assert refund["tax_lines"] == []
        given[refund["parent_id"]] += Decimal(refund["amount"])
    for order_id, order in orders.items():
        assert total_of(order["refunds"]) == -given[order_id]
        assert given[order_id] <= Decimal(order["total"])
        full = given[order_id] == Decimal(order["total"]) > 0
        assert full == (order["status"] == "refunded" or (order["status"] == "trash" and bool(order["refunds"])))


def test_every_kind_of_refund_is_there(world: State) -> None:
    """In full, by line with tax, and as a bare amount of which nobody knows the tax."""
    refunds = [refund for store_id in STORES for refund in world.rows(store_id, "refunds")]
    kinds = {
        (bool(refund["line_items"]), bool(refund["tax_lines"]), refund["meta_data"][0]["value"]) for refund in refunds
    }
    assert kinds >= {(True, True, "full"), (True, True, "partial"), (False, False, "partial")}


@every_store
def test_ids_of_orders_and_refunds_share_one_space_in_order_of_time(world: State, store_id: str) -> None:
    """Walks by id rely on it: a later record never has a smaller id."""
    events = [(order["id"], order["date_created_gmt"]) for order in world.rows(store_id, "orders")]
    events += [(refund["id"], refund["date_created_gmt"]) for refund in world.rows(store_id, "refunds")]
    assert len({event[0] for event in events}) == len(events)
    moments = [created for _, created in sorted(events)]
    assert moments == sorted(moments)


def test_every_kind_of_order_is_there(world: State) -> None:
    """Statuses, guests, coupons, fees and untaxed orders: what the models have branches for."""
    orders = [order for store_id in STORES for order in world.rows(store_id, "orders")]
    statuses = {order["status"] for order in orders}
    assert statuses == {
        "completed", "processing", "cancelled", "failed", "pending", "on-hold", "trash", "checkout-draft", "refunded",
    }  # fmt: skip
    assert {order["customer_id"] == 0 for order in orders} == {True, False}
    assert {fee["name"] for order in orders for fee in order["fee_lines"]} == {"Gift wrap", "Tip", "Loyalty discount"}
    assert any(Decimal(order["total"]) == 0 and order["date_paid"] for order in orders)
    assert any(order["coupon_lines"] and Decimal(order["total"]) > 0 for order in orders)
    assert any(not order["tax_lines"] and Decimal(order["total"]) > 0 for order in orders)
    assert any("<" in line["name"] for order in orders for line in order["line_items"])
    assert {line["variation_id"] > 0 for order in orders for line in order["line_items"]} == {True, False}
    codes = {line["rate_code"] for order in orders for line in order["tax_lines"]}
    assert len(codes) == 7
    assert {order["payment_method"] for order in orders} == {
        "stripe", "cod", "bacs", "", *(channel.payment_method for channel in CHANNELS.values()),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mine", "recorded"),
    [
        ("orders", "orders_default"),
        ("refunds", "refunds_collection"),
        ("products", "products"),
        ("variations", "variations"),
        ("customers", "customers"),
        ("taxes", "taxes"),
    ],
)
def test_records_have_the_fields_of_the_real_store(world: State, mine: str, recorded: str) -> None:
    """A loader made for the real store must work unchanged: a field that is missing here is a field nobody tests."""
    table, where = (mine, "true") if mine in ("orders", "refunds") else ("documents", f"resource = '{mine}'")
    made = [record for store_id in STORES for record in world.rows(store_id, table, where)]
    real = [record for path in RECORDED.glob(f"{recorded}*.json") for record in json.loads(path.read_bytes())]
    for record in made:
        # A plugin's: no recorded shop had it.
        record.pop("gift_cards", None)
    assert shape(made) == shape(real)


@pytest.mark.parametrize(
    ("system", "place", "table"),
    [("woocommerce", "cedar_us", name) for name in ("orders", "refunds")]
    + [("stripe", "stripe_us", name) for name in ("balance_transactions", "charges", "refunds", "disputes", "payouts")],
)
def test_bodies_hold_every_field_of_their_contract(world: State, system: str, place: str, table: str) -> None:
    """A contract that names a field which never comes would be filled with nulls, and nobody would know."""
    records = world.rows(place, table)
    # Stripe adds these only once something failed, waits or expires; "reading" is ours.
    absent = {
        "failure_balance_transaction", "failure_reason", "pending_reason", "network_reason_code", "capture_before",
        "reading", "bank_reference",
    }  # fmt: skip
    for column in contracts.table(system, table).columns:
        if column.name in absent:
            continue
        values: list[Any] = records
        for step in column.source_path.split("."):
            values = [value[step] for value in values if isinstance(value, dict) and step in value]
        assert values, column.source_path
        if column.required:
            assert None not in values, column.source_path


def test_plugin_notes_are_cumulative_hints(world: State) -> None:
    """``_stripe_net`` shrinks with refunds: who books from it books refunds twice."""
    lines = {
        line["source"]: line for line in world.rows("stripe_us", "balance_transactions") if line["type"] == "charge"
    }
    checked = 0
    for order in world.rows("cedar_us", "orders"):
        notes = {meta["key"]: meta["value"] for meta in order["meta_data"]}
        if order["transaction_id"] in lines and order["refunds"] and "_stripe_net" in notes:
            net = Decimal(lines[order["transaction_id"]]["net"]).scaleb(-2)
            assert Decimal(notes["_stripe_net"]) == net + total_of(order["refunds"])
            assert notes["_stripe_refund_id"].startswith("re_")
            checked += 1
    assert checked


def test_bodies_are_json_with_exact_numbers(world: State) -> None:
    """Unit prices are JSON numbers; they must come from decimals, not from binary fractions."""
    for (body,) in world.table("cedar_us", "select body from orders limit 50"):
        for line in json.loads(body, parse_float=Decimal)["line_items"]:
            price = Decimal(line["price"]) * line["quantity"]
            assert abs(price - Decimal(line["total"])) < Decimal("0.0000001")
