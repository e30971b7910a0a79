"""The client of one store: authentication, and walks that lose nothing or say so."""

import io
import math
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from starlette.responses import HTMLResponse, JSONResponse, Response
from urllib3 import HTTPResponse

from retail_assets.http import HttpStatusError
from retail_assets.sources.woocommerce import walk as walk_module
from retail_assets.sources.woocommerce.client import StoreClient
from retail_assets.sources.woocommerce.ids import IdSet
from retail_assets.sources.woocommerce.pages import UnexpectedAnswerError, identity_of
from retail_assets.sources.woocommerce.walk import Walk
from tests.sources.woocommerce.store import KEY, SECRET, FakeStore, settings_for
from tests.support.server import running


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    """A store with five orders on a page."""
    monkeypatch.setattr(walk_module, "_PAGE_SIZE", 5)
    return FakeStore()


@pytest.fixture
def reader(store: FakeStore) -> Iterator[StoreClient]:
    """A client of that store."""
    with running(store.app()) as url:
        made = StoreClient(settings_for(url))
        yield made
        made.close()


def ids(walk: Walk) -> list[Any]:
    return [identity_of(record) for page in walk.pages() for record in page.records]


def test_plain_http_is_signed_and_holds_no_secret(store: FakeStore, reader: StoreClient) -> None:
    """WooCommerce refuses anything but OAuth 1.0a on http; a secret in the address ends in every log on the way."""
    store.place(7)
    assert ids(reader.walk("orders", {"status": "any", "search": "a b+c&ü/~"})) == list(range(101, 108))
    assert len(store.urls) == 2
    assert not [url for url in store.urls if SECRET in url or "consumer_secret" in url]
    assert len({query["oauth_nonce"] for query in store.queries}) == 2


def test_a_byte_order_mark_is_no_data(store: FakeStore, reader: StoreClient) -> None:
    """One PHP file of a theme saved with a byte order mark puts it before every answer, and nothing could be read."""
    store.raw["orders"] = Response(b'\xef\xbb\xbf[{"id": 1}]', media_type="application/json")
    assert ids(reader.walk("orders")) == [1]


def test_a_wrong_secret_is_an_error_without_the_secret(store: FakeStore) -> None:
    """A key that no longer opens the store looked like a store without orders; the error printed it."""
    with running(store.app()) as url:
        reader = StoreClient(settings_for(url, consumer_secret="cs_other"))
        with pytest.raises(HttpStatusError, match="401") as caught:
            ids(reader.walk("orders", {"status": "any"}))
        reader.close()
    assert "cs_other" not in str(caught.value)
    assert "oauth" not in str(caught.value)


def test_https_uses_basic_and_no_query_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """On https the keys travelled in the address, where proxies and logs keep them."""
    sent: list[requests.PreparedRequest] = []

    def send(_: HTTPAdapter, request: requests.PreparedRequest, **__: object) -> requests.Response:
        sent.append(request)
        answer = requests.Response()
        answer.status_code, answer.raw = 200, HTTPResponse(io.BytesIO(b"[]"), preload_content=False)
        return answer

    monkeypatch.setattr(HTTPAdapter, "send", send)
    reader = StoreClient(settings_for("https://shop.example/brand/"))
    ids(reader.walk("orders", {"status": "any"}))
    reader.close()
    (request,) = sent
    assert request.headers["Authorization"] == "Basic " + b64encode(f"{KEY}:{SECRET}".encode()).decode()
    assert (request.url or "").startswith("https://shop.example/brand/wp-json/wc/v3/orders?")
    assert KEY not in (request.url or "")
    assert SECRET not in (request.url or "")


@pytest.mark.parametrize("number", [0, 1, 4, 5, 6, 9, 10, 13, 14])
def test_every_page_is_read(store: FakeStore, reader: StoreClient, number: int) -> None:
    """The last page, or a page that is exactly full, was left out or asked for without end."""
    store.place(number)
    walk = reader.walk("orders", {"status": "any"})
    assert ids(walk) == list(range(101, 101 + number))
    assert walk.complete
    assert len(store.queries) == (1 if number <= 5 else 1 + math.ceil((number - 5) / 4)), (
        "each page after the first begins with the last record of the one before"
    )


