"""Good orders that real stores have, with what plugins and PHP make of them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from retail_assets.contracts import table
from retail_assets.sources.intake import Intake
from retail_assets.sources.records import Batch
from retail_assets.sources.woocommerce.source import _convert
from retail_assets.sources.woocommerce.walk import Page
from tests.sources.woocommerce.store import TEMPLATE

ORDERS = table("woocommerce", "orders")


@pytest.fixture
def convert(tmp_path: Path) -> Any:
    def convert(*records: Mapping[str, Any]) -> Batch:
        intake = Intake("woocommerce", "cedar_us", datetime(2026, 12, 1, tzinfo=UTC), f"sqlite:///{tmp_path / 'o'}")
        return _convert(ORDERS, Page([json.dumps(one).encode() for one in records], "GET orders"), intake)

    return convert


def order(**changes: Any) -> dict[str, Any]:
    return {**TEMPLATE, **changes}


def rows(batch: Batch, name: str = "orders") -> list[dict[str, Any]]:
    found = batch.tables.get(table("woocommerce", name))
    return [] if found is None else found.to_pylist()


def test_a_negative_total_loads(convert: Any) -> None:
    """An order with a negative fee above its goods (a return counted as an order) stood in quarantine for ever."""
    batch = convert(order(total="-12.50"))
    assert [row["total"] for row in rows(batch)] == [Decimal("-12.50")]


CARD = {"id": 4, "code": "AAAA-BBBB", "amount": "12.50"}


@pytest.mark.parametrize(
    ("cards", "readable"),
    [
        ([CARD], [4]),
        ([CARD, {"number": "X-1", "amount": 5}], [4]),
        ([{"number": "X-1", "amount": 5}], []),
        ([CARD, {"id": "GC-7", "amount": "1.00"}, {**CARD, "id": "5"}], [4, 5]),
        ([{**CARD, "amount": "12.5099"}, {**CARD, "id": 6, "amount": "a lot"}], [4]),
        (["X-1", CARD], [4]),
        ({"X-1": "12.50"}, []),
        ({"X-1": CARD}, [4]),
        ("X-1", []),
        (True, []),
        (False, []),
        (7, []),
    ],
)
def test_gift_cards_of_another_plugin_refuse_no_order(convert: Any, cards: Any, readable: list[int]) -> None:
    """A plugin that notes its gift cards in its own way kept all orders paid with them out."""
    records = [order(id=1), order(id=2, gift_cards=cards), order(id=3)]
    batch = convert(*records)
    assert not batch.rejected
    assert sorted(batch.loaded_keys) == ["1", "2", "3"]
    payloads = {row["id"]: row["_payload"] for row in rows(batch)}
    assert json.loads(payloads[2]) == records[1]
    assert [row["id"] for row in rows(batch, "order_gift_cards") if not row["_deleted"]] == readable
    assert len(rows(batch, "order_lines")) == 3 * len(TEMPLATE["line_items"])


def test_other_faults_stay_named(convert: Any) -> None:
    """An order with odd gift cards and a total that is none was loaded, or lost."""
    batch = convert(order(id=1), order(id=2, gift_cards=["X"], total="12.34567"), order(id=3, total="x"))
    assert (batch.received, batch.loaded) == (3, 1)
    assert [(one.record_key, one.field) for one in batch.rejected] == [("2", "total"), ("3", "total")]
    assert all("12.34567" in one.payload.decode() for one in batch.rejected[:1])
