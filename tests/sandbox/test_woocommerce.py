"""The simulated store must behave as the measured one did, oddities included: they are what loaders stumble over."""

import base64
from typing import Any

import anyio
import pytest
import requests
from requests_oauthlib import OAuth1

from retail_assets.sandbox.profiles import STORES
from retail_assets.sandbox.server import RunningServer, create_app
from tests.sandbox.conftest import CREDENTIALS, State


def key_of(store_id: str, **options: Any) -> OAuth1:
    key, secret = CREDENTIALS[f"{store_id.upper()}_CONSUMER_KEY"], CREDENTIALS[f"{store_id.upper()}_CONSUMER_SECRET"]
    return OAuth1(key, options.pop("secret", secret), signature_method="HMAC-SHA256", **options)


def ask(
    server: RunningServer, path: str, store_id: str = "cedar_us", method: str = "GET", **query: Any
) -> requests.Response:
    """A signed request to a store."""
    url = f"{server.url}/{store_id}/wp-json/wc/v3/{path}"
    return requests.request(method, url, params=query, auth=key_of(store_id, signature_type="query"), timeout=10)


def ids(answer: requests.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [record["id"] for record in answer.json()]


def walk(server: RunningServer, path: str, store_id: str = "cedar_us", **query: Any) -> list[dict[str, Any]]:
    """All records of a list, page by page."""
    found: list[dict[str, Any]] = []
    page = 1
    while records := ask(server, path, store_id, per_page=100, page=page, **query).json():
        found += records
        page += 1
    return found


# -- keys --------------------------------------------------------------------------------------------------------------


def test_a_nonce_is_good_once(sandbox: RunningServer) -> None:
    """A request sent again with its old signature was answered here, and refused by every real store."""
    key = key_of("cedar_us", signature_type="query")
    prepared = requests.Request("GET", f"{sandbox.url}/cedar_us/wp-json/wc/v3/orders", auth=key).prepare()
    with requests.Session() as session:
        assert session.send(prepared, timeout=10).status_code == 200
        answer = session.send(prepared, timeout=10)
    assert answer.status_code == 401
    assert answer.json()["message"] == "Invalid nonce - nonce has already been used."


@pytest.mark.parametrize("place", ["query", "auth_header"])
def test_oauth_opens_the_store_on_plain_http(sandbox: RunningServer, place: str) -> None:
    """A loader signs in the query or in the header; spaces, umlauts and commas must survive the signature."""
    url = f"{sandbox.url}/cedar_us/wp-json/wc/v3/orders"
    query = {"status": "completed,processing", "search": "Öl & Käse ~ 1", "modified_after": "2026-10-01T00:00:00+00:00"}
    answer = requests.get(url, params=query, auth=key_of("cedar_us", signature_type=place), timeout=10)
    assert answer.status_code == 200
    assert len(answer.json()) == 10


@pytest.mark.parametrize("auth", [None, ("ck_cedar_us", "cs_cedar_us"), key_of("linden_de")])
def test_basic_and_foreign_keys_are_refused_on_plain_http(sandbox: RunningServer, auth: Any) -> None:
    """Basic over http is answered exactly like no key at all: the message is all that a doctor command has to go by."""
    answer = requests.get(f"{sandbox.url}/cedar_us/wp-json/wc/v3/orders", auth=auth, timeout=10)
    assert answer.status_code == 401
    assert answer.json() == {
        "code": "woocommerce_rest_cannot_view",
        "message": "Sorry, you cannot list resources.",
        "data": {"status": 401},
    }


def test_a_wrong_secret_and_a_write_are_refused_with_their_own_code(sandbox: RunningServer) -> None:
    """A wrong secret must be told from an unknown key; a read-only key answers 401, not 403, to a write."""
    url = f"{sandbox.url}/cedar_us/wp-json/wc/v3/orders"
    wrong = requests.get(url, auth=key_of("cedar_us", secret="cs_wrong"), timeout=10)
    write = requests.post(url.replace("cedar_us", "linden_de"), auth=key_of("linden_de"), timeout=10)
    for answer in (wrong, write):
        assert answer.status_code == 401
        assert answer.json()["code"] == "woocommerce_rest_authentication_error"


def test_basic_opens_the_store_on_https(world: State, request: pytest.FixtureRequest) -> None:
    """Behind TLS the same key works with Basic and as query parameters, and OAuth is not needed."""
    app = create_app(world.home, CREDENTIALS)
    request.addfinalizer(app.close)

    path = "/cedar_us/wp-json/wc/v3/orders"

    def status(authorization: str, query: str = "") -> int:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "scheme": "https", "path": path, "root_path": "",
            "query_string": query.encode(), "headers": [(b"host", b"shop"), (b"authorization", authorization.encode())],
            "server": ("shop", 443), "http_version": "1.1",
        }  # fmt: skip
        anyio.run(app, scope, receive, send)
        return sent[0]["status"]

    good = base64.b64encode(b"ck_cedar_us:cs_cedar_us").decode()
    bad = base64.b64encode(b"ck_cedar_us:cs_wrong").decode()
    assert status(f"Basic {good}") == 200
    assert status("", "consumer_key=ck_cedar_us&consumer_secret=cs_cedar_us") == 200
    assert status(f"Basic {bad}") == 401
    assert status("Basic !!!") == 401
    assert status("") == 401


