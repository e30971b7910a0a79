"""A WooPayments account through dlt into the warehouse: by the plugin's API, and by its exports."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from retail_assets.sandbox.woopayments import create_app
from retail_assets.settings import Gateway, instance_of
from retail_assets.sources import woopayments
from retail_assets.sources.intake import Counts
from retail_assets.sources.woopayments.client import UnexpectedAnswerError, WooPaymentsClient
from tests.sources.loading import Home
from tests.sources.woopayments.ledger import KEY, LEDGER, NOW, SECRET, settings_for
from tests.support.server import running

API = ("transactions", "deposits", "disputes")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def load(home: Home, gateway: Gateway, folder: Path, *resources: str) -> Mapping[str, Counts]:
    def source(intake: Any) -> Any:
        built = woopayments.build(gateway, intake, folder)
        return built.with_resources(*resources) if resources else built

    return home.load("woopayments", gateway.id, source)


def test_the_ledger_adds_up_to_payouts_and_balance(home: Home, folder: Path) -> None:
    """A list lost a page, amounts lost their sign, or what is left did not equal what the plugin says."""
    with running(create_app(LEDGER, KEY, SECRET, NOW)) as url:
        gateway = settings_for(url)
        assert woopayments.examine(gateway, folder) == f"answers at {url}"
        counts = load(home, gateway, folder)
        assert {name: one.notes for name, one in counts.items() if one.notes} == {}
        assert home.query(
            "select deposit_id, sum(net), count(*) from raw_woopayments.transactions group by 1 having deposit_id "
            "like 'po%' order by 2 desc"
        ) == home.query("select id, amount, if(amount = 267, 2, 4) from raw_woopayments.deposits order by 2 desc")
        left = home.one("select sum(net) from raw_woopayments.transactions") - 12_255 - 267
        assert home.query("select currency, available + pending from raw_woopayments.balances") == [("usd", left)]
        assert home.query("select charge_type, amount from raw_woopayments.transactions where charge_type <> ''") == [
            ("card_reader_fee", -250)
        ]
        assert home.query("select status from raw_woopayments.disputes") == [("won",)]
        before = home.content("woopayments")
        load(home, gateway, folder)
        assert home.content("woopayments") == before


class _Plugin:
    """A list that is capped, changes its order, and grows while it is read."""

    def __init__(self, count: int, cap: int) -> None:
        self.ids = [f"txn_{number}" for number in range(count)]
        self.cap = cap
        self.queries: list[dict[str, str]] = []
        self.swap_once = False

    def app(self) -> Starlette:
        root = "/wp-json/wc/v3/payments/transactions"
        return Starlette(routes=[Route(f"{root}/summary", self._summary), Route(root, self._page)])

    async def _summary(self, request: Request) -> Response:
        return JSONResponse({"count": len(self.ids)})

    async def _page(self, request: Request) -> Response:
        query = dict(request.query_params)
        self.queries.append({name: value for name, value in query.items() if not name.startswith("oauth")})
        size = min(self.cap, int(query["pagesize"]))
        start = (int(query["page"]) - 1) * size
        answer = [{"transaction_id": one} for one in self.ids[start : start + size]]
        if self.swap_once:
            # Two records of one second change places across the seam of two pages.
            self.ids[size - 1], self.ids[size] = self.ids[size], self.ids[size - 1]
            self.swap_once = False
        return JSONResponse({"data": answer})


@pytest.fixture
def walked() -> Any:
    def walk(plugin: _Plugin) -> tuple[list[str], bool]:
        with running(plugin.app()) as url:
            client = WooPaymentsClient(settings_for(url))
            walk = client.walk("transactions", "date", "transaction_id", {"date_after": "2026-09-01 00:00:00"})
            found = [record.decode() for records, _ in walk.pages() for record in records]
            client.close()
        return found, walk.complete

    return walk


def test_a_server_that_caps_pages_is_read_to_its_end(walked: Any) -> None:
    """A page shorter than asked for was taken for the last one."""
    plugin = _Plugin(25, cap=10)
    found, complete = walked(plugin)
    assert (len(found), complete) == (25, True)
    assert {query["date_after"] for query in plugin.queries} == {"2026-09-01 00:00:00"}
    assert {query["direction"] for query in plugin.queries} == {"asc"}


def test_what_was_lost_at_the_seam_of_pages_is_walked_again(walked: Any) -> None:
    """Records of one second, whose order is not fixed, were lost between two pages."""
    plugin = _Plugin(25, cap=10)
    plugin.swap_once = True
    found, complete = walked(plugin)
    assert (len(found), len(set(found)), complete) == (25, 25, True)


def test_a_list_that_never_adds_up_is_said_and_the_cursor_stays(home: Home, folder: Path) -> None:
    """A list shorter than its count passed for whole, and what was missing was never asked for again."""

    class Short(_Plugin):
        async def _summary(self, request: Request) -> Response:
            return JSONResponse({"count": 99})

    plugin = Short(0, cap=10)
    with running(plugin.app()) as url:
        counts = load(home, settings_for(url), folder, "transactions")
        assert "three walks brought fewer transactions" in counts["transactions"].notes[0]
        load(home, settings_for(url), folder, "transactions")
    assert not [query for query in plugin.queries if "date_after" in query]


@pytest.mark.parametrize("answer", [PlainTextResponse("<html>"), JSONResponse([]), JSONResponse({"code": "x"})])
def test_what_is_no_list_of_the_plugin_is_an_error(answer: Response) -> None:
    """The page of a security plugin was taken for an account without transactions."""

    async def respond(_: Any) -> Response:
        return answer

    with running(Starlette(routes=[Route("/{path:path}", respond)])) as url:
        client = WooPaymentsClient(settings_for(url))
        with pytest.raises(UnexpectedAnswerError, match="did not answer with a WooPayments list"):
            client.page("transactions", {})
        with pytest.raises(UnexpectedAnswerError, match="did not answer with a WooPayments summary"):
            client.count("transactions", {})
        client.close()


def test_exports_of_both_names_load(home: Home, folder: Path) -> None:
    """Since "Deposit" became "Payout" the newer exports were refused; text in a day's column refused good rows."""
    (folder / "old.csv").write_text(
        '"Transaction Id","Date / Time",Type,Channel,"Paid Currency","Amount Paid","Deposit Currency",Amount,Fees,Net,'
        '"Order #","Subscription #","Payment Method",Customer,Email,Country,"Risk level","Deposit ID","Deposit date",'
        '"Deposit status"\n'
        'txn_1,"2026-10-01 10:00:00",Charge,"Online store",EUR,23,USD,25.83,-1.57,24.26,123,,visa,A,a@example.com,US,'
        "Normal,po_1,2026-10-05,Paid\n"
        'txn_2,"2026-10-01 11:00:00",Refund,"Online store",EUR,3,USD,-3,0,-3,123,,visa,A,a@example.com,US,Normal,'
        "wcpay_estimated_daily_usd_1,Estimated,Estimated\n"
        'txn_3,"2026-10-01 11:00:00",Charge,"Online store",EUR,3,USD,three,0,-3,123,,visa,A,a@example.com,US,Normal,'
        ",,\n",
        encoding="utf-8",
    )
    gateway = instance_of(
        "gateways",
        {
            "id": "woopayments_files",
            "system": "woopayments_reports",
            "entity": "US",
            "bank": "bank_us",
            "folder": "woopayments_files",
            "stores": [{"store": "cedar_us"}],
        },
    )
    counts = load(home, gateway, folder)["report_lines"]
    assert (counts.received, counts.loaded, counts.quarantined) == (3, 2, 1)
    assert home.query(
        "select transaction_id, amount, fees, net, deposit_id, strftime(deposit_date, '%d'), order_number "
        "from raw_woopayments.report_lines order by 1"
    ) == [
        ("txn_1", Decimal("25.83"), Decimal("-1.57"), Decimal("24.26"), "po_1", "05", "123"),
        ("txn_2", -3, 0, -3, "wcpay_estimated_daily_usd_1", None, "123"),
    ]
