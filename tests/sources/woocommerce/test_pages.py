"""Pages that a store cannot show as asked: smaller ones are asked for, and one bad record costs only itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response

from retail_assets.http import HttpStatusError
from retail_assets.ops import quarantine
from retail_assets.sources.woocommerce import pages as pages_module
from retail_assets.sources.woocommerce import walk as walk_module
from retail_assets.sources.woocommerce.client import StoreClient
from retail_assets.sources.woocommerce.pages import UnexpectedAnswerError, after_notice
from retail_assets.sources.woocommerce.walk import Walk
from tests.sources.loading import closing_engine
from tests.sources.woocommerce.memory import MemoryWarehouse
from tests.sources.woocommerce.store import FakeStore, settings_for
from tests.support.server import running

WARNING = b"<br />\n<b>Warning</b>:  Undefined array key [0] in <b>/srv/x.php</b> on line <b>5</b><br />\n"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    """A store with ten records on a page."""
    monkeypatch.setattr(walk_module, "_PAGE_SIZE", 10)
    monkeypatch.setattr(pages_module, "_PAUSE_SECONDS", 0)
    return FakeStore(absent=frozenset())


@pytest.fixture
def reader(store: FakeStore) -> Iterator[StoreClient]:
    """A client of that store."""
    with running(store.app()) as url:
        made = StoreClient(settings_for(url))
        yield made
        made.close()


def read(walk: Walk) -> tuple[list[Any], list[Any], list[str]]:
    """Ids read, ids that could not be, and what PHP said."""
    pages = list(walk.pages())
    ids = [identity for page in pages for identity in page.identities]
    unreadable = [one.identity for page in pages for one in page.unreadable]
    return ids, unreadable, [page.notice for page in pages if page.notice]


@pytest.mark.parametrize("parallel", [1, 3])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(broken=st.frozensets(st.integers(101, 135), max_size=4), knows_ids=st.booleans(), totals=st.booleans())
def test_one_bad_record_costs_only_itself(parallel: int, broken: frozenset[int], knows_ids: bool, totals: bool) -> None:
    """One order of which PHP dies ended every load of its store, and no later order was ever read."""
    store = FakeStore(broken=broken, broken_in_lists_of_ids=not knows_ids, offers_totals=totals)
    store.place(35)
    with pytest.MonkeyPatch.context() as patch, running(store.app()) as url:
        patch.setattr(walk_module, "_PAGE_SIZE", 10)
        client = StoreClient(settings_for(url, parallel_requests=parallel))
        # The store proves that it is alive by its first record, or its last.
        if broken >= {101, 135} and not knows_ids:
            with pytest.raises(HttpStatusError, match="500"):
                read(client.walk("orders", {"status": "any"}))
        else:
            walk = client.walk("orders", {"status": "any"})
            ids, unreadable, _ = read(walk)
            assert ids == [number for number in range(101, 136) if number not in broken]
            assert len(unreadable) == len(broken)
            assert not knows_ids or set(unreadable) == broken
            assert walk.complete
            assert walk.listed == 35
        client.close()


def test_a_bad_record_is_in_quarantine_until_it_is_mended(store: FakeStore, tmp_path: Path) -> None:
    """What was left out of a load was nowhere to be seen; or each load called it missed once more."""
    store.place(25)
    store.broken = frozenset({112})
    warehouse, operations = MemoryWarehouse(), f"sqlite:///{tmp_path / 'operations.sqlite'}"
    with running(store.app()) as url:
        for _ in range(2):
            counts = warehouse.load(settings_for(url), operations)["orders"]
            assert counts.received == counts.loaded + counts.quarantined
            assert counts.quarantined == 1
            assert any("112" in note and "fails to show" in note for note in counts.notes)
        assert len(warehouse.rows("orders")) == 24
        assert warehouse.rows("sweep_findings") == []
        with closing_engine(operations) as engine:
            (row,) = quarantine.rows(engine, status="open")
        assert row["record_key"] == "112"
        store.broken = frozenset()
        warehouse.load(settings_for(url), operations)
    assert len(warehouse.rows("orders")) == 25
    with closing_engine(operations) as engine:
        assert not list(quarantine.rows(engine, status="open"))


def test_an_order_that_breaks_later_is_not_called_deleted(store: FakeStore, tmp_path: Path) -> None:
    """An order that the store fails to show got a tombstone."""
    store.place(25)
    warehouse, operations = MemoryWarehouse(), f"sqlite:///{tmp_path / 'operations.sqlite'}"
    with running(store.app()) as url:
        warehouse.load(settings_for(url), operations)
        store.broken, store.broken_in_lists_of_ids = frozenset({112}), True
        store.place(1)
        warehouse.load(settings_for(url), operations)
    assert warehouse.rows("deletions") == []
    assert len(warehouse.rows("orders")) == 26


def test_a_slow_host_is_asked_for_less_at_a_time(store: FakeStore, reader: StoreClient) -> None:
    """A small host that times out over a hundred orders could not be read at all."""
    store.place(63)
    store.most_per_page = 4
    store.queries.clear()
    walk = reader.walk("orders", {"status": "any"})
    assert read(walk)[0] == list(range(101, 164))
    assert walk.complete
    refused = [query for query in store.queries if int(query["per_page"]) > 4]
    assert len(refused) < 12, "what was found to work is asked for next"


def test_records_that_leave_between_the_pieces_cost_no_other(store: FakeStore, reader: StoreClient) -> None:
    """The pieces of a page have seams of their own, where an order was lost when another left."""
    store.place(35)
    store.most_per_page = 5
    left: list[int] = []  # offsets at which an order was deleted

    def leave(_: str, offset: int) -> None:
        if offset in (5, 14, 29) and offset not in left:
            left.append(offset)
            store.delete(min(store.orders))

    store.before_page = leave
    walk = reader.walk("orders", {"status": "any"})
    ids = read(walk)[0]
    assert len(left) >= 2
    assert set(store.orders) <= set(ids)


def test_an_answer_that_breaks_off_is_asked_for_again(store: FakeStore, reader: StoreClient) -> None:
    """One answer cut short by a proxy ended the load."""
    store.place(25)
    store.garbles = 2
    assert read(reader.walk("orders", {"status": "any"}))[0] == list(range(101, 126))


def test_a_store_that_is_down_is_not_asked_piece_by_piece(store: FakeStore, reader: StoreClient) -> None:
    """A store that answered nothing was asked for every single record, each with all retries, and all were skipped."""
    store.raw["orders"] = JSONResponse({"code": "internal_server_error"}, 500)
    with pytest.raises(HttpStatusError, match="500"):
        read(reader.walk("orders", {"status": "any"}))
    assert len(store.queries) < 5


def test_too_many_bad_records_are_the_stores_fault(store: FakeStore, reader: StoreClient) -> None:
    """A plugin that breaks every order filled the quarantine with the whole store."""
    store.place(101)
    store.broken = frozenset(range(110, 200))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages_module, "_MOST_UNREADABLE", 4)
        with pytest.raises(HttpStatusError, match="500"):
            read(reader.walk("orders", {"status": "any"}))


def test_a_notice_of_php_is_no_data(store: FakeStore, reader: StoreClient) -> None:
    """With display_errors on, a plugin's warning before every answer kept a whole store from being read."""
    store.place(25)
    store.php_says = WARNING
    ids, _, notices = read(reader.walk("orders", {"status": "any"}))
    assert ids == list(range(101, 126))
    assert "Undefined array key" in notices[0]
    assert len(store.queries) < 3 + 2 + 1


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (WARNING + b'[{"id": 1}, {"id": 2}]', 2),
        (WARNING + b"[]", 0),
        (b'PHP Notice: x in y.php on line 3\nDeprecated: y in z.php on line 4\n [ {"id": 1}]', 1),
        (WARNING + b'[{"id": 1}, {"id": 2}', None),
        (WARNING + b'[{"id": 1}, {"id": 2}]<br />', None),
        (WARNING + b'[{"id": "x"}]', None),
        (WARNING + b'[{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}]', None),
        (WARNING + b'{"code": "rest_error", "data": [{"id": 1}]}', None),
        (b'<html>[{"id": 1}]', None),
        (b'<b>Fatal error</b>: x in y on line 2 Warning: x in y on line 3\n[{"id": 1}]', None),
        (b"", None),
    ],
)
def test_only_a_whole_list_after_a_notice_is_taken(body: bytes, number: int | None) -> None:
    """A list inside a page, an error object or half an answer was taken for the store's records."""
    found = after_notice(body, 3)
    assert (None if found is None else len(found[1])) == number


def test_a_notice_of_an_answer_that_is_no_list_stays_an_error(store: FakeStore, reader: StoreClient) -> None:
    """A warning before an error object passed for an empty list."""
    store.raw["orders"] = Response(WARNING + b'{"code": "rest_forbidden"}', media_type="application/json")
    with pytest.raises(UnexpectedAnswerError):
        read(reader.walk("orders", {"status": "any"}))
