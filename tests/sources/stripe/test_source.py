"""A Stripe account through dlt into the warehouse."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dlt.sources import DltSource
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from retail_assets.http import HttpStatusError
from retail_assets.settings import Gateway
from retail_assets.sources.intake import Counts, Intake
from retail_assets.sources.stripe import stripe_source
from retail_assets.sources.stripe.client import StripeClient, UnexpectedAnswerError
from retail_assets.sources.stripe.source import LOOKBACK
from tests.sources.acceptance import Wire
from tests.sources.loading import Home
from tests.sources.stripe.acceptance import sandbox_account
from tests.sources.stripe.account import DAY, KEY, OPENED, FakeAccount, settings_for
from tests.support.server import running

ALL = ("balance_transactions", "charges", "payment_intents", "refunds", "disputes", "payouts", "report_lines")


@pytest.fixture
def account() -> FakeAccount:
    """An empty account."""
    return FakeAccount()


@pytest.fixture
def gateway(account: FakeAccount) -> Iterator[Gateway]:
    with running(account.app()) as url:
        yield settings_for(url)


def load(home: Home, gateway: Gateway, *resources: str) -> Mapping[str, Counts]:
    return home.load(
        "stripe",
        gateway.id,
        lambda intake: stripe_source(gateway, intake, home.path / "inbox").with_resources(*resources),
    )


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
    home.loads += 24
    second = load(home, gateway, *ALL)
    assert home.one("select sum(net) from raw_stripe.balance_transactions") == 510
    assert ids(home, "refunds") == [f"re_{number}" for number in range(5)]
    assert home.content("stripe") == before
    assert first["refunds"].received == second["refunds"].received == 5
    assert home.logged() == {
        "balance_transactions": (5, 5, 0),
        "refunds": (5, 5, 0),
        "charges": (0, 0, 0),
        "payment_intents": (0, 0, 0),
        "disputes": (0, 0, 0),
        "payouts": (0, 0, 0),
        "report_lines": (0, 0, 0),
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
    home.loads += 24
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
    assert seen == ["2026-10-28.endive"]


# -- cost --------------------------------------------------------------------------------------------------------------


def test_a_load_that_finds_nothing_costs_one_page_of_each_list(
    home: Home, account: FakeAccount, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """Every hour each list was read again as far back as its objects may change: a thousand pages for nothing."""
    for number in range(20):
        account.line(number, 100)
        account.refund(number)
    load(home, gateway, *ALL)
    account.queries.clear()
    with caplog.at_level("INFO", logger="retail_assets.sources.stripe.source"):
        load(home, gateway, *ALL)
    asked = [name for name, _ in account.queries]
    assert sorted(asked) == sorted(set(ALL) - {"report_lines"})
    assert (
        "stripe_us: balance_transactions took 3 requests" in caplog.text
    )  # the list, and the balance before and after
    account.queries.clear()
    home.loads += 12
    load(home, gateway, "refunds")
    assert len(account.queries) == 10


def test_a_clock_that_stands_still_looks_back_each_time(home: Home, account: FakeAccount, gateway: Gateway) -> None:
    """With a fixed clock the look-back was never due again: what changed was never seen."""
    account.refund(0, status="pending")
    account.refund(3)
    load(home, gateway, "refunds")
    account.lists["refunds"][0]["status"] = "failed"
    home.loads -= 1
    load(home, gateway, "refunds")
    assert home.one("select status from raw_stripe.refunds where id = 're_0'") == "failed"


def test_a_cursor_in_the_future_keeps_nothing_out(home: Home, account: FakeAccount, gateway: Gateway) -> None:
    """One object with a date in the year 2100 ended the loading of its list for good."""
    account.refund(1)
    account.refund(30_000)
    load(home, gateway, "refunds")
    account.refund(369)
    load(home, gateway, "refunds")
    assert ids(home, "refunds") == ["re_1", "re_30000", "re_369"]


# -- the ledger --------------------------------------------------------------------------------------------------------


def test_the_latest_state_of_a_line_holds_within_one_load(home: Home, account: FakeAccount, gateway: Gateway) -> None:
    """A line that became available between two readings of one load stayed pending."""
    account.line(1, 100, status="pending")
    moves = [True]

    def move(name: str) -> None:
        if moves:
            moves.pop()
            account.lists["balance_transactions"][0]["status"] = "available"
            account.balance = {"available": [{"amount": 100, "currency": "usd"}], "pending": []}

    account.after_page = move
    load(home, gateway, "balance_transactions")
    assert home.query("select id, status from raw_stripe.balance_transactions") == [("txn_1", "available")]


def test_the_parts_of_a_fee_are_kept(home: Home, account: FakeAccount, gateway: Gateway) -> None:
    """Tax on a fee, and the platform's share, were lost in one number; a fault in them was not seen."""
    part = {"application": None, "currency": "usd", "description": "Stripe processing fees", "type": "stripe_fee"}
    account.line(1, 100, fee=32, amount=132, fee_details=[{**part, "amount": 30}, {**part, "amount": 2, "type": "tax"}])
    account.line(2, 100)
    account.line(3, 100, fee_details=[])
    account.line(4, 100, fee_details=[{**part, "amount": "a lot"}])
    account.line(5, 100, fee_details=None)
    counts = load(home, gateway, "balance_transactions")["balance_transactions"]
    parts = "select balance_transaction_id, position, type, amount from raw_stripe.fee_details order by all"
    assert home.query(parts) == [("txn_1", 1, "stripe_fee", 30), ("txn_1", 2, "tax", 2)]
    assert (counts.received, counts.loaded, counts.quarantined) == (5, 4, 1)
    (rejection,) = home.quarantined()
    assert (rejection["record_key"], rejection["field"]) == ("txn_4", "fee_details")
    account.lists["balance_transactions"][0]["fee_details"].pop()
    home.loads += 24
    load(home, gateway, "balance_transactions")
    assert home.query(parts) == [("txn_1", 1, "stripe_fee", 30)]


