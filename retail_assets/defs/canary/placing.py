"""Placing a canary in a store, and noting those that came through."""

from contextlib import closing
from datetime import UTC
from http import HTTPStatus
from typing import Any, Final

import duckdb
import msgspec
from sqlalchemy import Engine

from retail_assets.http import HttpError, HttpStatusError
from retail_assets.ops import canaries
from retail_assets.ops.canaries import Canary
from retail_assets.settings import Settings
from retail_assets.sources.woocommerce.client import StoreClient
from retail_assets.sources.woocommerce.pages import body_of

#: What an order of ours carries in its meta_data.
META_KEY: Final = "_retail_canary"
_ARRIVED: Final = """
    select canary_id, canary_order_key, loaded_at
    from marts.mon_canaries
    where canary_status = 'arrived' and seen_at is null and canary_order_key is not null
"""
_LATE: Final = """
    select canary_id, store_id, canary_status, total_seconds
    from marts.mon_canaries
    where canary_status in ('refused', 'late', 'lost') and placed_at > measured_at - interval 7 day
    order by placed_at, canary_id
"""


class CanaryError(Exception):
    """No canary could be placed; the message says why and what to do."""


def place(settings: Settings, operations: Engine, store_id: str) -> Canary:
    """Place one in a store: an order that is pending, without lines, customer or money; and trash those that were seen.

    Raises:
        CanaryError: the store is not one that canaries are placed in, has not taken it, or has not said whether it has.
    """
    limits = settings.configuration.canary
    if limits is None or store_id not in limits.stores:
        raise CanaryError(
            f"{store_id} is not one of canary.stores in {settings.config_path}: add it there, "
            "for example canary: {stores: [" + store_id + "]}"
        )
    store = next(one for one in settings.configuration.stores if one.id == store_id)
    token = canaries.begin(operations, store_id, now=settings.now())
    with closing(StoreClient(store)) as client:
        body: dict[str, Any] = {"status": "pending", "meta_data": [{"key": META_KEY, "value": token}]}
        try:
            answer = msgspec.json.decode(body_of(client.post("orders", body)))
            order_id = int(answer["id"])
        except (HttpError, msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
            if _is_refusal(error):
                canaries.refused(operations, token, str(error), now=settings.now())
                raise CanaryError(
                    f"{store_id} has not taken the order (its key must be able to write): {error}"
                ) from error
            canaries.unanswered(operations, token, str(error))
            raise CanaryError(
                f"{store_id} has not answered, so whether it has the order shows when it is loaded: {error}"
            ) from error
        canaries.placed(operations, token, order_id, now=settings.now())
        for old in canaries.all_of(operations, store_id):
            if old.state == "seen" and old.removed_at is None and old.order_id is not None:
                _trash(client, old.order_id)
                canaries.removed(operations, old.token, now=settings.now())
    return next(one for one in canaries.all_of(operations, store_id) if one.token == token)


def _is_refusal(error: Exception) -> bool:
    """Whether the store said no; whatever else went wrong, it may have the order."""
    return (
        isinstance(error, HttpStatusError)
        and error.status < HTTPStatus.INTERNAL_SERVER_ERROR
        and error.status != HTTPStatus.REQUEST_TIMEOUT
    )


def _trash(client: StoreClient, order_id: int) -> None:
    try:
        client.trash(f"orders/{order_id}")
    except HttpStatusError as error:
        if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            raise CanaryError(f"order {order_id}, an older canary, cannot be put into the trash: {error}") from error
    except HttpError as error:
        raise CanaryError(f"order {order_id}, an older canary, cannot be put into the trash: {error}") from error


def note_arrivals(settings: Settings, operations: Engine, connection: duckdb.DuckDBPyConnection) -> int:
    """Write down when the marts first showed each canary; returns how many were new."""
    arrived = connection.execute(_ARRIVED).fetchall()
    for token, order_key, loaded_at in arrived:
        order_id = int(order_key.rpartition(":")[2])
        canaries.seen(operations, token, order_id, loaded_at=loaded_at.replace(tzinfo=UTC), now=settings.now())
    return len(arrived)


def missing(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Canaries of the last week that did not come through in time, in words."""
    return [
        f"{canary_id} of {store_id} is {status}, placed {seconds // 60} minutes ago"
        for canary_id, store_id, status, seconds in connection.execute(_LATE).fetchall()
    ]
