"""The webhooks of a store, as it lists them."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from retail_assets.sources.woocommerce.client import StoreClient
from retail_assets.sources.woocommerce.hooks import WebhooksRefusedError, trouble_with, webhooks_to_us
from retail_assets.sources.woocommerce.pages import UnexpectedAnswerError
from tests.sources.woocommerce.store import FakeStore, settings_for
from tests.support.replay import RECORDED
from tests.support.server import running


@contextmanager
def asked(answer: Response) -> Iterator[StoreClient]:
    with running(FakeStore(raw={"webhooks": answer}).app()) as url, closing(StoreClient(settings_for(url))) as client:
        yield client


def webhook(number: int, **changes: Any) -> Mapping[str, Any]:
    url = "https://hooks.shop.example/intake/webhooks/cedar_us"
    return {"id": number, "topic": "order.updated", "status": "active", "delivery_url": url, **changes}


def test_only_those_that_deliver_to_us_count() -> None:
    """Another system's paused webhook raised an alert; ours, whose address a proxy changes, was not known as ours."""
    elsewhere = webhook(3, status="paused", delivery_url="https://erp.example/webhooks/cedar_us_old")
    listed = [webhook(1, status="disabled"), webhook(2), elsewhere]
    with asked(JSONResponse(listed)) as client:
        found = webhooks_to_us(client, "cedar_us")
    assert [one.webhook_id for one in found] == [1, 2]
    assert trouble_with(found) == ["webhook 1 (order.updated) is disabled"]
    assert trouble_with(found[1:]) == []


def test_a_store_without_a_webhook_for_us_is_in_trouble() -> None:
    """The webhooks that a real store listed go elsewhere: nothing would ever come, and all was said to be well."""
    recorded = (RECORDED / "webhooks.json").read_bytes()
    with asked(Response(recorded, media_type="application/json")) as client:
        assert trouble_with(webhooks_to_us(client, "cedar_us")) == ["no webhook of the store delivers to us"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_key_that_may_not_list_them_is_no_trouble(status: int) -> None:
    """A read-only key of a shop manager's failed every load, since it may not see the webhooks."""
    refusal = JSONResponse({"code": "woocommerce_rest_cannot_view"}, status)
    with asked(refusal) as client, pytest.raises(WebhooksRefusedError):
        webhooks_to_us(client, "cedar_us")


def test_an_answer_that_is_none_is_said_to_be() -> None:
    """A maintenance page with status 200 counted as no webhooks at all."""
    with asked(Response("<html>back soon</html>")) as client, pytest.raises(UnexpectedAnswerError):
        webhooks_to_us(client, "cedar_us")