def test_a_line_of_a_new_kind_or_without_category_loads(home: Home, account: FakeAccount, gateway: Gateway) -> None:
    """Stripe's lists of types are open: a line of a new kind was refused, and the ledger no longer rolled forward."""
    account.line(1, 100, type="quantum_fee", reporting_category="quantum", source=None)
    account.line(2, 100)
    del account.lists["balance_transactions"][1]["reporting_category"]
    counts = load(home, gateway, "balance_transactions")["balance_transactions"]
    assert (counts.loaded, counts.quarantined) == (2, 0)


def test_balances_have_a_history(home: Home, account: FakeAccount, gateway: Gateway) -> None:
    """Manual payouts name no lines: without an opening and a closing balance nothing could be checked at all."""
    history = "select newest_line_created, currency, available, pending from raw_stripe.balance_history order by all"
    account.line(1, 100)
    account.balance = {"available": [{"amount": 100, "currency": "usd"}], "pending": [{"amount": 0, "currency": "eur"}]}
    load(home, gateway, "balance_transactions")
    first = [(OPENED + DAY, "eur", 0, 0), (OPENED + DAY, "usd", 100, 0)]
    assert home.query(history) == first
    load(home, gateway, "balance_transactions")
    assert home.query(history) == first  # nothing moved
    account.line(2, -100, type="payout", reporting_category="payout", source="po_1")
    account.balance = {"available": [{"amount": 0, "currency": "usd"}], "pending": [{"amount": 0, "currency": "eur"}]}
    load(home, gateway, "balance_transactions")
    later = OPENED + 2 * DAY
    assert home.query(history) == [*first, (later, "eur", 0, 0), (later, "usd", 0, 0)]


# -- what the lines are about ------------------------------------------------------------------------------------------


