"""Transaction Search: windows, splitting, tokens and what PayPal's errors mean, over real HTTP."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from retail_assets.http import HttpStatusError
from retail_assets.ops import quarantine
from retail_assets.sandbox import paypal
from retail_assets.sandbox.ledgers import GatewayLedger, Movement
from retail_assets.sources.intake import Intake
from retail_assets.sources.paypal.client import PayPalClient, TooManyTransactionsError, UnexpectedAnswerError
from retail_assets.sources.paypal.transactions import RESOURCE, Walk
from tests.sources.loading import closing_engine
from tests.sources.paypal.account import CLIENT_ID, CLIENT_SECRET, NOW, days_before, ledger, settings_for
from tests.support.server import running

Rows = dict[str, list[dict[str, Any]]]


class Recorder:
    """An ASGI middleware that notes what was asked and may answer in the system's place."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.instead: Callable[[str, int], Response | None] = lambda _path, _count: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.asked.append((request.url.path, dict(request.query_params)))
        answer = self.instead(request.url.path, len(self.asked))
        await (answer or self.app)(scope, receive, send)

    def windows(self) -> list[tuple[datetime, datetime]]:
        return [
            (datetime.fromisoformat(query["start_date"]), datetime.fromisoformat(query["end_date"]))
            for path, query in self.asked
            if path.endswith("/transactions") and query["page"] == "1"
        ]


@contextmanager
def served(account: GatewayLedger | ASGIApp) -> Iterator[tuple[Recorder, str]]:
    app = paypal.create_app(account, CLIENT_ID, CLIENT_SECRET, NOW) if isinstance(account, GatewayLedger) else account
    recorder = Recorder(app)
    with running(recorder) as url:
        yield recorder, url


def walk(
    url: str, home: Path, state: dict[str, Any], *, now: datetime = NOW, portion: int = 50_000, **changes: Any
) -> tuple[Rows, Intake]:
    """One load without a warehouse: rows by table."""
    gateway = settings_for(url, **changes)
    rows: Rows = {}
    with (
        closing(Intake("paypal", "paypal_us", now, f"sqlite:///{home / 'ops.sqlite'}", portion=portion)) as intake,
        closing(PayPalClient(gateway)) as client,
    ):
        for item in Walk(gateway, client, intake, state).run():
            rows.setdefault(item.meta.hints["table_name"], []).extend(item.data.to_pylist())
        return rows, intake


def keys(rows: Rows) -> set[tuple[Any, ...]]:
    names = ("transaction_id", "transaction_event_code", "initiated_at", "currency", "amount")
    return {tuple(row[name] for name in names) for row in rows["transactions"]}


def refused(home: Path) -> list[dict[str, Any]]:
    with closing_engine(f"sqlite:///{home / 'ops.sqlite'}") as engine:
        return list(quarantine.rows(engine, status="open"))


def test_a_first_load_walks_three_years_in_windows_that_leave_no_gap(tmp_path: Path) -> None:
    """A window over 31 days is refused; one that begins a second after the last ended loses that second."""
    with served(ledger()) as (asked, url):
        state: dict[str, Any] = {}
        rows, intake = walk(url, tmp_path, state)
    windows = asked.windows()
    assert all(end - start <= timedelta(days=31) for start, end in windows)
    assert [end for _, end in windows[:-1]] == [start for start, _ in windows[1:]]
    assert windows[0][0] > NOW - timedelta(days=3 * 365)
    assert windows[-1][1] == NOW
    assert len(keys(rows)) == len(paypal.lines_of(ledger()))
    assert state == {"completed_until": (NOW - timedelta(hours=3)).isoformat()}
    assert {query["balance_affecting_records_only"] for path, query in asked.asked if "page" in query} == {"Y"}
    (sale,) = [
        row for row in rows["transactions"] if row["transaction_id"] == paypal.payment_id_of(ledger().movements[0])
    ]
    assert (str(sale["amount"]), str(sale["fee_amount"]), sale["currency"]) == ("100.0000", "-3.4900", "USD")
    assert sale["initiated_at"] == datetime.fromtimestamp(ledger().movements[0].at, UTC)
    assert (sale["invoice_id"], sale["custom_field"]) == ("WC-1000", "500")
    assert intake.counts[RESOURCE].quarantined == 0


