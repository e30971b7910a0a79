"""Products and customers that a store deletes: they stay as last seen, and say so."""

from collections.abc import Iterator
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

BOTH = ("products", "customers")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    """Five records on a page, twelve products and twelve customers."""
    made = FakeStore(absent=frozenset(), customers=12)
    made.products = {
        number: {"id": number, "status": "publish", "type": "simple", "date_modified_gmt": "2026-10-01T00:00:00"}
        for number in range(1, 13)
    }
    monkeypatch.setattr(walk_module, "_PAGE_SIZE", 5)
    monkeypatch.setattr(walk_module, "server_time", lambda _: made.now)
    return made


@pytest.fixture
def url(store: FakeStore) -> Iterator[str]:
    with running(store.app()) as address:
        yield address


def test_deleted_products_and_customers_are_marked(home: Home, store: FakeStore, url: str) -> None:
    """A product that is no longer sold had stock for ever; an account that was deleted still was one."""

    def load() -> None:
        def source(intake: Intake) -> Any:
            intake.portion = 4
            return woocommerce_source(settings_for(url, sweep_hours=1), intake).with_resources(*BOTH)

        home.load("woocommerce", "cedar_us", source)

    load()
    for number in (1, 7, 12):
        del store.products[number]
    store.products[3]["status"] = "trash"
    store.deleted_customers = frozenset({2, 12})
    load()
    assert home.query("select resource, id, order_id from raw_woocommerce.deletions where is_deleted order by all") == [
        ("customers", 2, 0),
        ("customers", 12, 0),
        ("products", 1, 0),
        ("products", 7, 0),
        ("products", 12, 0),
    ]
    assert home.one("select status from raw_woocommerce.products where id = 3") == "trash"
    assert home.one("select count(*) from raw_woocommerce.products") == 12
    before = home.content("woocommerce")
    load()
    assert home.content("woocommerce") == before


def test_what_is_not_proved_is_not_gone(store: FakeStore, url: str, tmp_path: Path) -> None:
    """A read that was not whole, or a list that leaves something out, made tombstones of what is there."""
    warehouse, operations = MemoryWarehouse(), f"sqlite:///{tmp_path / 'operations.sqlite'}"

    def load(after: timedelta, **how: Any) -> None:
        warehouse.load(settings_for(url), operations, after, BOTH, **how)

    load(timedelta(0))
    del store.products[2], store.products[11]
    load(timedelta(hours=2))  # no whole read is due
    assert warehouse.rows("deletions") == []
    load(timedelta(hours=25), portion=2, portions=1)  # killed after the first page
    assert warehouse.rows("deletions") == []
    load(timedelta(hours=1), portion=2)
    assert {(row["resource"], row["id"]) for row in warehouse.rows("deletions")} == {("products", 2), ("products", 11)}
