"""The client of one store: authentication, and walks that lose nothing or say so."""

from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
from starlette.responses import HTMLResponse, JSONResponse, Response

from retail_assets.http import HttpStatusError
from retail_assets.sources.woocommerce import client as client_module
from retail_assets.sources.woocommerce.client import StoreClient, UnexpectedAnswerError, Walk
from tests.sources.woocommerce.store import KEY, SECRET, FakeStore, settings_for
from tests.support.server import running


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    """A store with five orders on a page."""
    monkeypatch.setattr(client_module, "_PAGE_SIZE", 5)
    return FakeStore()


@pytest.fixture
def reader(store: FakeStore) -> Iterator[StoreClient]:
    """A client of that store."""
    with running(store.app()) as url:
        made = StoreClient(settings_for(url))
        yield made
        made.close()


def ids(walk: Walk) -> list[int]:
    return [client_module._ID.decode(record).id or 0 for page in walk.pages() for record in page.records]


def test_plain_http_is_signed_and_holds_no_secret(store: FakeStore, reader: StoreClient) -> None:
    """WooCommerce refuses anything but OAuth 1.0a on http; a secret in the address ends in every log on the way."""
    store.place(7)
    assert ids(reader.walk("orders", {"status": "any", "search": "a b+c&ü/~"})) == list(range(101, 108))
    assert len(store.urls) == 4
    assert not [url for url in store.urls if SECRET in url or "consumer_secret" in url]
    assert len({query["oauth_nonce"] for query in store.queries}) == 4


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

    def send(_: requests.Session, request: requests.PreparedRequest, **__: object) -> requests.Response:
        sent.append(request)
        answer = requests.Response()
        answer.status_code, answer._content = 200, b"[]"
        return answer

    monkeypatch.setattr(requests.Session, "send", send)
    reader = StoreClient(settings_for("https://shop.example/brand/"))
    ids(reader.walk("orders", {"status": "any"}))
    reader.close()
    (request,) = sent
    assert request.headers["Authorization"] == "Basic " + b64encode(f"{KEY}:{SECRET}".encode()).decode()
    assert (request.url or "").startswith("https://shop.example/brand/wp-json/wc/v3/orders?")
    assert KEY not in (request.url or "")
    assert SECRET not in (request.url or "")


@pytest.mark.parametrize("number", [0, 1, 4, 5, 6, 10, 11])
def test_every_page_is_read(store: FakeStore, reader: StoreClient, number: int) -> None:
    """The last page, or a page that is exactly full, was left out or asked for without end."""
    store.place(number)
    walk = reader.walk("orders", {"status": "any"})
    assert ids(walk) == list(range(101, 101 + number))
    assert walk.complete
    pages = max(1, -(-number // 5))
    assert len(store.queries) == (1 if pages == 1 else pages + 2), (
        "first page, last page as the bound, then all of them"
    )


def test_orders_placed_meanwhile_do_not_keep_it_from_ending(store: FakeStore, reader: StoreClient) -> None:
    """On a busy store no pass is still: its first load was read three times over and its cursor never moved."""
    store.place(12)
    store.before_page = lambda _, page: store.place(1) if page > 1 else None
    walk = reader.walk("orders", {"status": "any"})
    found = ids(walk)
    assert walk.complete
    assert found[:12] == list(range(101, 113))
    assert len(set(found)) == len(found)


def test_an_order_trashed_as_another_is_placed_costs_no_other(store: FakeStore, reader: StoreClient) -> None:
    """The total stays the same, so a walk that trusts it alone loses the order at the page seam."""
    store.place(12)
    done: list[int] = []

    def swap(_: str, page: int) -> None:
        if page == 2 and len(store.queries) > 3 and not done:
            store.change(102, status="trash")
            store.place(1)
            done.append(page)

    store.before_page = swap
    walk = reader.walk("orders", {"status": "any"})
    found = ids(walk)
    assert done
    assert set(range(101, 113)) <= set(found)
    assert walk.complete


def test_an_order_trashed_meanwhile_costs_no_other(store: FakeStore, reader: StoreClient) -> None:
    """Paging by offset loses the order at the page seam when an earlier one leaves the list."""
    store.place(12)

    def trash_one(_: str, page: int) -> None:
        if page == 2:
            store.change(102, status="trash")

    store.before_page = trash_one
    walk = reader.walk("orders", {"status": "any"})
    found = ids(walk)
    assert sorted(found) == list(range(101, 113))
    assert len(set(found)) == len(found)
    assert walk.complete


def test_a_list_that_never_rests_is_not_called_complete(store: FakeStore, reader: StoreClient) -> None:
    """A walk that may have lost orders was taken for a whole one, and the cursor passed them for ever."""
    store.place(60)

    def trash_on_every_page(_: str, page: int) -> None:
        if page > 1:
            oldest = min(identifier for identifier, order in store.orders.items() if order["status"] != "trash")
            store.change(oldest, status="trash")

    store.before_page = trash_on_every_page
    walk = reader.walk("orders", {"status": "any"})
    found = ids(walk)
    assert not walk.complete
    assert len(set(found)) == len(found)


def test_a_record_without_a_readable_id_is_one_record(store: FakeStore, reader: StoreClient) -> None:
    """One order with a broken id made every walk look incomplete: it came three times, and the cursor stood still."""
    store.place(6)
    store.orders[103]["id"] = "103x"
    store.orders[104]["id"] = None
    walk = reader.walk("orders", {"status": "any"})
    records = [record for page in walk.pages() for record in page.records]
    assert len(records) == 6
    assert walk.complete
    assert len(store.queries) == 4


def test_what_another_walk_has_seen_is_left_out(store: FakeStore, reader: StoreClient) -> None:
    """An order that moved to the trash between two walks came twice in one load, with two versions."""
    store.place(3)
    first = reader.walk("orders", {"status": "any"})
    ids(first)
    store.change(102, status="trash")
    second = reader.walk("orders", {"status": "trash"}, frozenset(first.seen))
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
    assert client_module._server_time(answer) == datetime(2026, 11, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "answer",
    [
        HTMLResponse("<html>maintenance</html>"),
        Response(b'Warning: Undefined variable in x.php on line 5\n[{"id":1}]', media_type="application/json"),
        Response(b'[{"id":1},', media_type="application/json"),
        Response(b"", media_type="application/json"),
        JSONResponse({"code": "rest_forbidden"}),
    ],
    ids=["html", "php warning", "truncated", "empty", "object"],
)
def test_what_is_no_list_is_an_error(store: FakeStore, reader: StoreClient, answer: Response) -> None:
    """A maintenance page with status 200, or a PHP warning before the JSON, was taken for an empty store."""
    store.raw["orders"] = answer
    with pytest.raises(UnexpectedAnswerError, match="did not answer with a JSON list") as caught:
        ids(reader.walk("orders", {"status": "any"}))
    assert "oauth" not in str(caught.value)