def test_balances_are_asked_for_as_of_what_was_read(tmp_path: Path) -> None:
    """A balance of now, beside transactions of three hours ago, never adds up."""
    with served(ledger()) as (asked, url):
        rows, _ = walk(url, tmp_path, {})
    (balance,) = rows["balances"]
    (query,) = [query for path, query in asked.asked if path.endswith("/balances")]
    assert query["as_of_time"] == "2026-11-05T09:00:00Z"
    total = sum(row["amount"] + (row["fee_amount"] or 0) for row in {str(r): r for r in rows["transactions"]}.values())
    assert balance["available_balance"] == total
    assert balance["as_of_time"] == NOW - timedelta(hours=3)


def test_a_run_without_news_takes_few_requests_and_reads_what_may_have_changed(tmp_path: Path) -> None:
    """An e-cheque that cleared after a week stayed pending; or each run walked three years again."""
    with served(ledger()) as (asked, url):
        state: dict[str, Any] = {"completed_until": days_before(1).isoformat()}
        walk(url, tmp_path, state)
    assert asked.windows() == [(days_before(15), NOW)]
    assert len(asked.asked) == 3


def test_too_many_transactions_halve_the_window_and_lose_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RESULTSET_TOO_LARGE ended the load, or the second in the middle fell between the halves."""
    monkeypatch.setattr(paypal, "MAXIMUM_ITEMS", 3)
    with served(ledger(40)) as (asked, url):
        rows, _ = walk(url, tmp_path, {}, start_date="2026-09-30")
    assert len(keys(rows)) == len(paypal.lines_of(ledger(40)))
    assert len(asked.windows()) > 20


def test_a_second_with_too_many_transactions_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Halving for ever, or the busiest second of the year left out in silence."""
    monkeypatch.setattr(paypal, "MAXIMUM_ITEMS", 2)
    at = int(datetime(2026, 11, 1, 8, 0, 7, tzinfo=UTC).timestamp())
    sales = tuple(Movement(number, "sale", at, 100, 1) for number in range(1, 5))
    with (
        served(GatewayLedger("paypal_us", "USD", "UTC", "", sales, ())) as (_, url),
        pytest.raises(TooManyTransactionsError, match=r"second from 2026-11-01T08:00:0[67]Z.*settlement report"),
    ):
        walk(url, tmp_path, {}, start_date="2026-11-01")


def test_a_start_that_paypal_does_not_have_yet_is_no_error(tmp_path: Path) -> None:
    """A quiet account whose look-back is none failed every run with INVALID_REQUEST."""
    with served(ledger()) as (_, url):
        state: dict[str, Any] = {"completed_until": (NOW - timedelta(hours=1)).isoformat()}
        rows, _ = walk(url, tmp_path, state, lookback_days=0)
    assert "transactions" not in rows
    assert state["completed_until"] == (NOW - timedelta(hours=1)).isoformat()


def test_other_refusals_end_the_load_before_its_checkpoint(tmp_path: Path) -> None:
    """A permission that is missing, taken for a day without sales, moved the checkpoint on."""
    body = {"name": "NOT_AUTHORIZED", "message": "Authorization failed due to insufficient permissions."}
    with served(ledger()) as (asked, url):
        asked.instead = lambda path, _: JSONResponse(body, 403) if path.endswith("/transactions") else None
        state: dict[str, Any] = {}
        with pytest.raises(HttpStatusError, match="insufficient permissions"):
            walk(url, tmp_path, state)
    assert state == {}


def test_without_the_right_to_read_balances_the_ledger_still_loads(tmp_path: Path) -> None:
    """A scope of its own that few apps have took the whole account down."""
    with served(ledger()) as (asked, url):
        asked.instead = lambda path, _: JSONResponse({}, 403) if path.endswith("/balances") else None
        rows, intake = walk(url, tmp_path, {})
    assert "balances" not in rows
    assert len(keys(rows)) == len(paypal.lines_of(ledger()))
    assert "scope reporting/balances/read" in intake.counts[RESOURCE].notes[0]


def test_a_token_is_kept_and_renewed_when_it_is_refused(tmp_path: Path) -> None:
    """A token for each request, or a load that dies when PayPal withdraws the token."""
    with served(ledger()) as (asked, url):
        asked.instead = lambda path, count: JSONResponse({"error": "invalid_token"}, 401) if count == 5 else None
        rows, _ = walk(url, tmp_path, {})
    assert Counter(path for path, _ in asked.asked)["/v1/oauth2/token"] == 2
    assert len(keys(rows)) == len(paypal.lines_of(ledger()))


