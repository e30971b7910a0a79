"""The check that a store still sends its webhooks, which WooCommerce ends without a word after some failures."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

import dagster as dg

from retail_assets import keys
from retail_assets.defs.ingest.instances import SourceInstance
from retail_assets.http import HttpError
from retail_assets.settings import Store
from retail_assets.sources.woocommerce.client import StoreClient
from retail_assets.sources.woocommerce.hooks import (
    StoreWebhook,
    WebhooksRefusedError,
    switch_on,
    trouble_with,
    webhooks_to_us,
)
from retail_assets.sources.woocommerce.pages import UnexpectedAnswerError

#: What reading them may raise that is no refusal.
NO_ANSWER: Final = (HttpError, UnexpectedAnswerError)
REFUSED: Final = "its key may not list webhooks: look at them in WooCommerce, Settings → Advanced → Webhooks"


def watched_store(instance: SourceInstance) -> Store | None:
    """The store whose webhooks are looked at with its orders: one of WooCommerce that is to send us some."""
    configured = instance.configured
    if isinstance(configured, Store) and configured.declared.webhooks == "woocommerce" and configured.webhook_keys:
        return configured
    return None


def webhooks_of(store: Store) -> list[StoreWebhook]:
    """The webhooks that it has for us.

    Raises:
        WebhooksRefusedError: its key may not list them.
        HttpError, UnexpectedAnswerError: it does not answer, or not so.
    """
    with closing(StoreClient(store)) as client:
        return webhooks_to_us(client, store.id)


def enable_webhooks(
    store: Store, webhooks: Sequence[StoreWebhook], done: Callable[[StoreWebhook], None]
) -> list[StoreWebhook]:
    """Set to active what is not, and tell ``done`` of each at once; returns those, as they were.

    Raises: as ``webhooks_of`` does.
    """
    silent = [one for one in webhooks if trouble_with([one])]
    with closing(StoreClient(store)) as client:
        for one in silent:
            switch_on(client, one)
            done(one)
    return silent


def check_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check, which belongs to the store's orders."""
    return dg.AssetCheckSpec(
        keys.WEBHOOKS_CHECK, asset=asset, description="The store has webhooks for us, and sends all of them."
    )


def check_result(context: dg.AssetExecutionContext, asset: dg.AssetKey, store: Store) -> dg.AssetCheckResult | None:
    """What the store says of its webhooks; nothing if it does not say: the load itself is none the worse for it."""
    try:
        trouble = trouble_with(webhooks_of(store))
        told = "; ".join(trouble) or "all of them are active"
    except WebhooksRefusedError:
        trouble, told = [], REFUSED
    except NO_ANSWER as error:
        context.log.warning(f"{store.id}: its webhooks could not be looked at: {error}")
        return None
    # The polls bring what no event tells of: nothing that is built on these orders has to wait.
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=keys.WEBHOOKS_CHECK,
        passed=not trouble,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
    )