def test_orders_placed_meanwhile_do_not_keep_it_from_ending(store: FakeStore, reader: StoreClient) -> None:
    """On a busy store no pass is still: its first load was read three times over and its cursor never moved."""
    store.place(12)
    store.before_page = lambda _, offset: store.place(1) if 0 < offset < 16 else None
    walk = reader.walk("orders", {"status": "any"})
    found = ids(walk)
    assert walk.complete
    assert found[:12] == list(range(101, 113))
    assert len(set(found)) == len(found)


def test_an_order_trashed_as_another_is_placed_costs_no_other(store: FakeStore, reader: StoreClient) -> None:
    """The total stays the same, so a walk that trusts it alone loses the order at the page seam."""
    store.place(12)
    done: list[int] = []

    def swap(_: str, offset: int) -> None:
        if offset == 4 and not done:
            store.change(102, status="trash")
            store.place(1)
            done.append(offset)

    store.before_page = swap
    walk = reader.walk("orders", {"status": "any"})
    found = ids(walk)
    assert done
    assert set(range(101, 113)) <= set(found)
    assert walk.complete


def test_an_order_trashed_meanwhile_costs_no_other(store: FakeStore, reader: StoreClient) -> None:
    """Paging by offset loses the order at the page seam when an earlier one leaves the list."""
    store.place(12)

    def trash_one(_: str, offset: int) -> None:
        if offset == 4:
            store.change(102, status="trash")

    store.before_page = trash_one
    walk = reader.walk("orders", {"status": "any"})
    found = ids(walk)
    assert sorted(found) == list(range(101, 113))
    assert len(set(found)) == len(found)
    assert walk.complete


def test_a_list_that_shrinks_all_the_time_is_still_read_whole(store: FakeStore, reader: StoreClient) -> None:
    """An order trashed before every page: each of them would have cost an innocent one."""
    store.place(60)

    def trash_on_every_page(_: str, offset: int) -> None:
        if offset > 0:
            oldest = min(identifier for identifier, order in store.orders.items() if order["status"] != "trash")
            store.change(oldest, status="trash")

    store.before_page = trash_on_every_page
    walk = reader.walk("orders", {"status": "any"})
    found = ids(walk)
    assert walk.complete
    assert len(set(found)) == len(found)
    assert {order["id"] for order in store.orders.values() if order["status"] != "trash"} <= set(found)


def test_a_list_that_never_rests_is_not_called_complete(store: FakeStore, reader: StoreClient) -> None:
    """A walk that may have lost orders was taken for a whole one, and the cursor passed them for ever."""
    store.place(400)

    def empty_it(_: str, offset: int) -> None:
        live = [identifier for identifier, order in store.orders.items() if order["status"] != "trash"]
        for identifier in live[:8] if offset > 0 else ():
            store.change(identifier, status="trash")

    store.before_page = empty_it
    walk = reader.walk("orders", {"status": "any"})
    found = ids(walk)
    live = {order["id"] for order in store.orders.values() if order["status"] != "trash"}
    assert not walk.complete or live <= set(found)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("number", [3, 5, 6, 23])
def test_a_store_that_tells_no_totals_is_read_whole(store: FakeStore, reader: StoreClient, number: int) -> None:
    """A proxy that strips X-WP-Total made the first page the whole store."""
    store.place(number)
    store.offers_totals = False
    walk = reader.walk("orders", {"status": "any"})
    assert ids(walk) == list(range(101, 101 + number))
    assert walk.complete


@pytest.mark.parametrize("totals", [True, False])
def test_a_store_that_ignores_the_offset_is_read_by_page(store: FakeStore, reader: StoreClient, totals: bool) -> None:
    """Such a store answers the first page for ever."""
    store.place(23)
    store.offers_offset, store.offers_totals = False, totals
    walk = reader.walk("orders", {"status": "any"})
    assert ids(walk) == list(range(101, 124))
    assert walk.complete


