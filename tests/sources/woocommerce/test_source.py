"""A store through dlt into the warehouse: complete, idempotent, and never ahead of what was read."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from starlette.responses import HTMLResponse, JSONResponse

from retail_assets.sources.intake import Counts
from retail_assets.sources.woocommerce import walk as walk_module
from retail_assets.sources.woocommerce import woocommerce_source
from tests.sources import loading as loading_module
from tests.sources.loading import Home
from tests.sources.woocommerce.store import STATUSES, FakeStore, settings_for
from tests.support.replay import replay_app
from tests.support.server import running


def load(home: Home, url: str, *resources: str) -> Mapping[str, Counts]:
    def source(intake: Any) -> Any:
        whole = woocommerce_source(settings_for(url), intake)
        return whole.with_resources(*resources) if resources else whole

    return home.load("woocommerce", "cedar_us", source)


# ---------------------------------------------------------------- the recorded store


@pytest.mark.parametrize("has_collection", [True, False], ids=["refunds collection", "older WooCommerce"])
def test_the_recorded_store_loads_whole_and_once(
    home: Home, monkeypatch: pytest.MonkeyPatch, has_collection: bool
) -> None:
    """A real store did not come to its control totals, lost a kind of refund, or grew when it was read again."""
    recorded_at = datetime(2026, 12, 1, tzinfo=UTC)
    monkeypatch.setattr(walk_module, "server_time", lambda _: recorded_at)
    monkeypatch.setattr(loading_module, "NOW", recorded_at)
    expected = {"orders": 51, "refunds": 9}
    if has_collection:
        expected |= {"products": 10, "product_variations": 3, "customers": 7, "tax_rates": 11}
    with running(replay_app(has_refund_collection=has_collection)) as url:
        first = load(home, url, *expected)
        before = home.content("woocommerce")
        second = load(home, url, *expected)
    assert {name: counts.received for name, counts in first.items()} == expected
    assert not home.quarantined()

    live = "raw_woocommerce.orders where status <> 'trash'"
    assert home.one(f"select count(*) from {live}") == 50
    assert dict(home.query(f"select currency, sum(total) from {live} group by all")) == {
        "USD": Decimal("3467.32"),
        "EUR": Decimal("842.30"),
        "JPY": Decimal("20551.30"),
        "GBP": Decimal("88.80"),
        "CAD": Decimal("173.16"),
    }
    in_live = "where order_id in (select id from raw_woocommerce.orders where status <> 'trash')"
    assert home.one(f"select count(*) from raw_woocommerce.order_lines {in_live}") == 85
    assert home.one("select count(*) from raw_woocommerce.orders where status = 'trash'") == 1
    footing = """
        select count(*) from raw_woocommerce.orders as o where total <>
            coalesce((select sum(total) from raw_woocommerce.order_lines where order_id = o.id), 0)
            + coalesce((select sum(total) from raw_woocommerce.order_shipping_lines where order_id = o.id), 0)
            + coalesce((select sum(total) from raw_woocommerce.order_fee_lines where order_id = o.id), 0) + total_tax
    """
    assert home.one(footing) == 0
    assert home.one("select count(*) from raw_woocommerce.orders where sha256(_payload) <> _payload_sha256") == 0
    for child in ("order_lines", "order_tax_lines", "order_shipping_lines", "order_fee_lines", "refund_lines"):
        assert home.one(f"select count(*) from raw_woocommerce.{child} where id = 0 or _deleted") == 0

    refunds = home.query("select id, parent_id, amount from raw_woocommerce.refunds")
    orders = json.loads("[" + ",".join(p for (p,) in home.query("select _payload from raw_woocommerce.orders")) + "]")
    assert sorted(
        (refund["id"], order["id"], -Decimal(refund["total"])) for order in orders for refund in order["refunds"]
    ) == sorted(refunds)
    by_reason = dict(
        home.query("""
        select reason, (select count(*) from raw_woocommerce.refund_lines where refund_id = r.id)
        from raw_woocommerce.refunds as r where reason = 'Order fully refunded.'
    """)
    )
    assert by_reason == {"Order fully refunded.": 0}
    assert home.one("select count(distinct refund_id) from raw_woocommerce.refund_lines") >= 4
    assert home.one("select max(total) from raw_woocommerce.refund_lines") <= 0

    assert home.content("woocommerce") == before
    assert 0 < second["orders"].received < first["orders"].received
    assert all(counts.received == counts.loaded for counts in (*first.values(), *second.values()))
    assert home.logged()["orders"] == (second["orders"].received, second["orders"].loaded, 0)


# ---------------------------------------------------------------- a store that changes


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    """A store with five orders on a page and its own clock."""
    made = FakeStore()
    monkeypatch.setattr(walk_module, "_PAGE_SIZE", 5)
    monkeypatch.setattr(walk_module, "server_time", lambda _: made.now)
    return made


@pytest.fixture
def url(store: FakeStore) -> Iterator[str]:
    with running(store.app()) as address:
        yield address


def asked_after(store: FakeStore) -> str | None:
    """From where the last load asked for orders."""
    walks = [query for query in store.queries if not {"_fields", "include"} & set(query)]
    return walks[-1].get("modified_after")


def statuses(home: Home) -> dict[int, str]:
    return dict(home.query("select id, status from raw_woocommerce.orders"))


def lines(home: Home) -> dict[int, int]:
    return dict(home.query("select order_id, count(*) from raw_woocommerce.order_lines group by all"))


def test_an_edited_order_is_replaced_with_its_lines(home: Home, store: FakeStore, url: str) -> None:
    """An edit between two loads was missed, or a removed line stayed and the order no longer footed."""
    store.place(30)
    load(home, url, "orders")
    store.now += timedelta(hours=1)
    one_line = store.orders[129]["line_items"][:1]
    store.change(129, total="55.00", line_items=one_line)
    store.change(128, line_items=[], tax_lines=[])
    store.change(127, status="trash")
    store.place(1)
    counts = load(home, url, "orders")["orders"]
    assert (
        counts.received == 10 + 1
    )  # those of the overlap of ten minutes, among them the changed ones, and the new one
    assert home.one("select total from raw_woocommerce.orders where id = 129") == Decimal("55.00")
    assert lines(home) == {identifier: 2 for identifier in range(101, 132) if identifier not in (128, 129)} | {129: 1}
    assert home.one("select count(*) from raw_woocommerce.order_tax_lines where order_id = 128") == 0
    assert statuses(home)[127] == "trash"
    assert len(statuses(home)) == 31


def test_an_order_trashed_during_the_walk_costs_nothing(home: Home, store: FakeStore, url: str) -> None:
    """An order at the page seam was lost, and the cursor went past it."""
    store.place(23)

    def trash_one(_: str, offset: int) -> None:
        if offset >= 8 and store.orders[103]["status"] != "trash":
            store.now += timedelta(seconds=30)
            store.change(103, status="trash")

    store.before_page = trash_one
    counts = load(home, url, "orders")["orders"]
    assert set(statuses(home)) == set(range(101, 124))
    assert counts.received == 23
    store.place(1)
    load(home, url, "orders")
    assert statuses(home)[103] == "trash"


def test_after_an_unstable_walk_everything_is_read_again(
    home: Home, store: FakeStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list changed during every pass, and the cursor moved as if it had been read whole."""
    store.place(60)
    monkeypatch.setattr(walk_module, "_PATIENCE", -1)

    def restless(_: str, offset: int) -> None:
        if offset > 0 and len(store.orders) > 20:
            for identifier in list(store.orders)[:13]:
                store.delete(identifier)

    store.before_page = restless
    counts = load(home, url, "orders")["orders"]
    assert "kept shrinking while it was read" in counts.notes[0]
    store.before_page = lambda _status, _offset: None
    store.now += timedelta(hours=2)
    load(home, url, "orders")
    assert asked_after(store) is None
    assert set(store.orders) <= set(statuses(home))
    load(home, url, "orders")
    assert asked_after(store) is not None


