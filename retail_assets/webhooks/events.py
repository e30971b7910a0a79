"""What an event is about, as far as that decides what is to be loaded. Read when it is loaded, never when it comes.

A body is somebody else's JSON: only the fields below are looked at, with their types; the rest is skipped unread.
"""

import re
from typing import Final

import msgspec

#: What an event is about whose source is asked for all that changed.
CHANGES: Final = "changes"

_RESOURCES: Final = {"order": "orders", "product": "products", "customer": "customers"}
_LARGEST_ID: Final = 2**53 - 1
_ORDER_ACTION: Final = re.compile(r"action\.woocommerce_(?:new_|update_)?order(?:_[a-z_]+)?")


class UnusableEventError(ValueError):
    """The event can never be loaded; says why."""


class _Record(msgspec.Struct):
    id: int
    type: str = ""
    parent_id: int = 0


class _Action(msgspec.Struct):
    arg: int


class _StripeObject(msgspec.Struct):
    object: str


class _StripeData(msgspec.Struct):
    object: _StripeObject


class _StripeEvent(msgspec.Struct):
    type: str
    data: _StripeData


_RECORD: Final = msgspec.json.Decoder(_Record)
_ACTION: Final = msgspec.json.Decoder(_Action)
_STRIPE: Final = msgspec.json.Decoder(_StripeEvent)


def subject_of(scheme: str, topic: str | None, body: bytes) -> str | None:
    """``orders/123`` for one record, ``changes`` for all that changed at the source, None for what nobody loads.

    Raises:
        UnusableEventError: the body does not say.
    """
    try:
        if scheme == "woocommerce":
            return _of_store(topic or "", body)
        if scheme == "stripe":
            _STRIPE.decode(body)
        # Gateways are asked for what changed: their lists are short, and one payment touches several of them.
        return CHANGES
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnusableEventError(f"the body does not say which record it is about: {error}") from error


def _of_store(topic: str, body: bytes) -> str | None:
    word = topic.partition(".")[0]
    if word == "action":
        if not _ORDER_ACTION.fullmatch(topic):
            return None
        return _named("orders", _ACTION.decode(body).arg)
    if word not in _RESOURCES:
        return None
    record = _RECORD.decode(body)
    is_variation = word == "product" and record.type == "variation" and record.parent_id > 0
    return _named(_RESOURCES[word], record.parent_id if is_variation else record.id)


def _named(resource: str, record_id: int) -> str:
    if not 0 < record_id <= _LARGEST_ID:
        raise UnusableEventError(f"{record_id} is no id of a record")
    return f"{resource}/{record_id}"