def test_pages_asked_for_in_advance_lose_nothing(store: FakeStore) -> None:
    """Pages that were fetched at the same time overlap as those fetched one by one do."""
    store.place(60)

    def restless(_: str, offset: int) -> None:
        store.place(1)
        if offset in (8, 20, 36):
            store.change(offset // 4 + 100, status="trash")

    store.before_page = restless
    with running(store.app()) as url:
        reader = StoreClient(settings_for(url, parallel_requests=3))
        walk = reader.walk("orders", {"status": "any"})
        found = ids(walk)
        reader.close()
    assert walk.complete
    assert len(set(found)) == len(found)
    assert set(range(101, 161)) - {102, 105, 109} <= set(found)
    assert reader.requests == len(store.queries)


def test_a_shop_with_plain_permalinks_is_found(store: FakeStore) -> None:
    """Without pretty permalinks there is no /wp-json/: the store seemed to be none."""
    store.place(7)
    store.plain_permalinks = True
    with running(store.app()) as url:
        reader = StoreClient(settings_for(url))
        assert ids(reader.walk("orders", {"status": "any"})) == list(range(101, 108))
        reader.close()


def test_an_address_without_a_store_is_named(store: FakeStore) -> None:
    """A wrong base_url ended in an error about JSON, or about the way around it."""
    with running(store.app()) as url:
        reader = StoreClient(settings_for(f"{url}/elsewhere"))
        with pytest.raises(HttpStatusError, match=r"404 from GET .*/elsewhere/wp-json/wc/v3/orders"):
            ids(reader.walk("orders", {"status": "any"}))
        reader.close()


@pytest.mark.parametrize(
    ("absent", "storage", "found"),
    [("", "hpos", "hpos"), ("", "legacy", "legacy"), ("system_status", "hpos", "unknown")],
)
def test_the_storage_is_asked_for_and_may_stay_unknown(store: FakeStore, absent: str, storage: str, found: str) -> None:
    """A key without the right to read the system status stopped the load, or passed for the new storage."""
    store.storage, store.absent = storage, frozenset({absent})
    with running(store.app()) as url:
        reader = StoreClient(settings_for(url))
        assert reader.storage() == found
        assert StoreClient(settings_for(url, order_storage="hpos")).storage() == "hpos"
        reader.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.integers(-5, 300), st.integers(2**62, 2**70), st.binary(max_size=2))))
def test_sets_of_ids_are_sets(identities: list[int | bytes]) -> None:
    """An id that came out of order, or too large for 64 bits, was forgotten and its record loaded twice."""
    found = IdSet(identities)
    assert set(found) == set(identities)
    assert len(found) == len(set(identities))
    assert all(identity in found for identity in identities)
    assert -9 not in found
    assert b"???" not in found


def test_a_record_without_a_readable_id_is_one_record(store: FakeStore, reader: StoreClient) -> None:
    """One order with a broken id made every walk look incomplete: it came three times, and the cursor stood still."""
    store.place(6)
    store.orders[103]["id"] = "103x"
    store.orders[104]["id"] = None
    walk = reader.walk("orders", {"status": "any"})
    records = [record for page in walk.pages() for record in page.records]
    assert len(records) == 6
    assert walk.complete
    assert len(store.queries) == 2


def test_what_another_walk_has_seen_is_left_out(store: FakeStore, reader: StoreClient) -> None:
    """An order that moved to the trash between two walks came twice in one load, with two versions."""
    store.place(3)
    first = reader.walk("orders", {"status": "any"})
    ids(first)
    store.change(102, status="trash")
    second = reader.walk("orders", {"status": "trash"}, IdSet(first.seen))
    assert ids(second) == []
    assert second.complete


def test_the_walk_starts_at_the_stores_own_time(store: FakeStore, reader: StoreClient) -> None:
    """A clock of ours that is ahead of the store's moved the cursor past changes."""
    store.place(1)
    walk = reader.walk("orders", {"status": "any"})
    ids(walk)
    assert walk.started_at is not None
    assert abs(datetime.now(UTC) - walk.started_at) < timedelta(minutes=1)
    answer = requests.Response()
    answer.headers["Date"] = "Thu, 05 Nov 2026 12:00:00 GMT"
    assert walk_module.server_time(answer) == datetime(2026, 11, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "answer",
    [
        HTMLResponse("<html>maintenance</html>"),
        Response(b'Fatal error: Allowed memory size in x.php on line 5\n[{"id":1}]', media_type="application/json"),
        Response(b'[{"id":1},', media_type="application/json"),
        Response(b"", media_type="application/json"),
        JSONResponse({"code": "rest_forbidden"}),
    ],
    ids=["html", "php error", "truncated", "empty", "object"],
)
def test_what_is_no_list_is_an_error(store: FakeStore, reader: StoreClient, answer: Response) -> None:
    """A maintenance page with status 200, or a PHP error before the JSON, was taken for an empty store."""
    store.raw["orders"] = answer
    with pytest.raises(UnexpectedAnswerError, match="did not answer with a JSON list") as caught:
        ids(reader.walk("orders", {"status": "any"}))
    assert "oauth" not in str(caught.value)
