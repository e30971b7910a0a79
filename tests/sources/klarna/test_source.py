"""A simulated Klarna account through dlt into the warehouse."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from retail_assets.http import HttpStatusError
from retail_assets.sandbox.klarna import create_app
from retail_assets.settings import instance_of
from retail_assets.sources.klarna import build, examine
from retail_assets.sources.klarna.client import KlarnaClient, UnexpectedAnswerError
from tests.sandbox.test_adyen import LEDGER
from tests.sources.loading import Home
from tests.support.server import running

NOW = datetime(2026, 4, 1, tzinfo=UTC)


def gateway(url: str, key: str = "key") -> Any:
    block = {"id": "klarna_eu", "system": "klarna", "entity": "DE", "bank": "bank_de", "base_url": url}
    login = {"username": "user", "password": key, "retries": 0}
    return instance_of("gateways", {**block, **login, "stores": [{"store": "shop_de"}]})


def test_payouts_are_read_with_all_they_hold_and_once(home: Home) -> None:
    """Transactions beyond the first page were lost, equal ones fell together, or a second reading doubled them."""
    fees = [replace(LEDGER.movements[3], serial=1000 + number) for number in range(520)]
    ledger = replace(LEDGER, movements=(*LEDGER.movements, *fees))
    with running(create_app(ledger, "user", "key", NOW)) as url:
        assert examine(gateway(url), Path()) == f"answers at {url}"
        counts = home.load("klarna", "klarna_eu", lambda intake: build(gateway(url), intake, Path()))["payouts"]
        before = home.content("klarna")
        home.load("klarna", "klarna_eu", lambda intake: build(gateway(url), intake, Path()))
    assert home.content("klarna") == before
    assert (counts.received, counts.loaded) == (533, 533)
    equal = "select count(*), count(distinct id) from raw_klarna.transactions where detailed_type = 'SERVICING_FEE'"
    assert home.query(equal) == [(521, 521)]


def test_a_wrong_password_is_told() -> None:
    """A doctor that finds all well with a password that opens nothing."""
    with running(create_app(LEDGER, "user", "key", NOW)) as url, pytest.raises(HttpStatusError, match="401"):
        examine(gateway(url, "other"), Path())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"transactions": [], "pagination": {"count": 0, "total": 7}}, "ends after 0"),
        ({"payouts": []}, "did not answer with a list"),
        ([], "did not answer with a list"),
    ],
)
def test_an_answer_that_is_not_complete_is_refused(body: Any, reason: str) -> None:
    """A list that broke off was taken for the whole payout."""

    async def endpoint(request: Request) -> JSONResponse:
        return JSONResponse(body)

    with running(Starlette(routes=[Route("/{path:path}", endpoint)])) as url:
        client = KlarnaClient(gateway(url))
        with pytest.raises(UnexpectedAnswerError, match=reason):
            list(client.pages("transactions", {}))