# -- paging ------------------------------------------------------------------------------------------------------------


def test_pages_are_ten_by_default_and_never_capped_silently(sandbox: RunningServer) -> None:
    """A page size that is quietly cut would make a loader believe it has everything."""
    assert len(ask(sandbox, "orders").json()) == 10
    assert len(ask(sandbox, "orders", per_page=100).json()) == 100
    for size in ("0", "101", "-1", "many"):
        answer = ask(sandbox, "orders", per_page=size)
        assert answer.status_code == 400
        assert answer.json()["code"] == "rest_invalid_param"
        assert "per_page" in answer.json()["data"]["params"]


def test_totals_are_in_headers_and_zero_beyond_the_last_page(sandbox: RunningServer, world: State) -> None:
    """Who reads the totals from the last answer of a walk reads 0."""
    ((total,),) = world.table("cedar_us", "select count(*) from orders where status <> 'trash'")
    first = ask(sandbox, "orders", per_page=100)
    assert (first.headers["X-WP-Total"], first.headers["X-WP-TotalPages"]) == (str(total), str(-(-total // 100)))
    beyond = ask(sandbox, "orders", per_page=100, page=99)
    assert (beyond.status_code, beyond.json()) == (200, [])
    assert (beyond.headers["X-WP-Total"], beyond.headers["X-WP-TotalPages"]) == ("0", "0")


def test_head_has_the_totals_and_no_body(sandbox: RunningServer) -> None:
    """A count can be had without the records."""
    answer = ask(sandbox, "orders", method="HEAD", per_page=1)
    assert int(answer.headers["X-WP-Total"]) > 100
    assert answer.content == b""


def test_links_lead_through_the_pages(sandbox: RunningServer) -> None:
    """The Link header keeps the filters."""
    answer = ask(sandbox, "orders", per_page=50, page=2, status="completed")
    assert set(answer.links) == {"prev", "next"}
    assert "status=completed" in answer.links["next"]["url"]
    assert "page=3" in answer.links["next"]["url"]
    assert answer.links["next"]["url"].startswith(f"{sandbox.url}/cedar_us/wp-json/wc/v3/orders?")
    assert set(ask(sandbox, "orders", per_page=50).links) == {"next"}


def test_a_walk_by_id_sees_everything_once(sandbox: RunningServer, world: State) -> None:
    """The safe walk: nothing lost, nothing doubled, in order."""
    found = [order["id"] for order in walk(sandbox, "orders", orderby="id", order="asc")]
    stored = [
        order_id for (order_id,) in world.table("cedar_us", "select id from orders where status <> 'trash' order by id")
    ]
    assert found == stored


def test_order_by(sandbox: RunningServer) -> None:
    """Newest first by default; unknown words are refused."""
    assert ids(ask(sandbox, "orders")) == sorted(ids(ask(sandbox, "orders")), reverse=True)
    modified = [order["date_modified_gmt"] for order in ask(sandbox, "orders", orderby="modified", order="asc").json()]
    assert modified == sorted(modified)
    first, second = ids(ask(sandbox, "orders", per_page=2))
    assert ids(ask(sandbox, "orders", orderby="include", include=f"{second},{first}")) == [second, first]
    for query in ({"orderby": "date_modified"}, {"order": "up"}):
        assert ask(sandbox, "orders", **query).status_code == 400


# -- filters -----------------------------------------------------------------------------------------------------------


def test_trash_is_seen_only_when_asked_for_alone_or_by_name(sandbox: RunningServer, world: State) -> None:
    """``any`` wins over ``trash``: an incremental load that asks for ``any,trash`` never sees a trashed order."""
    ((trashed,),) = world.table("cedar_us", "select count(*) from orders where status = 'trash'")
    ((completed,),) = world.table("cedar_us", "select count(*) from orders where status = 'completed'")
    ((rest,),) = world.table("cedar_us", "select count(*) from orders where status <> 'trash'")
    expected = {"any": rest, "any,trash": rest, "trash": trashed, "trash,completed": trashed + completed, "": rest}
    for status, count in expected.items():
        assert int(ask(sandbox, "orders", status=status, per_page=1).headers["X-WP-Total"]) == count, status
    assert ask(sandbox, "orders", status="lost").status_code == 400
    ((order_id,),) = world.table("cedar_us", "select id from orders where status = 'trash' limit 1")
    assert ids(ask(sandbox, "orders", include=order_id)) == []
    assert ids(ask(sandbox, "orders", include=order_id, status="trash")) == [order_id]
    single = ask(sandbox, f"orders/{order_id}")
    assert (single.status_code, single.json()["status"]) == (200, "trash")


def test_statuses_lack_trash(sandbox: RunningServer) -> None:
    """The list of statuses is the only complete way to name them, and trash must be added by hand."""
    slugs = [status["slug"] for status in ask(sandbox, "orders/statuses").json()]
    assert "checkout-draft" in slugs
    assert "trash" not in slugs


def test_date_filters_are_exclusive(sandbox: RunningServer) -> None:
    """A cursor on the last seen second loses what else happened in it."""
    newest = ask(sandbox, "orders", orderby="modified", order="desc", per_page=1).json()[0]["date_modified_gmt"]
    assert ids(ask(sandbox, "orders", modified_after=newest, dates_are_gmt="true")) == []
    oldest = ask(sandbox, "orders", orderby="date", order="asc", per_page=1).json()[0]
    assert ids(ask(sandbox, "orders", before=oldest["date_created_gmt"], dates_are_gmt="true")) == []


@pytest.mark.parametrize(("store_id", "hours"), [("cedar_us", -4), ("aoi_jp", 9)])
def test_an_offset_beside_the_gmt_flag_is_shifted_by_the_zone(
    sandbox: RunningServer, store_id: str, hours: int
) -> None:
    """New York answers too much, Tokyo too little: the one that loses orders is the dangerous one."""

    def newer(value: str, **flags: str) -> set[int]:
        return set(ids(ask(sandbox, "orders", store_id, per_page=100, after=value, **flags)))

    gmt = newer("2026-10-20T12:00:00", dates_are_gmt="true")
    shifted = f"2026-10-20T{12 + hours:02d}:00:00"
    assert newer("2026-10-20T12:00:00Z") == gmt
    assert newer("2026-10-20T12:00:00Z", dates_are_gmt="true") == newer(shifted, dates_are_gmt="true")
    assert newer(shifted) == gmt, "without offset and flag the value is shop-local"
    assert newer("2026-10-20 12:00:00", dates_are_gmt="true") == gmt


@pytest.mark.parametrize("value", ["2026-10-20", "yesterday", "2026-13-01T00:00:00", ""])
def test_dates_without_time_are_refused(sandbox: RunningServer, value: str) -> None:
    """A bare date is 400, not midnight."""
    answer = ask(sandbox, "orders", modified_after=value)
    assert answer.status_code == 400
    assert answer.json()["data"]["params"] == {"modified_after": "Invalid date."}


def test_customers_ignore_the_modification_filter(sandbox: RunningServer) -> None:
    """An incremental load of customers gets all of them every time."""
    everyone = ask(sandbox, "customers", per_page=100, role="all")
    late = ask(sandbox, "customers", per_page=100, modified_after="2031-01-01T00:00:00", dates_are_gmt="true")
    assert ids(late) == ids(everyone) != []


def test_fields_cut_the_body(sandbox: RunningServer) -> None:
    """A full compare asks for three fields; the numbers in them must not change on the way."""
    record = ask(sandbox, "orders", per_page=1, _fields="id,total,billing.country,line_items").json()[0]
    assert set(record) == {"id", "total", "billing", "line_items"}
    assert set(record["billing"]) == {"country"}
    assert record["line_items"] == ask(sandbox, f"orders/{record['id']}").json()["line_items"]


# -- the other resources -----------------------------------------------------------------------------------------------


def test_refunds_can_be_walked_as_a_collection_or_by_order(sandbox: RunningServer) -> None:
    """Both ways must show the same refunds; only the collection names the order."""
    refunds = walk(sandbox, "refunds")
    assert len(refunds) > 5
    for refund in refunds[:5]:
        of_order = ask(sandbox, f"orders/{refund['parent_id']}/refunds").json()
        same = next(one for one in of_order if one["id"] == refund["id"])
        assert same == {key: value for key, value in refund.items() if key != "parent_id"}
        order = ask(sandbox, f"orders/{refund['parent_id']}").json()
        assert refund["id"] in [one["id"] for one in order["refunds"]]
    newest = max(refund["date_created_gmt"] for refund in refunds)
    assert ids(ask(sandbox, "refunds", modified_after=newest, dates_are_gmt="true")) == []
    assert ask(sandbox, "orders/999999/refunds").status_code == 404


def test_catalogue_and_taxes(sandbox: RunningServer) -> None:
    """Every product on an order, every variation and every rate can be looked up."""
    products = {product["id"]: product for product in walk(sandbox, "products")}
    variations = {}
    for product in products.values():
        found = ask(sandbox, f"products/{product['id']}/variations", per_page=100).json()
        assert sorted(one["id"] for one in found) == sorted(product["variations"])
        variations |= {one["id"]: one for one in found}
    rates = {rate["id"]: rate for rate in walk(sandbox, "taxes")}
    for order in walk(sandbox, "orders"):
        for line in order["line_items"]:
            assert line["product_id"] in products
            assert line["variation_id"] == 0 or variations[line["variation_id"]]["parent_id"] == line["product_id"]
        for tax in order["tax_lines"]:
            assert rates[tax["rate_id"]]["rate"] == f"{tax['rate_percent']:.4f}"
    assert ask(sandbox, "products/1/variations").status_code == 404


def test_customers_of_orders_exist(sandbox: RunningServer) -> None:
    """A registered customer on an order is a customer of the store."""
    known = {customer["id"]: customer for customer in walk(sandbox, "customers")}
    registered = [order for order in walk(sandbox, "orders") if order["customer_id"]]
    for order in registered:
        assert known[order["customer_id"]]["email"] == order["billing"]["email"]
    assert {customer["date_modified"] is None for customer in known.values()} == {True, False}


def test_the_shop_tells_about_itself(sandbox: RunningServer) -> None:
    """Currency and storage decide how a loader works."""
    for store_id, store in STORES.items():
        assert ask(sandbox, "data/currencies/current", store_id).json()["code"] == store.currency
        status = ask(sandbox, "system_status", store_id).json()
        assert status["settings"]["HPOS_enabled"] is True
        assert status["environment"]["version"] == "10.2.4"


def test_unknown_records_and_routes_are_404(sandbox: RunningServer) -> None:
    """A force-deleted order and a wrong path differ in their code."""
    assert ask(sandbox, "orders/999999").json()["code"] == "woocommerce_rest_shop_order_invalid_id"
    assert ask(sandbox, "orders/999999").status_code == 404
    assert ask(sandbox, "variations").json()["code"] == "rest_no_route"


def test_bodies_name_the_server_they_came_from(sandbox: RunningServer) -> None:
    """Links and site addresses are those of the running server, whatever its port."""
    body = ask(sandbox, "orders").text
    assert "{{" not in body
    assert (
        ask(sandbox, "orders").json()[0]["_links"]["collection"][0]["href"]
        == f"{sandbox.url}/cedar_us/wp-json/wc/v3/orders"
    )
