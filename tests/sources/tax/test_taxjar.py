"""A TaxJar account through dlt into the warehouse."""

from collections.abc import Mapping
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from retail_assets.http import HttpStatusError
from retail_assets.sandbox.tax import TaxDocument, create_taxjar_app
from retail_assets.sources.intake import Counts
from retail_assets.sources.tax import build, examine
from tests.sources.loading import NOW, Home
from tests.sources.tax.documents import TOKEN, sale, some, taxjar
from tests.support.server import running

DAY = timedelta(days=1)


class Account:
    """An account whose transactions change between loads."""

    def __init__(self, documents: list[TaxDocument]) -> None:
        self.documents = documents
        self.paths: list[str] = []
        self.gone: set[str] = set()
        self.spoiled: dict[str, bytes] = {}

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._answer)])

    async def _answer(self, request: Request) -> Response:
        path = request.url.path.removeprefix("/v2/transactions/")
        self.paths.append(path)
        sent: list[Any] = []

        async def collect(message: Any) -> None:
            sent.append(message)

        await create_taxjar_app(self.documents, api_token=TOKEN)(
            {**request.scope, "app": None}, request.receive, collect
        )
        body = b"".join(part.get("body", b"") for part in sent[1:])
        if path in self.gone:
            return Response(b'{"status":404,"error":"Not Found","detail":"Resource can not be found"}', 404)
        return Response(self.spoiled.get(path, body), sent[0]["status"], media_type="application/json")


@contextmanager
def served(documents: list[TaxDocument], **changes: Any):
    account = Account(documents)
    with running(account.app()) as url:
        yield account, taxjar(url, **changes)


def load(home: Home, engine: Any) -> Counts:
    counts: Mapping[str, Counts] = home.load("tax", engine.id, lambda intake: build(engine, intake, Path("none")))
    return counts["taxjar_transactions"]


LISTED = "select transaction_id from raw_tax.taxjar_listings where transaction_id <> '' order by 1"


def test_orders_and_refunds_are_fetched_one_by_one(home: Home) -> None:
    """A refund under the id of an order replaces it; amounts in text become floats; other providers' are read."""
    documents = [*some(7), sale(30, NOW.date() - 2 * DAY, -500, order_id=1001, refund_id=1005)]
    with served(documents) as (_, engine):
        assert examine(engine, Path("none"))
        assert load(home, engine).loaded == 9
        before = home.content("tax")
        load(home, engine)
        assert home.content("tax") == before
        assert load(Home(_made(home.path / "other")), taxjar(engine.base_url, provider="api")).received == 0
    assert home.query(
        "select kind, transaction_id, transaction_reference_id, transaction_date::varchar, amount, sales_tax, "
        "to_state, currency from raw_tax.taxjar_transactions where transaction_id in ('1005', '1007') order by 1, 2"
    ) == [
        ("order", "1005", None, "2026-10-29 00:00:00+00", Decimal(100), Decimal("8.5"), "NY", "USD"),
        ("order", "1007", None, "2026-11-04 00:00:00+00", Decimal(100), Decimal("8.5"), "NY", "USD"),
        ("refund", "1005", "1001", "2026-11-03 00:00:00+00", Decimal(-5), Decimal("-0.43"), "NY", "USD"),
    ]


def test_a_deleted_transaction_is_no_longer_listed(home: Home) -> None:
    """An order that was deleted at TaxJar goes on being taxed; one deleted between list and fetch ends the run."""
    documents = some(3)
    with served(documents) as (account, engine):
        load(home, engine)
        assert home.query(LISTED) == [("1001",), ("1002",), ("1003",), ("9001",)]
        account.gone.add("orders/1001")
        del account.documents[1]
        load(home, engine)
        assert home.query(LISTED) == [("1003",), ("9001",)]
        account.documents.clear()
        load(home, engine)
        assert home.query(LISTED) == []
    assert home.one("select count(*) from raw_tax.taxjar_transactions") == 4


def test_older_months_are_compared_once_a_week_and_fetched_when_they_differ(home: Home) -> None:
    """Each run fetches all of history one by one; or what is deleted and added in closed months is never noticed."""
    old = sale(1, NOW.date() - 80 * DAY)
    with served([old, sale(2, NOW.date() - 2 * DAY)]) as (account, engine):
        load(home, engine)
        account.paths.clear()
        account.documents[0] = sale(3, NOW.date() - 79 * DAY)
        load(home, engine)
        assert "orders/1003" not in account.paths
        home.loads += 7 * 24
        load(home, engine)
        assert home.query(LISTED) == [("1002",), ("1003",)]
        account.paths.clear()
        load(home, engine)
        assert sorted(account.paths) == ["orders", "orders", "orders", "orders/1002", "refunds", "refunds", "refunds"]


def test_a_transaction_that_is_unfit_stops_no_other(home: Home) -> None:
    """One odd transaction ends the run with the other ones unread; a page of another system passes for an answer."""
    with served(some(3)) as (account, engine):
        account.spoiled["orders/1002"] = b'{"order": {"transaction_id": "1002", "amount": "lots", "sales_tax": "1"}}'
        counts = load(home, engine)
        assert (counts.received, counts.loaded, counts.quarantined) == (4, 3, 1)
        (refused,) = home.quarantined()
        assert (refused["field"], refused["value"]) == ("amount", "lots")
        account.spoiled["orders"] = b"<html>"
        with pytest.raises(Exception, match="did not answer with a list of ids"):
            load(home, engine)
        account.spoiled = {"orders/1002": b'{"refund": {}}'}
        with pytest.raises(Exception, match="did not answer with a order"):
            load(home, engine)


def test_a_long_first_load_is_taken_in_portions(home: Home) -> None:
    """A backfill of one request for each order begins anew whenever it breaks off."""
    with served([sale(number, NOW.date() - number * 12 * DAY) for number in range(1, 7)]) as (account, engine):

        def portions(intake: Any) -> Any:
            intake.portion = 2
            return build(engine, intake, Path("none"))

        home.load("tax", engine.id, portions)
        home.load("tax", engine.id, portions)
    assert home.one("select count(*) from raw_tax.taxjar_transactions") == 6
    assert account.paths.count("orders/1006") == 1


def test_a_wrong_token_says_so() -> None:
    """A refused token looks like an account without orders."""
    with served(some(1)) as (_, engine), pytest.raises(HttpStatusError, match="HTTP 401"):
        examine(taxjar(engine.base_url, api_token="wrong-canary"), Path("none"))


def _made(path: Path) -> Path:
    path.mkdir()
    return path
