"""``retail webhooks``: the event intake, and what is in its inbox."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

import requests
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Engine

from retail_assets.commands import CommandError
from retail_assets.defs.ingest.instances import source_instances
from retail_assets.defs.ingest.webhooks import NO_ANSWER, REFUSED, enable_webhooks, watched_store, webhooks_of
from retail_assets.ops import audit, inbox
from retail_assets.ops.store import open_store, writing
from retail_assets.sandbox.profiles import STORES
from retail_assets.sandbox.woo_changes import NoSuchOrderError, Shop
from retail_assets.sandbox.woo_webhooks import StoreWebhooks
from retail_assets.settings import Settings, Store
from retail_assets.sources.woocommerce.hooks import StoreWebhook, WebhooksRefusedError, trouble_with
from retail_assets.webhooks.app import PATH, Limits, Sender
from retail_assets.webhooks.server import Address, AddressError, Running, Service, configure_log, serve

_DEAD_SHOWN: Final = 20


def serve_webhooks(settings: Settings, console: Console, *, host: str | None, port: int | None) -> None:
    """Serve the intake until interrupted.

    Raises:
        CommandError: nobody is configured to send webhooks, or it cannot listen there.
    """
    senders = senders_of(settings)
    if not senders:
        raise CommandError(
            "no store and no gateway has webhook_secrets in retail.yaml: nobody's webhooks could be told from a forgery"
        )
    configured = settings.configuration.webhooks
    configure_log()
    engine = open_store(settings.operations_url)
    service = Service(
        senders,
        engine,
        settings.now,
        Address(host or configured.host, configured.port if port is None else port),
        Address(configured.metrics_host, configured.metrics_port),
        Limits(configured.max_body_kilobytes << 10, configured.max_waiting),
        connections=configured.max_connections,
        trusted_proxies=configured.trusted_proxies,
    )

    def ready(running: Running) -> None:
        for sender in senders:
            console.print(f"{sender.source}: POST {running.public}{PATH}{sender.source}", highlight=False)
        private = running.private
        console.print(f"Health and metrics: {private}/healthz, {private}/metrics (Ctrl-C ends it)", highlight=False)

    try:
        serve(service, ready)
    except AddressError as error:
        raise CommandError(f"{error}; change webhooks.port or webhooks.metrics_port in retail.yaml") from error
    finally:
        engine.dispose()


def senders_of(settings: Settings) -> list[Sender]:
    """Who may send webhooks: stores and gateways that have keys for them."""
    return [
        Sender(item.id, item.declared.webhooks or "", tuple(key.encode() for key in item.webhook_keys))
        for item in settings.configuration.instances
        if item.webhook_keys
    ]


def change_order(settings: Settings, store_id: str, order_id: int, status: str) -> list[int]:
    """Move an order of the simulated retailer to another status and send its webhook; returns the intake's answers.

    Raises:
        CommandError: there is no such store or order, it has no key for webhooks, or no intake answers.
    """
    state = settings.sandbox_path / f"{store_id}.sqlite"
    keys = {sender.source: sender.keys for sender in senders_of(settings)}
    if store_id not in STORES or not state.is_file():
        raise CommandError(f"there is no simulated store {store_id!r}: there are {', '.join(STORES)}")
    if store_id not in keys:
        raise CommandError(f"{store_id} has no webhook_secrets in retail.yaml")
    configured = settings.configuration.webhooks
    url = f"http://{configured.host}:{configured.port}{PATH}{store_id}"
    webhooks = StoreWebhooks(state, url, keys[store_id][-1].decode())
    try:
        Shop(state, STORES[store_id], tell=webhooks.tell).set_status(order_id, status, settings.now())
        return webhooks.deliver()
    except NoSuchOrderError as error:
        raise CommandError(f"{store_id} has no {error}") from error
    except requests.ConnectionError as error:
        raise CommandError(f"the order is {status}, but nobody answers at {url}: retail webhooks serve") from error


def status(settings: Settings) -> dict[str, Any]:
    """What is in the inbox, by source and state, and the dead events with their reasons."""
    engine = open_store(settings.operations_url)
    try:
        now = settings.now()
        waiting = [
            {"source": one.source, "events": one.events, "oldest_seconds": _seconds(now, one.oldest_at)}
            for one in inbox.backlogs(engine)
        ]
        return {
            "senders": [sender.source for sender in senders_of(settings)],
            "stores": [_seen(store) for store in _watched(settings)],
            "inbox": inbox.depths(engine),
            "waiting": waiting,
            "dead": inbox.rows(engine, state=inbox.DEAD, limit=_DEAD_SHOWN),
        }
    finally:
        engine.dispose()


def enable(settings: Settings, store_id: str) -> list[dict[str, Any]]:
    """Have a store send its webhooks to us again; what was changed is in the audit chain.

    Returns:
        The webhooks that were set to active, with the status that they had.

    Raises:
        CommandError: there is no such store, it has no webhook for us, its key may not, or it does not answer.
    """
    stores = {store.id: store for store in _watched(settings)}
    if store_id not in stores:
        known = ", ".join(stores) or "none"
        raise CommandError(
            f"{store_id!r} is no WooCommerce store with webhook_secrets in retail.yaml; there are: {known}"
        )
    by_hand = "set it to Active in WooCommerce, Settings → Advanced → Webhooks"
    try:
        before = webhooks_of(stores[store_id])
        if not before:
            path = f"{PATH}{store_id}"
            raise CommandError(f"no webhook of {store_id} delivers to …{path}: make one as docs/webhooks.md says")
        engine = open_store(settings.operations_url)
        try:
            enabled = enable_webhooks(
                stores[store_id], before, lambda webhook: _note_enabled(engine, settings, store_id, webhook)
            )
        finally:
            engine.dispose()
    except WebhooksRefusedError as error:
        raise CommandError(
            f"the key of {store_id} needs read/write permission for that: {error}; or {by_hand}"
        ) from error
    except NO_ANSWER as error:
        raise CommandError(f"{store_id} did not do it: {error}") from error
    return [asdict(one) for one in enabled]


def _note_enabled(engine: Engine, settings: Settings, store_id: str, webhook: StoreWebhook) -> None:
    with writing(engine) as connection:
        audit.append(
            connection,
            at=settings.now(),
            actor=settings.actor,
            action="webhook_enabled",
            subject=f"webhook:{store_id}:{webhook.webhook_id}",
            details={"topic": webhook.topic, "was": webhook.status, "delivery_url": webhook.delivery_url},
        )


def _watched(settings: Settings) -> list[Store]:
    return [store for instance in source_instances(settings) if (store := watched_store(instance)) is not None]


def _seen(store: Store) -> dict[str, Any]:
    """What a store says of its webhooks, asked once: somebody waits for the answer."""
    found: list[StoreWebhook] = []
    trouble: list[str] = []
    try:
        found = webhooks_of(store.model_copy(update={"retries": 0}))
        trouble = trouble_with(found)
        said = "; ".join(trouble) or f"{len(found)} webhooks for us, all active"
    except WebhooksRefusedError:
        said = REFUSED
    except NO_ANSWER as error:
        said = f"its webhooks could not be looked at: {error}"
    return {"store_id": store.id, "webhooks": [asdict(one) for one in found], "trouble": trouble, "said": said}


def print_status(console: Console, found: dict[str, Any]) -> None:
    """The status as tables."""
    for store in found["stores"]:
        mark = "[red]✗[/red]" if store["trouble"] else "[green]✓[/green]" if store["webhooks"] else "[yellow]?[/yellow]"
        console.print(f"{mark} {store['store_id']}: {escape(store['said'])}", highlight=False)
        if store["trouble"]:
            console.print(f"    when the intake answers: retail webhooks enable {store['store_id']}", highlight=False)
    if not found["inbox"]:
        console.print(f"The inbox is empty. Webhooks may come from: {', '.join(found['senders']) or 'nobody'}")
        return
    table = Table("source", "state", "events", "oldest", "newest")
    for row in found["inbox"]:
        table.add_row(
            row["source"], row["state"], f"{row['events']:,}", _shown(row["oldest_at"]), _shown(row["newest_at"])
        )
    console.print(table)
    for row in found["dead"]:
        what = f"{row['event_id']} {row['source']} {row['topic'] or ''}: {row['reason']}"
        console.print(
            f"[red]✗[/red] {escape(what)}",
            highlight=False,
        )


def _seconds(now: datetime, then: datetime) -> int:
    return int((now - then).total_seconds())


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
