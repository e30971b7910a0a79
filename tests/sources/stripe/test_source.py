"""A Stripe account through dlt into the warehouse."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from retail_assets.settings import Gateway
from retail_assets.sources.intake import Counts
from retail_assets.sources.stripe import stripe_source
from retail_assets.sources.stripe.client import API_VERSION, StripeClient, UnexpectedAnswerError
from retail_assets.sources.stripe.source import LOOKBACK
from tests.sources.loading import Home
from tests.sources.stripe.account import DAY, KEY, OPENED, FakeAccount, settings_for
from tests.support.server import running

ALL = ("balance_transactions", "charges", "refunds", "disputes", "payouts")


@pytest.fixture
def account() -> FakeAccount:
    """An empty account."""
    return FakeAccount()


@pytest.fixture
def gateway(account: FakeAccount) -> Iterator[Gateway]:
    with running(account.app()) as url:
        yield settings_for(url)


def load(home: Home, gateway: Gateway, *resources: str) -> Mapping[str, Counts]:
    return home.load("stripe", gateway.id, lambda intake: stripe_source(gateway, intake).with_resources(*resources))


def ids(home: Home, name: str) -> list[str]:
    return [value for (value,) in home.query(f"select id from raw_stripe.{name} order by id")]


def test_all_pages_are_read_and_reading_again_changes_nothing(
    home: Home, account: FakeAccount, gateway: Gateway
) -> None:
    """The last page was left out, objects were doubled by the look-back, or an empty list was never logged."""
    for number in range(5):
        account.line(number, 100 + number)
        account.refund(number)
    first = load(home, gateway, *ALL)
    before = home.content("stripe")
    second = load(home, gateway, *ALL)
    assert home.one("select sum(net) from raw_stripe.balance_transactions") == 510
    assert ids(home, "refunds") == [f"re_{number}" for number in range(5)]
    assert home.content("stripe") == before
    assert first["refunds"].received == second["refunds"].received == 5
    assert home.logged() == {
        "balance_transactions": (5, 5, 0),
        "refunds": (5, 5, 0),
        "charges": (0, 0, 0),
        "disputes": (0, 0, 0),
        "payouts": (0, 0, 0),
    }
    assert account.keys == {f"Bearer {KEY}"}
    payloads = home.query("select _payload from raw_stripe.refunds order by id")
    expected = sorted(account.lists["refunds"], key=lambda refund: refund["id"])
    assert [json.loads(payload) for (payload,) in payloads] == expected


def test_the_lookback_sees_what_happened_to_older_objects(home: Home, account: FakeAccount, gateway: Gateway) -> None:
    """A refund that failed weeks after it was made stayed succeeded: its money was never taken back into the books."""
    account.refund(0, status="pending")
    account.refund(30, status="pending")
    account.refund(80)
    load(home, gateway, "refunds")
    for refund in account.lists["refunds"][:2]:
        refund |= {"status": "failed", "failure_balance_transaction": "txn_back"}
    load(home, gateway, "refunds")
    seen = dict(home.query("select id, status from raw_stripe.refunds"))
    assert seen["re_30"] == "failed"
    assert seen["re_0"] == "pending"  # older than the look-back of 60 days: the documented limit
    assert account.queries[-1][1]["created[gte]"] == str(OPENED + 80 * DAY - int(LOOKBACK["refunds"].total_seconds()))


def test_the_cursor_does_not_move_without_objects(home: Home, account: FakeAccount, gateway: Gateway) -> None:
    """An empty answer, or one that was refused whole, moved the cursor past what came later."""
    load(home, gateway, "refunds")
    account.refund(1, amount=-5)
    counts = load(home, gateway, "refunds")["refunds"]
    assert (counts.received, counts.loaded, counts.quarantined) == (1, 0, 1)
    assert home.logged() == {"refunds": (1, 0, 1)}
    load(home, gateway, "refunds")
    assert [query for _, query in account.queries if "created[gte]" in query] == []


def test_lines_of_payouts_are_listed_once_stripe_can(home: Home, account: FakeAccount, gateway: Gateway) -> None:
    """A payout was explained by its own line, by half of its lines, or Stripe was asked for what it cannot say."""
    for number in range(6):
        account.line(number, 500)
    for number in (1, 2, 3):
        account.line(20 + number, -1000, id=f"txn_po_{number}", type="payout")
    account.payout(1)
    account.payout(2, automatic=False, reconciliation_status="not_applicable")
    account.payout(3, reconciliation_status="in_progress", status="in_transit")
    account.payout(4, automatic=None, reconciliation_status=None)
    account.members = {"po_1": ["txn_0", "txn_1", "txn_2", "txn_po_1"], "po_3": ["txn_3", "txn_4", "txn_po_3"]}
    load(home, gateway, "payouts")
    of_payouts = "select payout_id, balance_transaction_id from raw_stripe.payout_transactions order by all"
    first = [("po_1", f"txn_{number}") for number in range(3)]
    assert home.query(of_payouts) == first
    assert len(ids(home, "payouts")) == 4

    account.lists["payouts"][2] |= {"reconciliation_status": "completed", "status": "paid"}
    account.queries.clear()
    load(home, gateway, "payouts")
    assert home.query(of_payouts) == [*first, ("po_3", "txn_3"), ("po_3", "txn_4")]
    assert {query["payout"] for _, query in account.queries if "payout" in query} == {"po_3"}


def test_a_balance_that_moves_is_read_again(home: Home, account: FakeAccount, gateway: Gateway) -> None:
    """A charge fell between reading the lines and reading the balance: the clearing account did not roll forward."""
    account.balance = {"available": [{"amount": 100, "currency": "usd"}], "pending": []}
    account.line(1, 100)
    moves = [2]

    def sell(name: str) -> None:
        if moves:
            number = moves.pop()
            account.line(number, 50)
            account.balance = {
                "available": [{"amount": 100, "currency": "usd"}, {"amount": 7, "currency": "eur"}],
                "pending": [{"amount": 50, "currency": "usd"}],
            }

    account.after_page = sell
    counts = load(home, gateway, "balance_transactions")["balance_transactions"]
    assert (counts.received, counts.loaded, counts.notes) == (2, 2, [])
    assert home.one("select sum(net) from raw_stripe.balance_transactions") == 150
    assert home.query("select currency, available, pending from raw_stripe.balances order by all") == [
        ("eur", 7, 0),
        ("usd", 100, 50),
    ]


def test_a_balance_that_never_rests_is_said(home: Home, account: FakeAccount, gateway: Gateway) -> None:
    """An account that sells without pause was read for ever, or its last balance passed for a settled one."""
    account.line(1, 100)

    def sell(_: str) -> None:
        number = len(account.lists["balance_transactions"]) + 1
        account.line(number, 1)
        account.balance = {"available": [{"amount": 100 + number, "currency": "usd"}], "pending": []}

    account.after_page = sell
    counts = load(home, gateway, "balance_transactions")["balance_transactions"]
    assert "balance moved during each of 5 reads" in counts.notes[0]
    assert counts.received == counts.loaded == len(ids(home, "balance_transactions"))


def test_a_list_that_makes_no_progress_is_an_error(account: FakeAccount, gateway: Gateway) -> None:
    """has_more without anything new was followed for ever."""
    account.refund(1)
    account.stuck = True
    client = StripeClient(gateway)
    with pytest.raises(UnexpectedAnswerError, match="brings nothing new"):
        list(client.pages("refunds"))
    account.lists["refunds"].clear()
    with pytest.raises(UnexpectedAnswerError, match="brings nothing new"):
        list(client.pages("refunds"))
    client.close()


@pytest.mark.parametrize(
    "answer",
    [PlainTextResponse("<html>"), JSONResponse([]), JSONResponse({"data": [{"object": "x"}], "has_more": False})],
    ids=["html", "array", "no id"],
)
def test_what_is_no_stripe_list_is_an_error(answer: Response) -> None:
    """A page of a proxy was taken for an account without payouts."""

    async def respond(_: Any) -> Response:
        return answer

    with running(Starlette(routes=[Route("/v1/refunds", respond)])) as url:
        client = StripeClient(settings_for(url))
        with pytest.raises(UnexpectedAnswerError, match="GET refunds did not answer with a Stripe list"):
            list(client.pages("refunds"))
        client.close()


def test_the_api_version_is_pinned() -> None:
    """The account's default version changed the shapes of all objects overnight."""
    seen: list[str | None] = []

    async def respond(request: Any) -> Response:
        seen.append(request.headers.get("stripe-version"))
        return JSONResponse({"data": [], "has_more": False})

    with running(Starlette(routes=[Route("/v1/refunds", respond)])) as url:
        client = StripeClient(settings_for(url))
        list(client.pages("refunds"))
        client.close()
    assert seen == [API_VERSION]
