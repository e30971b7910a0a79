"""Sweeps through dlt and DuckDB: what leaves no date behind is found, recorded, read again or given a tombstone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from retail_assets.http import HttpStatusError
from retail_assets.ops import quarantine
from retail_assets.sources.intake import Counts
from retail_assets.sources.woocommerce import source as source_module
from retail_assets.sources.woocommerce import sweep as sweep_module
from retail_assets.sources.woocommerce import walk as walk_module
from retail_assets.sources.woocommerce import woocommerce_source
from retail_assets.sources.woocommerce.client import StoreClient
from tests.sources.loading import Home, closing_engine
from tests.sources.woocommerce.memory import MemoryWarehouse
from tests.sources.woocommerce.store import FakeStore, settings_for
from tests.support.server import running

BOTH = ("orders", "refunds")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    """A store with five orders on a page, its own clock and the refunds collection."""
    made = FakeStore(absent=frozenset())
    monkeypatch.setattr(walk_module, "_PAGE_SIZE", 5)
    monkeypatch.setattr(walk_module, "server_time", lambda _: made.now)
    return made


@pytest.fixture
def url(store: FakeStore) -> Iterator[str]:
    with running(store.app()) as address:
        yield address


def load(home: Home, url: str, *resources: str, **changes: Any) -> Mapping[str, Counts]:
    def source(intake: Any) -> Any:
        return woocommerce_source(settings_for(url, **changes), intake).with_resources(*resources)

    return home.load("woocommerce", "cedar_us", source)


@dataclass
class Quick:
    """The same over a warehouse in memory, for what does not depend on dlt."""

    url: str
    operations: str
    warehouse: MemoryWarehouse = field(default_factory=MemoryWarehouse)

    def load(self, *resources: str, **changes: Any) -> Mapping[str, Counts]:
        return self.warehouse.load(settings_for(self.url, **changes), self.operations, resources=resources or BOTH)

    def found(self) -> list[tuple[Any, ...]]:
        return self.warehouse.query("sweep_findings", "kind", "order_id")

    def gone(self) -> set[tuple[Any, ...]]:
        return {row for row in self.warehouse.query("deletions", "resource", "id", "cause", "is_deleted") if row[3]}

    def order(self, order_id: int) -> dict[str, Any]:
        (row,) = [row for row in self.warehouse.rows("orders") if row["id"] == order_id]
        return row


@pytest.fixture
def quick(url: str, tmp_path: Path) -> Quick:
    return Quick(url, f"sqlite:///{tmp_path / 'operations.sqlite'}")


def findings(home: Home) -> list[tuple[str, int, int | None]]:
    return home.query("select kind, order_id, refund_id from raw_woocommerce.sweep_findings order by all")


def tombstones(home: Home) -> set[tuple[str, int, str]]:
    return set(home.query("select resource, id, cause from raw_woocommerce.deletions where is_deleted"))


def test_deletions_are_found_and_stay_visible(home: Home, store: FakeStore, url: str) -> None:
    """An order deleted for good, or a refund taken back, stayed in the books as if nothing had happened."""
    store.place(12)
    kept, dropped, with_order = store.refund(103), store.refund(103), store.refund(105)
    load(home, url, *BOTH)
    assert home.query("select kind, storage, orders_listed from raw_woocommerce.order_sweeps") == [
        ("first_load", "hpos", 12)
    ]
    store.now += timedelta(hours=3)
    store.delete_refund(103, dropped)
    store.delete(105)
    load(home, url, *BOTH)
    assert tombstones(home) == {
        ("refunds", dropped, "itself"),
        ("orders", 105, "itself"),
        ("refunds", with_order, "with_order"),
    }
    assert findings(home) == [("order_deleted", 105, None), ("refund_deleted", 103, dropped)]
    assert home.one("select count(*) from raw_woocommerce.orders") == 12, "what is gone stays as last seen"
    payload = home.one("select _payload from raw_woocommerce.orders where id = 103")
    assert str(kept) in payload
    assert str(dropped) not in payload
    before = home.content("woocommerce")
    load(home, url, *BOTH)
    assert home.content("woocommerce") == before


def test_a_restored_backup_brings_records_back(home: Home, store: FakeStore, url: str) -> None:
    """A tombstone outlived its cause: the order was there again, and nobody counted it."""
    store.place(6)
    refund_id = store.refund(103)
    load(home, url, *BOTH)
    backup = dict(store.orders)
    store.now += timedelta(hours=3)
    store.delete(103)
    store.delete(104)
    load(home, url, *BOTH)
    assert tombstones(home) == {
        ("orders", 103, "itself"), ("orders", 104, "itself"), ("refunds", refund_id, "with_order")
    }  # fmt: skip
    store.orders |= backup
    load(home, url, *BOTH)
    assert not tombstones(home)
    assert home.one("select count(*) from raw_woocommerce.deletions") == 3
    assert ("order_returned", 103, None) in findings(home)


def test_a_large_quiet_store_is_asked_little(
    home: Home, store: FakeStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that finds nothing new listed the whole store, and a deletion waited for the next day."""
    monkeypatch.setattr(sweep_module, "_SMALL", 0)
    counted: list[int] = []
    close = StoreClient.close

    def closing(client: StoreClient) -> None:
        counted.append(client.requests)
        close(client)

    monkeypatch.setattr(source_module.StoreClient, "close", closing)
    store.place(30)
    store.refund(110)
    everything = (*BOTH, "products", "product_variations", "customers", "tax_rates")
    load(home, url, *everything)
    store.now += timedelta(hours=2)
    load(home, url, *everything)
    assert counted[-1] <= 12, "statuses and three control totals; one list for each of six resources"
    store.delete(115)
    store.place(1)
    store.now += timedelta(hours=2)
    load(home, url, *everything)
    assert findings(home) == [("order_deleted", 115, None)]
    assert home.one("select count(*) from raw_woocommerce.order_sweeps") == 2


