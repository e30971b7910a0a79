"""An intake on free loopback ports, for as long as a test needs it, and what it logged."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue
from typing import Any

import requests
from sqlalchemy import Engine

from retail_assets.ops import inbox
from retail_assets.ops.store import open_store
from retail_assets.webhooks.app import Sender
from retail_assets.webhooks.server import Address, Running, Service, serve
from retail_assets.webhooks.signatures import sign_woocommerce

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
KEY = "a-secret-of-the-tests-0123456789"
STORES = ("cedar_us", "linden_de")
BODY = rb'{"id": 90, "total": "10.00", "note": "caf\u00e9", "link": "https:\/\/shop.example"}'


@dataclass
class RunningIntake:
    """A running intake: the addresses of its webhooks and of its health, and its inbox."""

    url: str
    private: str
    engine: Engine
    session: requests.Session = field(default_factory=requests.Session)

    def send(self, body: bytes = BODY, source: str = "cedar_us", key: str = KEY, **headers: str) -> requests.Response:
        """A webhook as a WooCommerce store sends it."""
        given = {
            "Content-Type": "application/json",
            "X-WC-Webhook-Signature": sign_woocommerce(body, key),
            "X-WC-Webhook-Topic": "order.updated",
            "X-WC-Webhook-Delivery-ID": "a1b2",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return self.session.post(f"{self.url}/webhooks/{source}", data=body, headers=given, timeout=20)

    def events(self) -> list[dict[str, Any]]:
        """What is in the inbox, oldest first."""
        return list(reversed(inbox.rows(self.engine)))


def senders() -> list[Sender]:
    """Two stores."""
    return [Sender(store, "woocommerce", (KEY.encode(),)) for store in STORES]


@contextmanager
def running_intake(store: Path | str, known: Sequence[Sender] | None = None, **options: Any) -> Iterator[RunningIntake]:
    """An intake in a thread, its inbox in a folder or at a URL; ``known`` are the two stores if left out."""
    engine = open_store(store if isinstance(store, str) else f"sqlite:///{store / 'operations.sqlite'}")
    service = Service(known or senders(), engine, lambda: NOW, Address(), Address(), **options)
    started: Queue[tuple[Running, asyncio.AbstractEventLoop]] = Queue()

    def run() -> None:
        serve(service, lambda running: started.put((running, asyncio.get_running_loop())))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    running, loop = started.get(timeout=20)
    intake = RunningIntake(running.public, running.private, engine)
    intake.session.trust_env = False
    try:
        yield intake
    finally:
        intake.session.close()
        loop.call_soon_threadsafe(running.stop)
        thread.join(timeout=20)
        engine.dispose()
        assert not thread.is_alive(), "the intake did not stop"