def test_the_cursor_never_passes_a_change_made_meanwhile(home: Home, store: FakeStore, url: str) -> None:
    """An order edited after its page was read was older than the cursor, and its change was never seen."""
    store.place(20)
    store.now += timedelta(hours=1)
    began = store.now

    def edit_behind(_: str, offset: int) -> None:
        if offset == 16:
            store.now += timedelta(hours=3)
            store.change(101, total="77.00")
            store.now += timedelta(hours=3)
            store.change(120, total="88.00")

    store.before_page = edit_behind
    load(home, url, "orders")
    store.before_page = lambda _status, _page: None
    load(home, url, "orders")
    assert (asked_after(store) or "") <= began.replace(tzinfo=None).isoformat()
    assert home.one("select total from raw_woocommerce.orders where id = 101") == Decimal("77.00")
    assert home.one("select total from raw_woocommerce.orders where id = 120") == Decimal("88.00")


def test_a_time_in_the_future_does_not_move_the_cursor_there(home: Home, store: FakeStore, url: str) -> None:
    """One order with a modification date of 2031 stopped all later changes from being seen."""
    store.place(3)
    store.change(102, date_modified_gmt="2031-01-01T00:00:00")
    load(home, url, "orders")
    store.now += timedelta(hours=1)
    store.change(101, total="66.00")
    load(home, url, "orders")
    assert home.one("select total from raw_woocommerce.orders where id = 101") == Decimal("66.00")


def test_the_cursor_is_naive_gmt_with_an_overlap(home: Home, store: FakeStore, url: str) -> None:
    """A zone in the filter is shifted by the shop's own zone: in Tokyo nine hours of changes were missed."""
    store.place(3)
    load(home, url, "orders")
    assert "modified_after" not in store.queries[0]
    load(home, url, "orders")
    newest = datetime.fromisoformat(store.orders[103]["date_modified_gmt"])
    named = ",".join((*STATUSES, "trash"))
    walks = [query for query in store.queries if "_fields" not in query]
    assert [query["status"] for query in walks] == [named, named]
    for query in walks[1:]:
        assert datetime.fromisoformat(query["modified_after"]) == newest - timedelta(minutes=10)
        assert query["dates_are_gmt"] == "true"
        assert (query["orderby"], query["order"]) == ("id", "asc")


