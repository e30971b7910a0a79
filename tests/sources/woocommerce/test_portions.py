"""A long first load in portions: it goes on where it was interrupted, and ends as one that was not."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from retail_assets.sources.intake import Intake
from retail_assets.sources.woocommerce import walk as walk_module
from retail_assets.sources.woocommerce import woocommerce_source
from tests.sources.loading import Home
from tests.sources.woocommerce.memory import MemoryWarehouse
from tests.sources.woocommerce.store import FakeStore, settings_for
from tests.support.server import running

PER_PAGE = 5


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    """A store with five records on a page, its own clock and the refunds collection."""
    made = FakeStore(absent=frozenset())
    monkeypatch.setattr(walk_module, "_PAGE_SIZE", PER_PAGE)
    monkeypatch.setattr(walk_module, "server_time", lambda _: made.now)
    return made


@pytest.fixture
def url(store: FakeStore) -> Iterator[str]:
    with running(store.app()) as address:
        yield address


@pytest.fixture
def load(url: str, tmp_path: Path) -> Callable[..., MemoryWarehouse]:
    """Loads into a warehouse in memory; ``portions``: killed after so many."""
    warehouse = MemoryWarehouse()

    def load(*resources: str, portion: int = 10, portions: int | None = None, **changes: Any) -> MemoryWarehouse:
        operations = f"sqlite:///{tmp_path / 'operations.sqlite'}"
        warehouse.load(
            settings_for(url, **changes), operations, resources=resources or ("orders",), portion=portion,
            portions=portions,
        )  # fmt: skip
        return warehouse

    return load


def offsets(store: FakeStore) -> list[int]:
    """Where the walks over whole orders asked for pages."""
    return [int(query.get("offset", 0)) for query in store.queries if not {"_fields", "include"} & set(query)]


def test_a_killed_first_load_goes_on_where_it_was(home: Home, store: FakeStore, url: str) -> None:
    """A first load of a million orders that was interrupted after an hour began again with the first order."""
    store.place(43)
    store.refund(104)

    def source(intake: Intake) -> Any:
        intake.portion = 12
        return woocommerce_source(settings_for(url), intake).with_resources("orders", "refunds")

    begun: list[int] = []

    def killed(intake: Intake) -> Any:
        begun.append(1)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return source(intake)

    with pytest.raises(KeyboardInterrupt):
        home.load("woocommerce", "cedar_us", killed)
    committed = home.one("select count(*) from raw_woocommerce.orders")
    assert 20 <= committed < 43
    before = len(offsets(store))
    counts = home.load("woocommerce", "cedar_us", source)
    assert offsets(store)[before] >= committed - 1
    assert counts["orders"].received == 43 - committed
    assert home.one("select count(*) from raw_woocommerce.orders") == 43
    assert home.one("select count(*) from raw_woocommerce.refunds") == 1
    assert home.query("select kind, orders_listed from raw_woocommerce.order_sweeps") == [("first_load", 43)]
    assert not home.quarantined()


def test_portions_bring_what_one_load_brings(load: Callable[..., MemoryWarehouse], store: FakeStore) -> None:
    """Between two portions a record was left out, counted twice, or the cursor was that of the last portion."""
    store.place(32)
    store.orders[103]["total"] = "12.34567"
    store.refund(108)
    began = store.now
    store.before_page = lambda _statuses, _offset: setattr(store, "now", store.now + timedelta(hours=3))
    warehouse = load("orders", "refunds", portion=7)
    assert len(warehouse.requests) > 3, "it was taken in portions"
    assert {row["id"] for row in warehouse.rows("orders")} == set(store.orders) - {103}
    assert warehouse.query("order_sweeps", "kind", "orders_listed", "orders_unreadable") == [("first_load", 32, 1)]
    assert warehouse.states["orders"]["modified_after"] <= (began + timedelta(hours=3)).isoformat()
    assert "portion" not in warehouse.states["orders"]
    assert len(json.dumps(warehouse.states)) < 500
    load("orders", "refunds")
    assert warehouse.rows("sweep_findings") == []


def test_what_leaves_between_portions_costs_no_other(load: Callable[..., MemoryWarehouse], store: FakeStore) -> None:
    """Orders deleted while the load lay dead moved the others forward, and the next portion began too late."""
    store.place(60)
    warehouse = load(portion=30, portions=1)
    read = {row["id"] for row in warehouse.rows("orders")}
    assert 30 <= len(read) < 60
    for identifier in sorted(read)[:25]:
        store.delete(identifier)
    store.place(2)
    load(portion=30)
    assert set(store.orders) <= {row["id"] for row in warehouse.rows("orders")}
    store.now += timedelta(hours=1)
    load()
    assert len(warehouse.rows("deletions")) == 25


def test_another_list_is_read_from_its_beginning(load: Callable[..., MemoryWarehouse], store: FakeStore) -> None:
    """A plugin brought a new status between two portions: its older orders stood before the place that was noted."""
    store.place(30)
    hidden = [store.orders.pop(identifier) for identifier in (101, 102, 103)]
    warehouse = load(portions=1)
    store.absent = frozenset({"statuses"})
    store.orders = {order["id"]: order for order in hidden} | store.orders
    load()
    assert {row["id"] for row in warehouse.rows("orders")} == set(store.orders)


def test_unlisted_orders_are_found_after_portions(load: Callable[..., MemoryWarehouse], store: FakeStore) -> None:
    """Orders with a status that no list names were passed over when the walk that misses them was interrupted."""
    store.place(30)
    for identifier in (104, 117):
        store.orders[identifier]["status"] = "wc-odd"
    store.now += timedelta(minutes=1)
    warehouse = load(portions=2)
    load()
    assert {row["id"] for row in warehouse.rows("orders")} == set(store.orders)
    assert warehouse.query("order_sweeps", "kind") == [("first_load",)]


@pytest.mark.parametrize("lacking", ["", "refunds"])
def test_refunds_in_portions_are_not_missed(
    load: Callable[..., MemoryWarehouse], store: FakeStore, lacking: str
) -> None:
    """With the orders complete and the refunds not, every refund still to come was called missed."""
    store.absent = frozenset({lacking})
    store.place(24)
    for identifier in range(101, 125):
        store.refund(identifier)
    store.now += timedelta(hours=3)
    load("orders", portion=1_000)
    warehouse = load("refunds", portions=1, portion=8)
    assert 0 < len(warehouse.rows("refunds")) < 24
    load("orders", "refunds", portion=8)
    assert len(warehouse.rows("refunds")) == 24
    assert warehouse.rows("sweep_findings") == []
    load("orders", "refunds")
    assert warehouse.rows("sweep_findings") == []


def test_a_long_stretch_of_changes_is_taken_in_portions(load: Callable[..., MemoryWarehouse], store: FakeStore) -> None:
    """After a month without a load, or a plugin that touched every order, all of it had to come in one piece."""
    store.place(20)
    warehouse = load()
    store.now += timedelta(days=30)
    store.place(25)
    store.delete(105)
    load(portions=1)
    assert "portion" in warehouse.states["orders"]
    assert {row["id"] for row in warehouse.rows("orders")} < set(store.orders) | {105}
    load()
    assert {row["id"] for row in warehouse.rows("orders")} == set(store.orders) | {105}
    assert [row["id"] for row in warehouse.rows("deletions")] == [105]


def test_customers_go_on_where_they_were(load: Callable[..., MemoryWarehouse], store: FakeStore) -> None:
    """A hundred thousand customers were read from the first on again, or those not yet read passed for known."""
    store.customers = 43
    warehouse = load("customers", portions=2)
    assert 20 <= len(warehouse.rows("customers")) < 43
    assert "highest_id" not in warehouse.states["customers"]
    before = sum(warehouse.requests)
    load("customers")
    assert len(warehouse.rows("customers")) == 43
    assert sum(warehouse.requests) - before < 9
    assert warehouse.states["customers"]["highest_id"] == 43
