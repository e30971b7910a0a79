"""A simulated Mollie account through dlt into the warehouse."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from retail_assets.http import ForeignHostError, HttpStatusError
from retail_assets.sandbox.mollie import create_app, payout_id_of
from retail_assets.settings import instance_of
from retail_assets.sources.mollie import build, examine
from retail_assets.sources.mollie.client import MollieClient, UnexpectedAnswerError
from retail_assets.sources.mollie.source import _context, _order
from tests.sandbox.test_adyen import LEDGER
from tests.sources.loading import Home
from tests.support.server import running

NOW = datetime(2026, 4, 1, tzinfo=UTC)


def gateway(url: str, key: str = "key") -> Any:
    block = {"id": "mollie_eu", "system": "mollie", "entity": "DE", "bank": "bank_de", "base_url": url, "api_key": key}
    return instance_of("gateways", {**block, "stores": [{"store": "shop_de"}], "retries": 0})


@contextmanager
def answering(body: Callable[[str], Any]) -> Iterator[str]:
    """A server that answers everything with one body, made of its own address."""

    async def endpoint(request: Request) -> JSONResponse:
        return JSONResponse(body(f"{request.url.scheme}://{request.url.netloc}"))

    with running(Starlette(routes=[Route("/{path:path}", endpoint)])) as url:
        yield url


def test_an_account_is_read_completely_and_again_without_change(home: Home) -> None:
    """A list cut at its first page, a settlement without its contents, or a second reading that doubles them."""
    sales = [replace(LEDGER.movements[0], serial=1000 + number, payout=None) for number in range(260)]
    ledger = replace(LEDGER, movements=(*LEDGER.movements, *sales))
    with running(create_app(ledger, "key", NOW)) as url:
        assert examine(gateway(url), Path()) == f"answers at {url}"
        counts = home.load("mollie", "mollie_eu", lambda intake: build(gateway(url), intake, Path()))
        before = home.content("mollie")
        home.load("mollie", "mollie_eu", lambda intake: build(gateway(url), intake, Path()))
    assert home.content("mollie") == before
    assert counts["balance_transactions"].loaded == 269
    assert counts["payments"].loaded == 263
    items = home.query(
        "select settlement_id, kind, count(*) from raw_mollie.settlement_items group by all order by all"
    )
    first, second = map(payout_id_of, LEDGER.payouts)
    assert items == sorted(
        [(first, "payment", 2), (first, "refund", 1), (second, "chargeback", 1), (second, "payment", 1)]
    )
    periods = "select kind, sum(gross_amount) from raw_mollie.settlement_periods group by kind order by kind"
    assert home.query(periods) == [("costs", Decimal("25.20")), ("revenue", Decimal("448.50"))]


def test_a_wrong_key_is_told() -> None:
    """A doctor that finds all well with a key that opens nothing."""
    with running(create_app(LEDGER, "key", NOW)) as url, pytest.raises(HttpStatusError, match="401"):
        examine(gateway(url, "other"), Path())


def test_the_key_stays_with_its_host() -> None:
    """A link to the next page on another host was sent the token."""
    page = {"_embedded": {"payments": []}, "_links": {"next": {"href": "http://127.0.0.2:9/v2/payments"}}}
    with answering(lambda url: page) as url, pytest.raises(ForeignHostError):
        list(MollieClient(gateway(url)).pages("payments", "payments"))


def test_a_link_that_leads_back_ends_the_reading() -> None:
    """A page whose link led to itself was read for ever."""

    def page(url: str) -> Any:
        return {"_embedded": {"payments": []}, "_links": {"next": {"href": f"{url}/v2/payments?from=tr_1"}}}

    with answering(page) as url, pytest.raises(UnexpectedAnswerError, match="leads back"):
        list(MollieClient(gateway(url)).pages("payments", "payments"))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (b'{"context": {"paymentId": "tr_1", "refundId": "re_1"}}', {"payment_id": "tr_1", "refund_id": "re_1"}),
        (b'{"context": {"outgoingTransfer": {"settlementId": "stl_1"}}}', {"settlement_id": "stl_1"}),
        (b'{"context": []}', {}),
        (b'{"context": {"paymentId": 7}}', {}),
        (b"not json", {}),
    ],
)
def test_contexts_are_flat_or_nested(record: bytes, expected: dict[str, str]) -> None:
    """Movements of the later shape lost what they are about."""
    assert _context(record) == expected


@pytest.mark.parametrize("metadata", [b"null", b'"1005"', b"[]", b'{"order_id": 1005}', b'{"order_id": {"id": 1}}'])
def test_metadata_may_be_anything(metadata: bytes) -> None:
    """A payment whose shop sent a text as metadata was refused."""
    expected = {"metadata_order_id": "1005"} if b": 1005}" in metadata else {}
    assert _order(b'{"metadata": ' + metadata + b"}") == expected
