"""The webhooks of a store, as it lists them: WooCommerce switches one off after some failures and tells nobody."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from retail_assets.http import HttpStatusError
from retail_assets.sources.woocommerce.client import StoreClient
from retail_assets.sources.woocommerce.pages import UnexpectedAnswerError, body_of

ACTIVE: Final = "active"
_PER_PAGE: Final = 100
#: WooCommerce's refusals of a key, and a shop whose API has no such route.
_REFUSED: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
_Decoded = TypeVar("_Decoded")


class WebhooksRefusedError(Exception):
    """The key may not see, or not change, the webhooks of its store."""


@dataclass(frozen=True, slots=True)
class StoreWebhook:
    """A webhook of a store: ``status`` is active, paused or disabled."""

    webhook_id: int
    topic: str
    status: str
    delivery_url: str


class _Listed(msgspec.Struct):
    id: int
    topic: str
    status: str
    delivery_url: str


def webhooks_to_us(client: StoreClient, store_id: str) -> list[StoreWebhook]:
    """The webhooks that deliver to our intake's path for the store, on whatever host a proxy has it.

    Raises:
        WebhooksRefusedError: the key may not list webhooks.
        HttpError, UnexpectedAnswerError: the store does not answer, or not so.
    """
    path = f"/webhooks/{store_id}"
    return [one for one in _listed(client) if urlsplit(one.delivery_url).path.rstrip("/").endswith(path)]


def trouble_with(webhooks: Sequence[StoreWebhook]) -> list[str]:
    """What keeps events from us, in words; empty if all is well."""
    if not webhooks:
        return ["no webhook of the store delivers to us"]
    return [f"webhook {one.webhook_id} ({one.topic}) is {one.status}" for one in webhooks if one.status != ACTIVE]


def switch_on(client: StoreClient, webhook: StoreWebhook) -> None:
    """Set a webhook to active; needs a key that may write.

    Raises:
        WebhooksRefusedError: the key may not.
        HttpError, UnexpectedAnswerError: the store does not answer, or not that it is active.
    """
    try:
        answer = client.post(f"webhooks/{webhook.webhook_id}", {"status": ACTIVE})
    except HttpStatusError as error:
        if error.status in _REFUSED:
            raise WebhooksRefusedError(str(error)) from error
        raise
    if _decoded(body_of(answer), _Listed).status != ACTIVE:
        raise UnexpectedAnswerError(f"webhook {webhook.webhook_id} was to be active, and the store says it is not")


def _listed(client: StoreClient) -> Iterator[StoreWebhook]:
    page = 1
    while True:
        try:
            answer = client.probe("webhooks", {"status": "all", "per_page": _PER_PAGE, "page": page})
        except HttpStatusError as error:
            if error.status in _REFUSED:
                raise WebhooksRefusedError(str(error)) from error
            raise
        records = _decoded(body_of(answer), list[_Listed])
        yield from (StoreWebhook(one.id, one.topic, one.status, one.delivery_url) for one in records)
        if len(records) < _PER_PAGE:
            return
        page += 1


def _decoded(body: bytes, kind: type[_Decoded]) -> _Decoded:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise UnexpectedAnswerError(f"the store's answer about its webhooks cannot be read: {error}") from error
