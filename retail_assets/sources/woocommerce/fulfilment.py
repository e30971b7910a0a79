"""Fulfilments of orders: WooCommerce's own (since 10.x, where the shop has switched them on).

The order says by its meta ``_fulfillment_status`` whether it has any, so that a shop without the feature is never
asked. Shipments that plugins note (Shipment Tracking, Advanced Shipment Tracking) are in the order's meta and read from
there.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final

import msgspec

from retail_assets.contracts import table
from retail_assets.http import HttpStatusError
from retail_assets.sources.intake import Intake, merge_item
from retail_assets.sources.records import convert, from_rows
from retail_assets.sources.woocommerce.client import StoreClient
from retail_assets.sources.woocommerce.known import Known
from retail_assets.sources.woocommerce.pages import identity_of, records_of
from retail_assets.sources.woocommerce.sweep import Deletion
from retail_assets.sources.woocommerce.walk import Page

_STATUS: Final = "_fulfillment_status"
_MARK: Final = f'"{_STATUS}"'.encode()
#: What an order says that has nothing shipped: it is only asked for if it had fulfilments before.
_NONE: Final = ("", "no_fulfillments", "unfulfilled")
_REFUSED: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class _Noted(msgspec.Struct):
    id: int
    meta_data: Any = None


_NOTED: Final = msgspec.json.Decoder(_Noted)


class Fulfilments:
    """Reads the fulfilments of orders that changed, and notes those that are gone."""

    def __init__(self, client: StoreClient, known: Known, intake: Intake) -> None:
        self._client = client
        self._known = known
        self._intake = intake
        self._is_refused = False

    @cached_property
    def _held(self) -> Mapping[int, frozenset[int]]:
        return self._known.fulfillments()

    def of(self, page: Page) -> Iterator[Any]:
        """The fulfilments of the orders of a page."""
        for record in page.records:
            if _MARK not in record or self._is_refused:
                continue
            try:
                order = _NOTED.decode(record)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # The order itself is in quarantine.
            if _status(order.meta_data) not in _NONE or order.id in self._held:
                yield from self._of_order(order.id)

    def _of_order(self, order_id: int) -> Iterator[Any]:
        path, intake = f"orders/{order_id}/fulfillments", self._intake
        try:
            records = records_of(self._client.get(path))
        except HttpStatusError as error:
            if error.status not in _REFUSED:
                raise
            if error.status != HTTPStatus.NOT_FOUND:
                self._is_refused = True
                intake.counts_of("orders").notes.append(f"the key may not read fulfilments ({error})")
            return
        if records:
            origin = f"{intake.instance}: GET {path}"
            batch = convert(
                table("woocommerce", "order_fulfillments"),
                records,
                instance=intake.instance,
                loaded_at=intake.now,
                origin=origin,
                given=[{"order_id": order_id}] * len(records),
            )
            yield from intake.take(batch, "order_fulfillments")
        gone = self._held.get(order_id, frozenset()) - {identity_of(record) for record in records}
        if gone:
            rows = [
                Deletion("order_fulfillments", one, order_id, "itself", None, True).row(intake.now)
                for one in sorted(gone)
            ]
            deletions = table("woocommerce", "deletions")
            yield merge_item(deletions, from_rows(deletions, rows, instance=intake.instance, loaded_at=intake.now))


def _status(meta: Any) -> str:
    """The order's fulfilment status; meta is a list of {id, key, value}, and with some plugins an object of them."""
    entries = meta.values() if isinstance(meta, dict) else meta if isinstance(meta, list) else ()
    for entry in entries:
        if isinstance(entry, dict) and entry.get("key") == _STATUS:
            return str(entry.get("value") or "")
    return ""