def test_a_bad_order_is_quarantined_and_heals(home: Home, store: FakeStore, url: str) -> None:
    """One bad order stopped its store, held the cursor, or stayed an alarm after it was mended."""
    store.place(8)
    store.orders[103]["total"] = "12.34567"
    store.orders[105]["id"] = "105x"
    counts = load(home, url, "orders")["orders"]
    assert (counts.received, counts.loaded, counts.quarantined) == (8, 6, 2)
    assert home.logged() == {"orders": (8, 6, 2)}
    assert {row["field"]: row["value"] for row in home.quarantined()} == {"total": "12.34567", "id": "105x"}
    assert all("GET orders from record 1" in row["origin"] for row in home.quarantined())
    store.now += timedelta(hours=1)
    store.change(103, total="12.35")
    load(home, url, "orders")
    assert asked_after(store) is not None
    assert [row["field"] for row in home.quarantined()] == ["id"]
    assert home.one("select total from raw_woocommerce.orders where id = 103") == Decimal("12.35")


def test_a_list_that_the_store_refuses_keeps_no_order_away(home: Home, store: FakeStore, url: str) -> None:
    """A key whose user may not list customers left the warehouse without a single order."""
    store.place(3)
    store.raw["customers"] = JSONResponse({"code": "woocommerce_rest_cannot_view"}, 401)
    counts = load(home, url, "orders", "customers")
    assert counts["orders"].loaded == 3
    assert "HTTP 401" in counts["customers"].notes[0]


def test_a_failed_load_leaves_the_cursor(home: Home, store: FakeStore, url: str) -> None:
    """A maintenance page in the middle of a load was taken for its end."""
    store.place(3)
    load(home, url, "orders")
    store.now += timedelta(hours=1)
    store.change(101, total="66.00")
    store.raw["orders"] = HTMLResponse("<html>maintenance</html>")
    with pytest.raises(Exception, match="did not answer with a JSON list"):
        load(home, url, "orders")
    del store.raw["orders"]
    load(home, url, "orders")
    assert home.one("select total from raw_woocommerce.orders where id = 101") == Decimal("66.00")


def test_refunds_by_order_survive_their_orders(home: Home, store: FakeStore, url: str) -> None:
    """An order deleted, or broken, while its refunds were read stopped the refunds of all others."""
    refund = {
        "id": 900,
        "date_created_gmt": "2026-11-01T10:00:00",
        "amount": "5.00",
        "reason": "late",
        "refunded_by": 1,
        "refunded_payment": True,
        "meta_data": [],
        "line_items": [],
        "shipping_lines": [],
        "tax_lines": [],
        "fee_lines": [],
    }
    store.place(4)
    for identifier in (101, 102, 103):
        store.change(identifier, refunds=[{"id": 900}], _refunds=[{**refund, "id": identifier + 800}])
    store.change(102, _gone=True)
    store.orders[104]["id"] = "104x"
    counts = load(home, url, "refunds")["refunds"]
    assert home.query("select id, parent_id, amount from raw_woocommerce.refunds order by id") == [
        (901, 101, Decimal("5.0000")),
        (903, 103, Decimal("5.0000")),
    ]
    assert len(counts.notes) == 1
    assert "cannot be read" in counts.notes[0]


def test_a_load_without_changes_is_logged(home: Home, store: FakeStore, url: str) -> None:
    """A quiet store could not be told from one that is no longer read."""
    load(home, url, "orders", "refunds", "products", "product_variations", "customers", "tax_rates")
    assert home.logged() == dict.fromkeys(
        ("orders", "refunds", "products", "product_variations", "customers", "tax_rates"), (0, 0, 0)
    )


def test_two_stores_share_tables_and_nothing_else(home: Home, store: FakeStore, url: str) -> None:
    """Order 101 of one store replaced order 101 of the other, or one store's load moved the other's cursor."""
    store.place(3)
    load(home, url, "orders")
    other = FakeStore()
    other.place(2, total="1.00")
    with running(other.app()) as other_url:
        home.load(
            "woocommerce",
            "linden_de",
            lambda intake: woocommerce_source(settings_for(other_url, id="linden_de"), intake).with_resources("orders"),
        )
    assert "modified_after" not in other.queries[0]
    assert dict(home.query("select store_id, count(*) from raw_woocommerce.orders group by all")) == {
        "cedar_us": 3,
        "linden_de": 2,
    }
    assert dict(home.query("select store_id, count(*) from raw_woocommerce.order_lines group by all")) == {
        "cedar_us": 6,
        "linden_de": 4,
    }
