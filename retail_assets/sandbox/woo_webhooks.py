"""The webhooks of a simulated store, as a real WooCommerce 10.2 store was recorded to send them.

Events wait until something calls ``deliver`` (in a real shop Action Scheduler does), and tell of the order as it is
then: two quick changes make one delivery.
"""

import base64
import hashlib
import hmac
import json
import re
import sqlite3
from pathlib import Path
from typing import Any, Final

import requests

from retail_assets.sandbox.storage import change_state, encode
from retail_assets.sandbox.woo_changes import NoSuchOrderError

_TIMEOUT_SECONDS: Final = 10
#: Answers in a row that are no success, after which WooCommerce switches a webhook off.
_MOST_FAILURES: Final = 6
#: Where `retail webhooks serve` listens unless told otherwise.
_INTAKE: Final = "http://127.0.0.1:8770"
_TOPICS: Final = {
    "order.created": ["woocommerce_new_order"],
    "order.updated": ["woocommerce_update_order", "woocommerce_order_refunded"],
    "order.deleted": ["wp_trash_post", "woocommerce_trash_order"],
    "order.restored": ["untrashed_post", "woocommerce_untrash_order"],
}
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")


def webhooks_of(connection: sqlite3.Connection, store_id: str) -> list[dict[str, Any]]:
    """The webhooks of a store as its API lists them: four, until one is changed, to an intake on this machine."""
    rows = connection.execute("select body from documents where resource = 'webhooks' order by id").fetchall()
    if rows:
        return [json.loads(row["body"]) for row in rows]
    return [
        {
            "id": number,
            "name": topic,
            "status": "active",
            "topic": topic,
            "resource": "order",
            "event": topic.partition(".")[2],
            "hooks": hooks,
            "delivery_url": f"{_INTAKE}/webhooks/{store_id}",
        }
        for number, (topic, hooks) in enumerate(_TOPICS.items(), start=1)
    ]


def change_webhooks(
    connection: sqlite3.Connection, store_id: str, status: str, webhook_id: int | None = None
) -> list[dict[str, Any]]:
    """Move one webhook of a store, or all, to another status; returns those that were moved."""
    listed = webhooks_of(connection, store_id)
    moved = [one for one in listed if webhook_id in (None, one["id"])]
    for one in moved:
        one["status"] = status
    connection.execute("delete from documents where resource = 'webhooks'")
    values = [("webhooks", one["id"], 0, 0, 0, encode(one)) for one in listed]
    connection.executemany("insert into documents values (?, ?, ?, ?, ?, ?)", values)
    return moved


class StoreWebhooks:
    """What one store sends to one address.

    Args:
        state: the store's state file.
        url: where to send it.
        secret: the key it signs with.
    """

    def __init__(self, state: Path, url: str, secret: str) -> None:
        self._state = state
        self._url = url
        self._secret = secret.encode()
        self._waiting: dict[tuple[str, int], None] = {}
        self._delivered = 0
        self._failures = 0
        self._session = requests.Session()
        self._session.trust_env = False

    @property
    def is_active(self) -> bool:
        """Whether it still sends; WooCommerce gives up on an address that fails seven times in a row."""
        return self._failures <= _MOST_FAILURES

    def tell(self, topic: str, order_id: int) -> None:
        """Have an event wait for its delivery."""
        self._waiting[topic, order_id] = None

    def ping(self) -> int:
        """The unsigned form that is sent when a webhook is made; returns the status of the answer."""
        answer = self._session.post(self._url, data={"webhook_id": "1"}, timeout=_TIMEOUT_SECONDS)
        return answer.status_code

    def deliver(self) -> list[int]:
        """Send what waits; returns the statuses of the answers. There is no second attempt."""
        waiting, self._waiting = self._waiting, {}
        statuses = []
        for topic, order_id in waiting:
            if not self.is_active:
                break
            answer = self._session.post(
                self._url,
                data=(body := self._body(topic, order_id)),
                headers=self._headers(topic, body),
                timeout=_TIMEOUT_SECONDS,
            )
            statuses.append(answer.status_code)
            self._failures = 0 if answer.ok else self._failures + 1
            if not self.is_active:
                with change_state(self._state) as connection:
                    change_webhooks(connection, self._state.stem, "disabled")
        return statuses

    def _headers(self, topic: str, body: bytes) -> dict[str, str]:
        self._delivered += 1
        resource, _, event = topic.partition(".")
        delivery = hashlib.sha256(f"{topic} {self._delivered} ".encode() + body).hexdigest()[:32]
        return {
            "Content-Type": "application/json",
            "User-Agent": "WooCommerce/10.2.4 Hookshot (WordPress/6.8.3)",
            "X-WC-Webhook-Topic": topic,
            "X-WC-Webhook-Resource": resource,
            "X-WC-Webhook-Event": event,
            "X-WC-Webhook-Signature": base64.b64encode(hmac.digest(self._secret, body, "sha256")).decode(),
            "X-WC-Webhook-ID": "1",
            "X-WC-Webhook-Delivery-ID": delivery,
        }

    def _body(self, topic: str, order_id: int) -> bytes:
        if topic == "order.deleted":
            return b'{"id":%d}' % order_id
        with change_state(self._state) as connection:
            row = connection.execute("select body from orders where id = ?", (order_id,)).fetchone()
        if row is None:
            raise NoSuchOrderError(f"order {order_id}")
        # As PHP writes JSON: slashes and all that is not ASCII escaped.
        text = row["body"].replace("/", r"\/")
        return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text).encode()