def test_disputes_name_none_one_or_two_lines(home: Home, account: FakeAccount, gateway: Gateway) -> None:
    """Whether a dispute took money, and whether it gave it back, was guessed from its status."""

    def line(number: int, amount: int) -> dict[str, Any]:
        return {"id": f"txn_{number}", "amount": amount, "fee": 0, "net": amount, "currency": "usd", "created": OPENED}

    def dispute(number: int, **changes: Any) -> dict[str, Any]:
        return {
            "id": f"dp_{number}",
            "amount": 500,
            "currency": "usd",
            "charge": "ch_1",
            "status": "needs_response",
            "created": OPENED + number,
        } | changes

    account.lists["disputes"] = [
        dispute(0, balance_transactions=[], status="warning_needs_response"),
        dispute(1, balance_transactions=[line(1, -500)]),
        dispute(2, balance_transactions=[line(2, -500), line(3, 500)], status="won"),
        dispute(3),
    ]
    load(home, gateway, "disputes")
    lines = "select dispute_id, id, amount from raw_stripe.dispute_transactions order by all"
    assert home.query(lines) == [("dp_1", "txn_1", -500), ("dp_2", "txn_2", -500), ("dp_2", "txn_3", 500)]
    assert len(ids(home, "disputes")) == 4


def test_a_key_that_may_not_read_intents_loads_the_rest(home: Home, account: FakeAccount, gateway: Gateway) -> None:
    """A restricted key, made before intents were read, stopped the whole account."""
    account.refused["payment_intents"] = JSONResponse({"error": {"message": "no permission"}}, status_code=403)
    account.line(1, 100)
    counts = load(home, gateway, *ALL)
    assert "may not read payment intents (HTTP 403)" in counts["payment_intents"].notes[0]
    assert counts["balance_transactions"].loaded == 1
    account.refused["refunds"] = JSONResponse({"error": {"message": "no permission"}}, status_code=403)
    with pytest.raises(Exception, match="HTTP 403"):
        load(home, gateway, "refunds")


# -- payouts -----------------------------------------------------------------------------------------------------------


def test_a_payout_whose_lines_cannot_be_listed_stops_no_other(
    home: Home, account: FakeAccount, gateway: Gateway
) -> None:
    """One payout that Stripe could not itemise kept all later ones from being loaded, or was never tried again."""
    for number in range(4):
        account.line(number, 500)
    for number in (1, 2, 3):
        account.payout(number)
    account.members = {f"po_{number}": [f"txn_{number}", f"txn_po_{number}"] for number in (1, 2, 3)}
    account.refused["po_2"] = JSONResponse({"error": {"message": "try later"}}, status_code=400)
    counts = load(home, gateway, "payouts")["payouts"]
    assert "the lines of payout po_2 could not be listed" in counts.notes[0]
    listed = "select payout_id from raw_stripe.payout_transactions order by all"
    assert home.query(listed) == [("po_1",), ("po_3",)]
    # Later it is beyond the look-back, and still asked for.
    account.refused.clear()
    account.payout(80, automatic=False, reconciliation_status="not_applicable")
    load(home, gateway, "payouts")
    account.queries.clear()
    load(home, gateway, "payouts")
    assert home.query(listed) == [("po_1",), ("po_2",), ("po_3",)]
    assert [name for name, _ in account.queries] == ["payouts"]


def test_a_payout_in_progress_is_asked_for_until_it_is_complete(
    home: Home, account: FakeAccount, gateway: Gateway
) -> None:
    """A payout whose reconciliation took longer than the look-back never got its lines."""
    account.line(1, 500)
    account.payout(1, reconciliation_status="in_progress")
    account.payout(2, reconciliation_status="in_progress")
    account.members = {"po_1": ["txn_1"]}
    load(home, gateway, "payouts")
    account.payout(80, automatic=False, reconciliation_status="not_applicable")
    load(home, gateway, "payouts")
    account.lists["payouts"][0]["reconciliation_status"] = "completed"
    del account.lists["payouts"][1]
    counts = load(home, gateway, "payouts")["payouts"]
    assert home.query("select payout_id from raw_stripe.payout_transactions") == [("po_1",)]
    assert "payout po_2 is gone" in counts.notes[0]
    assert home.one("select reconciliation_status from raw_stripe.payouts where id = 'po_1'") == "completed"


