"""What the tax engine, the logistics provider and the ERP say of the orders must be what the store says of them."""

import csv
from collections import Counter
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from retail_assets.mapping import CsvMapping
from retail_assets.sandbox.aftermath import TAX_TOO_MUCH
from retail_assets.sandbox.profiles import TAX_ENGINES
from retail_assets.sandbox.tax import TaxDocument
from retail_assets.settings import read_configuration
from tests.sandbox.conftest import CREDENTIALS, State

DATA = Path(__file__).parents[2] / "data"


def minor(amount: str) -> int:
    """Cents of an amount with two decimals."""
    return int(amount.replace(".", ""))


def rows(world: State, kind: str) -> list[dict[str, str]]:
    """What the logistics provider says in all files of one kind."""
    found: list[dict[str, str]] = []
    for path in sorted((world.home / "inbox" / "lager_de").glob(f"{kind}_*.csv")):
        found += csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    return found


def pieces(orders: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """Pieces by order number and article."""
    return Counter(
        {(order["number"], line["sku"]): line["quantity"] for order in orders for line in order["line_items"]}
    )


def test_the_tax_engine_holds_every_paid_order_with_its_tax(world: State) -> None:
    """Tax that differs from the store's would show as a difference that nobody planted."""
    path = world.home / "sandbox" / "avatax_us.documents.json"
    documents = msgspec.json.decode(path.read_bytes(), type=list[TaxDocument])
    assert [document.serial for document in documents] == list(range(1, len(documents) + 1))
    sales = {document.order_id: document for document in documents if not document.is_return}
    orders = {
        order["id"]: order
        for order in world.rows(TAX_ENGINES["avatax_us"].store_id, "orders")
        if order["date_paid_gmt"] and minor(order["total"])
    }
    assert sales.keys() == orders.keys()
    otherwise = {case["order_key"] for case in world.truth["cases"] if case["case"] == "tax_store_vs_engine"}
    for order_id, order in orders.items():
        document = sales[order_id]
        # A gift card pays for what is taxed all the same.
        total = minor(order["total"]) + sum(round(card["amount"] * 100) for card in order.get("gift_cards", []))
        more = TAX_TOO_MUCH if f"cedar_us:{order_id}" in otherwise else 0
        assert (document.amount + document.tax, document.tax) == (total + more, minor(order["total_tax"]) + more)
        assert document.day == date.fromisoformat(order["date_paid"][:10])
        for split in document.splits:
            assert split.taxable + split.exempt == document.amount
            assert more or abs(split.taxable * split.rate - split.tax * 1_000_000) <= 4_000_000
    refunds = {refund["id"]: refund for refund in world.rows("cedar_us", "refunds")}
    returns = [document for document in documents if document.refund_id is not None]
    assert returns
    for document in returns:
        assert document.tax < 0
        assert document.amount + document.tax == -minor(refunds[document.refund_id]["amount"])
        assert document.order_id == refunds[document.refund_id]["parent_id"]


def test_the_logistics_provider_ships_what_was_completed(world: State) -> None:
    """A parcel too many or too few is a claim against the provider; a count that does not follow from it is theft."""
    shipments, levels = rows(world, "shipments"), rows(world, "stock_levels")
    completed = [order for order in world.rows("linden_de", "orders") if order["date_completed_gmt"]]
    shipped = Counter({(row["order_reference"], row["sku"]): int(row["quantity"]) for row in shipments})
    assert shipped == pieces(completed)
    returns = rows(world, "returns")
    assert returns
    assert all(int(row["quantity"]) <= shipped[row["order_reference"], row["sku"]] for row in returns)
    for sku in {row["sku"] for row in levels}:
        counted = [(row["as_of"], int(row["on_hand"])) for row in levels if row["sku"] == sku]
        for (before, had), (after, has) in pairwise(counted):
            out = sum(
                int(row["quantity"]) for row in shipments if row["sku"] == sku and before < row["shipped_at"] <= after
            )
            back = sum(
                int(row["quantity"]) for row in returns if row["sku"] == sku and before < row["received_at"] <= after
            )
            assert has == had - out + back >= 0


def test_the_erp_delivers_the_latest_orders(world: State) -> None:
    """Deliveries of orders that the store never completed would be sales that nobody made."""
    seed = msgspec.json.decode((world.home / "sandbox" / "erp_seed.json").read_bytes())
    completed = [order for order in world.rows("cedar_us", "orders") if order["date_completed_gmt"]]
    latest = sorted(completed, key=lambda order: (order["date_completed_gmt"], order["id"]))[-100:]
    delivered = [note for note in seed["delivery_notes"] if not note["is_return"]]
    assert {note["po_no"] for note in delivered} == {order["number"] for order in latest}
    found = Counter({(note["po_no"], item["item_code"]): item["qty"] for note in delivered for item in note["items"]})
    assert found == pieces(latest)


def test_the_acquirer_s_files_are_read_by_the_shipped_mapping(world: State) -> None:
    """A mapping that names another column, or yen with cents, would quarantine every line of the demo."""
    environment = {**CREDENTIALS, "SANDBOX_URL": "http://127.0.0.1:1"}
    configuration = read_configuration(DATA / "retail.yaml", environment)
    (kawa,) = (one for one in configuration.gateways if one.id == "kawa_jp")
    mapping: CsvMapping = kawa.option("mapping")
    files = sorted((world.home / "inbox" / "kawa_jp").glob("*.csv"))
    lines = [
        row for path in files for row in csv.DictReader(path.read_text(encoding="cp1252").splitlines(), delimiter=";")
        if row["Type"] != "Total"
    ]  # fmt: skip
    assert {header for source in mapping.columns.values() for header in source.headers} <= set(lines[0])
    links = {link["settlement_line_key"] for link in world.truth["links"]}
    assert {f"kawa_jp:{row['Posting']}" for row in lines} == {key for key in links if key.startswith("kawa_jp:")}
    assert all("," not in row["Gross"] for row in lines)
