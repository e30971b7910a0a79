"""What happens in a shop after the simulated time: orders edited, trashed, deleted, refunded, shipped.

Each change leaves the traces that a real WooCommerce 10.2 store was measured to leave, which depend on where it keeps
its orders: ``hpos`` (the default for shops made since 8.2) or ``legacy`` (posts), where edits do not move the
modification date and refunds go to the trash with their order.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from retail_assets.sandbox.catalogue import gmt_text, local_text
from retail_assets.sandbox.profiles import StoreProfile
from retail_assets.sandbox.storage import change_state, encode

Storage = Literal["hpos", "legacy"]

_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_FIRST_NEW_ID: Final = 9_000_000


class NoSuchOrderError(LookupError):
    """The store has no order, or no refund, with that id."""


class Shop:
    """Changes one store's state file; its server shows them at once.

    Args:
        state: the store's state file.
        store: which store.
        storage: where it keeps its orders.
        tell: told of what sends a webhook, with its topic and the order; deletions and what is changed behind
            WooCommerce's back send none.
    """

    def __init__(
        self,
        state: Path,
        store: StoreProfile,
        storage: Storage = "hpos",
        tell: Callable[[str, int], None] = lambda _topic, _order_id: None,
    ) -> None:
        self._path = state
        self._zone = ZoneInfo(store.zone)
        self._storage = storage
        self._tell = tell

    def set_status(self, order_id: int, status: str, at: datetime) -> None:
        """Move an order to another status, which moves its modification date on both storages."""
        with self._changing(order_id, at) as order:
            order["status"] = status
        self._tell("order.updated", order_id)

    def edit(self, order_id: int, changes: Mapping[str, Any], at: datetime) -> None:
        """Change lines, totals, meta or the transaction id. On the old storage that moves no date."""
        with self._changing(order_id, at if self._storage == "hpos" else None) as order:
            order.update(changes)
        self._tell("order.updated", order_id)

    def note(self, order_id: int, key: str, value: Any, at: datetime) -> None:
        """Write one entry of ``meta_data``, as plugins do (``_wc_shipment_tracking_items``)."""
        with self._changing(order_id, at if self._storage == "hpos" else None) as order:
            kept = [entry for entry in order["meta_data"] if entry["key"] != key]
            order["meta_data"] = [*kept, {"id": order_id * 100 + len(kept), "key": key, "value": value}]
        self._tell("order.updated", order_id)

    def trash(self, order_id: int, at: datetime) -> None:
        """Move an order to the trash; on the old storage its refunds go with it."""
        with self._changing(order_id, at) as order:
            order["_was"], order["status"] = order["status"], "trash"
            if self._storage == "legacy":
                order["_refunds"], order["refunds"] = [*order.get("_refunds", []), *order["refunds"]], []
        if self._storage == "legacy":
            self._execute("update refunds set parent_id = -parent_id where parent_id = ?", order_id)
        self._tell("order.deleted", order_id)

    def restore(self, order_id: int, at: datetime, *, in_admin: bool = False) -> None:
        """Take an order out of the trash: by REST, where the old storage leaves the refunds in it, or in the admin."""
        with self._changing(order_id, at) as order:
            order["status"] = order.pop("_was", "processing")
            if self._storage == "legacy" and in_admin:
                order["refunds"] = order.pop("_refunds", [])
        if self._storage == "legacy" and in_admin:
            self._execute("update refunds set parent_id = -parent_id where parent_id = -?", order_id)
        if in_admin:
            self._tell("order.restored", order_id)
        elif self._storage == "legacy":
            self._tell("order.updated", order_id)

    def delete(self, order_id: int) -> None:
        """Delete an order for good, and its refunds with it."""
        if not self._execute("delete from orders where id = ?", order_id):
            raise NoSuchOrderError(f"order {order_id}")
        self._execute("delete from refunds where abs(parent_id) = ?", order_id)

    def refund(self, order_id: int, amount: str, at: datetime, reason: str = "Goodwill") -> int:
        """Refund an amount without lines; returns the refund's id. Moves the order's date on both storages."""
        with change_state(self._path) as connection:
            (highest,) = connection.execute(
                "select max(id) from (select id from orders union all select id from refunds)"
            ).fetchone()
            refund_id = max(highest or 0, _FIRST_NEW_ID) + 1
            moment = int(at.timestamp())
            body = {
                "id": refund_id, "parent_id": order_id, "date_created": local_text(at, self._zone),
                "date_created_gmt": gmt_text(at), "amount": amount, "reason": reason, "refunded_by": 1,
                "refunded_payment": False, "meta_data": [], "line_items": [], "shipping_lines": [], "tax_lines": [],
                "fee_lines": [],
            }  # fmt: skip
            row = (refund_id, order_id, moment, moment, encode(body))
            connection.execute("insert into refunds values (?, ?, ?, ?, ?)", row)
        with self._changing(order_id, at) as order:
            order["refunds"] = [*order["refunds"], {"id": refund_id, "reason": reason, "total": f"-{amount}"}]
        self._tell("order.updated", order_id)
        return refund_id

    def delete_refund(self, order_id: int, refund_id: int) -> None:
        """Delete a refund, which moves no date on either storage."""
        if not self._execute("delete from refunds where id = ?", refund_id):
            raise NoSuchOrderError(f"refund {refund_id}")
        with self._changing(order_id, None) as order:
            order["refunds"] = [refund for refund in order["refunds"] if refund["id"] != refund_id]

    def use_gift_card(self, order_id: int, card_id: int, code: str, amount: str, at: datetime) -> None:
        """Pay part of an order with a gift card, as the plugin WooCommerce Gift Cards shows it."""
        with self._changing(order_id, at) as order:
            order["gift_cards"] = [*order.get("gift_cards", []), {"id": card_id, "code": code, "amount": amount}]
        self._tell("order.updated", order_id)

    def fulfil(
        self, order_id: int, fulfilment_id: int, items: Mapping[int, int], tracking_number: str, at: datetime
    ) -> None:
        """Send off so many of each line (line id → quantity), by WooCommerce's own fulfilments."""
        metas = {
            "_items": [{"item_id": item, "qty": quantity} for item, quantity in items.items()],
            "_tracking_number": tracking_number,
            "_shipping_provider": "ups",
        }
        body = {
            "id": fulfilment_id, "entity_type": "WC_Order", "entity_id": str(order_id), "status": "fulfilled",
            "is_fulfilled": True, "date_updated": at.strftime("%Y-%m-%d %H:%M:%S"), "date_deleted": None,
            "meta_data": [
                {"id": fulfilment_id * 10 + step, "key": key, "value": value}
                for step, (key, value) in enumerate(metas.items())
            ],
        }  # fmt: skip
        with change_state(self._path) as connection:
            moment = int(at.timestamp())
            connection.execute(
                "insert or replace into documents values ('fulfillments', ?, ?, ?, ?, ?)",
                (fulfilment_id, order_id, moment, moment, encode(body)),
            )
        self.note(order_id, "_fulfillment_status", "fulfilled", at)

    def _execute(self, statement: str, *parameters: Any) -> int:
        with change_state(self._path) as connection:
            return connection.execute(statement, parameters).rowcount

    @contextmanager
    def _changing(self, order_id: int, at: datetime | None) -> Iterator[dict[str, Any]]:
        """The order's body, written back; ``at`` moves its modification date."""
        with change_state(self._path) as connection:
            order = self._read(connection, order_id)
            yield order
            modified = "modified"
            parameters: list[Any] = []
            if at is not None:
                order["date_modified"], order["date_modified_gmt"] = local_text(at, self._zone), gmt_text(at)
                modified = "?"
                parameters.append(int(at.astimezone(UTC).timestamp()))
            connection.execute(
                f"update orders set modified = {modified}, status = ?, body = ? where id = ?",  # noqa: S608 (our own words)
                [*parameters, order["status"], encode(order), order_id],
            )

    def _read(self, connection: sqlite3.Connection, order_id: int) -> dict[str, Any]:
        row = connection.execute("select body from orders where id = ?", (order_id,)).fetchone()
        if row is None:
            raise NoSuchOrderError(f"order {order_id}")
        return _DECODER.decode(row["body"])