def test_a_refused_key_is_no_matter_of_one_payout(home: Home, account: FakeAccount, gateway: Gateway) -> None:
    """A key without the right to list lines looked like a payout with a problem, a thousand times."""
    account.payout(1)
    account.refused["po_1"] = JSONResponse({"error": {"message": "no permission"}}, status_code=403)
    with pytest.raises(Exception, match="HTTP 403"):
        load(home, gateway, "payouts")


# -- the client --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "advice", "attempts"), [(409, None, 2), (409, "false", 1), (402, "true", 2), (404, None, 1)]
)
def test_stripe_s_advice_to_try_again_is_taken(status: int, advice: str | None, attempts: int) -> None:
    """A lock that another request held for a moment failed the load; a refusal was asked for again and again."""
    seen: list[int] = []

    async def respond(_: Any) -> Response:
        seen.append(1)
        if len(seen) == 1:
            headers = {} if advice is None else {"Stripe-Should-Retry": advice}
            return JSONResponse({"error": {}}, status_code=status, headers=headers)
        return JSONResponse({"data": [], "has_more": False})

    with running(Starlette(routes=[Route("/v1/refunds", respond)])) as url:
        client = StripeClient(settings_for(url).model_copy(update={"retries": 1}))
        if attempts == 1:
            with pytest.raises(HttpStatusError):
                list(client.pages("refunds"))
        else:
            assert list(client.pages("refunds")) == []
        client.close()
    assert len(seen) == attempts


@pytest.fixture(scope="module")
def moving() -> Iterator[tuple[FakeAccount, StripeClient]]:
    """An account for many walks, and its client."""
    account = FakeAccount()
    with running(account.app()) as url:
        client = StripeClient(settings_for(url))
        yield account, client
        client.close()


@hypothesis_settings(max_examples=40, deadline=None)
@given(
    created=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    later=st.lists(st.integers(3, 4), max_size=6),
    page_size=st.integers(1, 4),
)
def test_what_is_created_while_paging_hides_nothing(
    moving: tuple[FakeAccount, StripeClient], created: list[int], later: list[int], page_size: int
) -> None:
    """An object of a list that grew at its head, or of a second in which many were made, was skipped or doubled."""
    account, client = moving
    account.lists.clear()
    account.page_size = page_size
    for number, second in enumerate(created):
        account.refund(number, created=OPENED + second)
    arrivals = [(100 + number, second) for number, second in enumerate(later)]

    def arrive(_: str) -> None:
        if arrivals:
            number, second = arrivals.pop()
            account.refund(number, created=OPENED + second)

    account.after_page = arrive
    walked = [json.loads(record)["id"] for records, _ in client.pages("refunds") for record in records]
    assert len(walked) == len(set(walked))
    assert set(walked) >= {f"re_{number}" for number in range(len(created))}
    # Whatever arrived is in what the next load asks for: the newest that was seen, and a day before it.
    account.after_page = lambda _: None
    newest = max(refund["created"] for refund in account.lists["refunds"] if refund["id"] in walked)
    again = client.pages("refunds", {"created[gte]": newest - DAY})
    assert {json.loads(record)["id"] for records, _ in again for record in records} == {
        refund["id"] for refund in account.lists["refunds"]
    }


def in_portions(home: Home, gateway: Gateway, size: int) -> Mapping[str, Counts]:
    """A load whose portions are full after so many records."""

    def source(intake: Intake) -> DltSource:
        intake.portion = size
        return stripe_source(gateway, intake, home.path / "inbox")

    return home.load("stripe", gateway.id, source)