def test_an_order_that_was_never_loaded_is_found(quick: Quick, store: FakeStore) -> None:
    """An order lost at a page seam was older than the cursor for ever after."""
    store.place(8, apart=timedelta(hours=1))
    hidden = store.orders.pop(104)
    quick.load()
    store.place(1)
    store.orders[104] = hidden
    quick.load()
    assert quick.order(104)
    assert quick.found() == [("order_missed", 104)]


def test_edits_on_the_old_storage_are_found(quick: Quick, store: FakeStore) -> None:
    """Without HPOS an edit moves no date: totals, lines and payment references stayed as they first were."""
    store.storage = "legacy"
    store.place(7, apart=timedelta(hours=1))
    quick.load()
    store.now += timedelta(hours=3)
    store.edit(103, total="55.00")
    store.edit(105, transaction_id="ch_new")
    assert quick.load()["orders"].received == 2, "what is unchanged is read, but not loaded again"
    assert quick.order(103)["total"] == Decimal("55.00")
    assert quick.order(105)["transaction_id"] == "ch_new"
    assert quick.found() == [("order_changed", 103), ("order_changed", 105)]


def test_a_large_store_on_the_old_storage_is_read_whole_at_its_rhythm(
    quick: Quick, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every load read every order; or an edit that moved no date was never found."""
    monkeypatch.setattr(sweep_module, "_SMALL", 0)
    monkeypatch.setattr(sweep_module, "_VERY_SMALL", 0)
    store.storage = "legacy"
    store.place(30, apart=timedelta(hours=1))
    quick.load()
    store.edit(105, transaction_id="ch_new")
    quick.load()
    assert quick.warehouse.requests[-1] < 8
    assert quick.order(105)["transaction_id"] != "ch_new"
    quick.load(sweep_hours=1)
    assert quick.order(105)["transaction_id"] == "ch_new"
    assert quick.warehouse.query("order_sweeps", "kind") == [("first_load",), ("full_compare",)]


def test_refunds_of_trashed_orders_stay_on_the_old_storage(quick: Quick, store: FakeStore) -> None:
    """There the refunds go to the trash with their order: money that was paid back seemed never to have been."""
    store.storage = "legacy"
    store.place(3)
    store.refund(102)
    quick.load()
    store.now += timedelta(hours=3)
    store.trash(102)
    quick.load()
    assert quick.order(102)["status"] == "trash"
    assert not quick.gone()
    store.restore(102)  # by REST, which leaves the refund in the trash
    quick.load()
    assert {resource for resource, *_ in quick.gone()} == {"refunds"}


def test_a_sweep_from_the_future_keeps_no_other_away(home: Home, store: FakeStore, url: str) -> None:
    """A clock that was wrong once: the sweep of that day passed for the newest, and none was due for years."""
    store.place(3)
    load(home, url, *BOTH)
    home.query("update raw_woocommerce.order_sweeps set swept_at = swept_at + interval 100 years")
    load(home, url, *BOTH)
    assert home.query("select kind from raw_woocommerce.order_sweeps order by swept_at") == [
        ("listing",),
        ("first_load",),
    ]


def test_what_stands_in_quarantine_is_not_missed_again_and_again(quick: Quick, store: FakeStore) -> None:
    """A broken order is in no table: every sweep read it again, and called it lost."""
    store.place(6, apart=timedelta(hours=1))
    store.orders[104]["total"] = "12.34567"
    quick.load()
    store.place(1)
    for _ in range(2):
        quick.load()
    assert quick.found() == []
    assert len(quick.warehouse.rows("order_sweeps")) == 1
    with closing_engine(quick.operations) as engine:
        assert len(list(quarantine.rows(engine, status="open"))) == 1


def test_a_new_broken_order_is_in_no_gap(quick: Quick, store: FakeStore) -> None:
    """Broken since the last load: the sweep listed it and nobody counted it, so a completeness gap was raised."""
    store.place(6, apart=timedelta(hours=1))
    quick.load()
    store.now += timedelta(days=2)
    store.place(1)
    newest = max(store.orders)
    store.orders[newest]["total"] = "12,50"
    quick.load()
    swept = quick.warehouse.rows("order_sweeps")[-1]
    assert (swept["orders_listed"], swept["orders_unreadable"], swept["findings"]) == (7, 1, 0)


def test_a_web_server_that_knows_nothing_proves_nothing(quick: Quick, store: FakeStore) -> None:
    """A 404 of a broken web server made tombstones of every order."""
    store.place(3)
    quick.load()
    store.now += timedelta(hours=3)
    store.place(1)
    store.orders.pop(102)
    store.absent = frozenset({"order"})
    with pytest.raises(HttpStatusError, match="404"):
        quick.load()
    assert not quick.gone()


def test_many_deletions_are_proved_over_several_loads(
    quick: Quick, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each deletion costs a request: ten thousand of them would have held up the load for an hour."""
    monkeypatch.setattr(sweep_module, "_MOST_PROVED", 4)
    store.place(12)
    store.place(1, status="checkout-draft")
    quick.load()
    store.now += timedelta(hours=3)
    for identifier in [*list(store.orders)[:9], 113]:
        store.delete(identifier)
    notes = quick.load()["orders"].notes
    assert "not finished" in notes[0]
    for _ in range(2):
        quick.load()
    assert {number for _, number, *_ in quick.gone()} == {*range(101, 110), 113}


def test_a_status_that_no_list_names_is_found(quick: Quick, store: FakeStore) -> None:
    """Orders with the status of a plugin that does not register it were never asked for by name."""
    store.place(8)
    store.orders[104]["status"] = "wc-odd"
    store.now += timedelta(minutes=1)
    quick.load()
    assert quick.order(104)["status"] == "wc-odd"


def test_fulfilments_and_gift_cards_come_with_their_order(quick: Quick, store: FakeStore) -> None:
    """What was shipped, and what a gift card paid, was nowhere; a shop without the plugins was asked for each order."""
    store.place(3)
    shipped = {
        "id": 7, "entity_type": "WC_Order", "entity_id": "102", "status": "fulfilled", "is_fulfilled": True,
        "date_updated": "2026-11-02 10:00:00", "date_deleted": None,
        "meta_data": [{"id": 1, "key": "_items", "value": [{"item_id": 1020, "qty": 1}]},
                      {"id": 2, "key": "_tracking_number", "value": "1Z"}],
    }  # fmt: skip
    meta = [{"id": 1, "key": "_fulfillment_status", "value": "fulfilled"}]
    store.change(102, meta_data=meta, _fulfillments=[shipped, {**shipped, "id": 8}])
    store.change(103, gift_cards=[{"id": 4, "code": "AAAA-BBBB", "amount": "12.50"}])
    counts = quick.load()
    assert counts["order_fulfillments"].loaded == 2
    assert quick.warehouse.query("order_fulfillments", "id", "order_id", "is_fulfilled") == [
        (7, 102, True), (8, 102, True)
    ]  # fmt: skip
    assert quick.warehouse.query("order_gift_cards", "order_id", "id", "amount") == [(103, 4, Decimal("12.50"))]
    store.now += timedelta(hours=1)
    store.change(102, _fulfillments=[shipped])
    quick.load()
    assert quick.gone() == {("order_fulfillments", 8, "itself", True)}


def test_new_customers_need_no_list_of_all(quick: Quick, store: FakeStore) -> None:
    """Customers ignore every change filter: a hundred thousand of them were read on every run."""
    store.customers = 23
    assert quick.load("customers")["customers"].received == 23
    store.customers = 31
    assert quick.load("customers")["customers"].received == 10
    assert quick.load("customers", sweep_hours=1)["customers"].received == 31
    assert len(quick.warehouse.rows("customers")) == 31