def test_a_long_history_is_taken_in_portions(tmp_path: Path) -> None:
    """A kill in the third year began the three years anew, or a portion began its look-back over and never ended."""
    state: dict[str, Any] = {}
    found: set[tuple[Any, ...]] = set()
    with served(ledger(150)) as (asked, url):
        rows, intake = walk(url, tmp_path, state, portion=40, start_date="2026-08-01")
        found |= keys(rows)
        while intake.unfinished:
            assert state["reached"]
            rows, intake = walk(url, tmp_path, state, portion=40, start_date="2026-08-01")
            found |= keys(rows)
    assert "reached" not in state
    assert len(asked.windows()) == 4
    expected = [line for line in paypal.lines_of(ledger(150)) if line.at <= (NOW - timedelta(hours=3)).timestamp()]
    assert len(found) == len(expected)


def _list(details: list[Any], **more: Any) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        first = request.query_params["page"] == "1" and request.query_params["end_date"].startswith("2026-11-05")
        body = {
            "transaction_details": details if first else [],
            "account_number": "ACME",
            "total_items": len(details) if first else 0,
            "total_pages": 1 if first else 0,
            "last_refreshed_datetime": "2026-11-05T12:00:00+0000",
        }
        return JSONResponse(body | (more if first else {}))

    return answer


def _account(details: list[Any], **more: Any) -> Starlette:
    async def token(_: Request) -> Response:
        return JSONResponse({"access_token": "t", "expires_in": 100})

    async def balances(_: Request) -> Response:
        return JSONResponse({"balances": []})

    return Starlette(
        routes=[
            Route("/v1/oauth2/token", token, methods=["POST"]),
            Route("/v1/reporting/transactions", _list(details, **more)),
            Route("/v1/reporting/balances", balances),
        ]
    )


def _detail(**info: Any) -> dict[str, Any]:
    return {
        "transaction_info": {
            "transaction_id": "5TY05013RG002845M",
            "transaction_event_code": "T0006",
            "transaction_initiation_date": "2026-11-04T08:00:30+0000",
            "transaction_updated_date": "2026-11-04T08:00:30+0000",
            "transaction_amount": {"currency_code": "USD", "value": "465.00"},
            **info,
        }
    }


def test_one_bad_transaction_is_refused_alone(tmp_path: Path) -> None:
    """A transaction without amount or with half a date took the page with it, or was lost in silence."""
    details = [
        _detail(),
        _detail(transaction_id="NOAMOUNT", transaction_amount=None),
        _detail(transaction_id="NODATE", transaction_initiation_date="yesterday"),
        _detail(transaction_id="12345678901234567890", transaction_amount={"currency_code": "JPY", "value": "-0"}),
        {"transaction_info": None},
        "nonsense",
        _detail(transaction_id="HOLD", transaction_event_code="T1110", transaction_note="🧾" * 5000),
        _detail(transaction_id="HOLD", transaction_event_code="T1111"),
    ]
    with served(_account(details)) as (_, url):
        rows, intake = walk(url, tmp_path, {}, start_date="2026-11-01")
    assert [(row["transaction_id"], row["transaction_event_code"]) for row in rows["transactions"]] == [
        ("5TY05013RG002845M", "T0006"), ("12345678901234567890", "T0006"), ("HOLD", "T1110"), ("HOLD", "T1111"),
    ]  # fmt: skip
    counts = intake.counts[RESOURCE]
    assert (counts.received, counts.loaded, counts.quarantined) == (8, 4, 4)
    assert len(refused(tmp_path)) == 4


def test_a_list_that_is_shorter_than_announced_is_not_believed(tmp_path: Path) -> None:
    """A page that lacked rows passed for the whole, and the checkpoint went on past them."""
    with served(_account([_detail()], total_items=2)) as (_, url):
        state: dict[str, Any] = {}
        with pytest.raises(UnexpectedAnswerError, match=r"announced 2 transactions .* listed 1"):
            walk(url, tmp_path, state, start_date="2026-11-01")
    assert state == {}


def test_an_announced_page_that_is_empty_is_an_error(tmp_path: Path) -> None:
    """Paging ended quietly at an empty page in the middle."""
    with (
        served(_account([_detail()], total_pages=2)) as (_, url),
        pytest.raises(UnexpectedAnswerError, match="page 2 of 2 is empty"),
    ):
        walk(url, tmp_path, {}, start_date="2026-11-01")


def test_transactions_of_another_account_are_refused(tmp_path: Path) -> None:
    """Credentials of the wrong account filled this one's ledger."""
    with served(_account([_detail()])) as (_, url):
        rows, intake = walk(url, tmp_path, {}, start_date="2026-11-01", account_id="OTHER")
        assert "transactions" not in rows
        assert intake.counts[RESOURCE].quarantined == 1
        (rejection,) = refused(tmp_path)
        assert (rejection["field"], rejection["value"]) == ("account_number", "ACME")