def test_a_first_load_that_is_killed_goes_on_at_its_checkpoint(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill in the third hour of a first load began years of history anew, or left a hole where it was."""
    monkeypatch.setattr("retail_assets.sources.stripe.client._PAGE_SIZE", 5)
    wire = Wire(sandbox_account(KEY))
    with running(wire) as url:
        gateway = settings_for(url)
        whole = in_portions(home, gateway, 1_000_000)
        undisturbed, requests = home.content("stripe", ("reading",)), wire.requests
        again = Home(tmp_path / "again")
        again.path.mkdir()
        wire.requests, wire.fail_from = 0, int(requests * 0.8)
        with pytest.raises(Exception, match="500"):
            in_portions(again, gateway, 60)
        wire.requests, wire.fail_from = 0, None
        counts = in_portions(again, gateway, 60)
        assert again.content("stripe", ("reading",)) == undisturbed
        assert counts["charges"].received < whole["charges"].received
        # What the killed load had committed is not asked for again; a portion costs a few requests.
        assert wire.requests < requests * 0.7


def test_what_changes_during_a_first_load_in_portions_is_not_lost(
    home: Home, account: FakeAccount, gateway: Gateway
) -> None:
    """Lines booked while a first load went on lay ahead of its pages and behind its cursor: no load read them."""
    account.balance = {"available": [{"amount": 100, "currency": "usd"}], "pending": []}
    for number in range(9):
        account.line(number, 10)
        account.refund(number, status="pending")
    pages = iter(range(1000))

    def sell(name: str) -> None:
        if name == "balance_transactions" and next(pages) == 2:
            account.line(9, 10)
            account.refund(9)
            account.lists["refunds"][8]["status"] = "failed"

    account.after_page = sell
    in_portions(home, gateway, 4)
    home.loads += 24
    load(home, gateway, *ALL)
    assert ids(home, "balance_transactions") == [f"txn_{number}" for number in range(10)]
    assert home.one("select sum(net) from raw_stripe.balance_transactions") == 100
    assert ids(home, "refunds") == [f"re_{number}" for number in range(10)]
    assert home.one("select status from raw_stripe.refunds where id = 're_8'") == "failed"


def test_lines_booked_between_two_portions_are_in_the_balance(
    home: Home, account: FakeAccount, gateway: Gateway
) -> None:
    """A first load that went on after a night recorded today's balance beside yesterday's lines."""
    for number in range(6):
        account.line(number, 10)
    with failing_after(account, 2), pytest.raises(Exception, match="500"):
        in_portions(home, gateway, 2)
    account.line(6, 10)
    account.balance = {"available": [{"amount": 70, "currency": "usd"}], "pending": []}
    in_portions(home, gateway, 2)
    assert home.one("select sum(net) from raw_stripe.balance_transactions") == 70
    assert home.query("select available, newest_line_created from raw_stripe.balance_history") == [
        (70, OPENED + 6 * DAY)
    ]


def test_a_checkpoint_whose_object_is_gone_begins_anew(home: Home, account: FakeAccount, gateway: Gateway) -> None:
    """Test data that was wiped in between stopped every further load."""
    for number in range(6):
        account.refund(number)
    with failing_after(account, 1), pytest.raises(Exception, match="500"):
        in_portions(home, gateway, 2)
    account.lists["refunds"] = [refund for refund in account.lists["refunds"] if refund["id"] == "re_0"]
    counts = in_portions(home, gateway, 2)["refunds"]
    assert "is gone" in counts.notes[0]
    assert "re_0" in ids(home, "refunds")


@contextmanager
def failing_after(account: FakeAccount, after: int) -> Iterator[None]:
    """An account whose lists fail after so many pages of each."""
    pages: Counter[str] = Counter()

    def count(name: str) -> None:
        pages[name] += 1
        if pages[name] == after:
            account.refused[name] = PlainTextResponse("no", status_code=500)

    account.after_page = count
    yield
    account.after_page = lambda _name: None
    account.refused.clear()


def test_payouts_that_wait_do_not_fill_portion_after_portion(
    home: Home, account: FakeAccount, gateway: Gateway
) -> None:
    """Payouts that Stripe could not list yet were asked for by name in every portion, and the load never ended."""
    for number in range(7):
        account.payout(number, reconciliation_status="in_progress", status="in_transit")
    assert in_portions(home, gateway, 2)["payouts"].notes == []
    assert len(ids(home, "payouts")) == 7
    assert len(account.queries) < 60
