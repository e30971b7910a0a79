"""The signature schemes of the senders, over the bytes as they came.

Every check does the same work whether the signature is missing, malformed or wrong, and compares in constant time.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

#: How far a signed time may lie from ours, in seconds: Stripe's own tolerance.
TOLERANCE_SECONDS: Final = 300
_LONGEST_HEADER: Final = 4096
_MOST_SIGNATURES: Final = 8
_LONGEST_NAME: Final = 100
_PRINTABLE: Final = re.compile(rb"[\x21-\x7e]{1,%d}" % _LONGEST_NAME)
_STRIPE_ID: Final = re.compile(rb'\s*\{\s*"id"\s*:\s*"(evt_[A-Za-z0-9_]{1,90})"')
_PING: Final = re.compile(rb"webhook_id=[0-9]{1,20}")
_FORM: Final = b"application/x-www-form-urlencoded"

Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Verified:
    """What is said of an event: its id inside what is signed, and its id and topic beside it, which nobody signed.

    ``versioned``: two events of one content tell of one change.
    """

    signed_id: str | None = None
    delivery_id: str | None = None
    topic: str | None = None
    versioned: bool = True


class Scheme(Protocol):
    """How one kind of sender signs. ``verify`` gives None for whatever does not hold."""

    def verify(self, headers: Headers, body: bytes, keys: Sequence[bytes], now: float) -> Verified | None:
        """Check ``body`` against each live key; ``now`` is Unix time."""
        ...


class WooCommerce:
    """Base64 of HMAC-SHA256 over the body. There is no signed time: a replay is known by its content."""

    def verify(self, headers: Headers, body: bytes, keys: Sequence[bytes], now: float) -> Verified | None:
        given = headers.get(b"x-wc-webhook-signature", b"")
        holds = False
        for key in keys:
            holds |= hmac.compare_digest(base64.b64encode(hmac.digest(key, body, "sha256")), given)
        if not holds:
            return None
        delivery, topic = headers.get(b"x-wc-webhook-delivery-id"), headers.get(b"x-wc-webhook-topic")
        # An action says no more than the record's id, and the deletion of one neither.
        return Verified(None, _name(delivery), _name(topic), versioned=b'"date_modified' in body)


class Stripe:
    """``t=<time>,v1=<hex>``: HMAC-SHA256 over the time, a dot and the body; several ``v1`` while a key is rotated."""

    def verify(self, headers: Headers, body: bytes, keys: Sequence[bytes], now: float) -> Verified | None:
        at, given = _stripe_parts(headers.get(b"stripe-signature", b""))
        signed = at + b"." + body
        holds = False
        for key in keys:
            made = hmac.digest(key, signed, "sha256").hex().encode()
            for signature in given or [b""]:
                holds |= hmac.compare_digest(made, signature)
        is_fresh = at != b"" and abs(now - int(at)) <= TOLERANCE_SECONDS
        if not (holds and is_fresh):
            return None
        # From the signed bytes; a retry of an event has other bytes, but the same id.
        found = _STRIPE_ID.match(body)
        name = found[1].decode() if found else None
        return Verified(name, name)


class _AdyenAmount(msgspec.Struct):
    value: int
    currency: str


class _AdyenData(msgspec.Struct):
    hmacSignature: str = ""  # noqa: N815 - Adyen's own name


class _AdyenItem(msgspec.Struct):
    eventCode: str  # noqa: N815
    pspReference: str  # noqa: N815
    merchantAccountCode: str  # noqa: N815
    amount: _AdyenAmount
    success: str = ""
    merchantReference: str = ""  # noqa: N815
    originalReference: str = ""  # noqa: N815
    additionalData: _AdyenData = msgspec.field(default_factory=_AdyenData)  # noqa: N815

    @property
    def signed(self) -> bytes:
        parts = (
            self.pspReference,
            self.originalReference,
            self.merchantAccountCode,
            self.merchantReference,
            str(self.amount.value),
            self.amount.currency,
            self.eventCode,
            self.success,
        )
        return ":".join(parts).encode()


class _AdyenEnvelope(msgspec.Struct):
    NotificationRequestItem: _AdyenItem


class _AdyenNotification(msgspec.Struct):
    notificationItems: list[_AdyenEnvelope]  # noqa: N815


_ADYEN: Final = msgspec.json.Decoder(_AdyenNotification)


class Adyen:
    """An HMAC in each notification of the body, over eight of its fields: the one scheme that has to look inside.

    Only those fields are proved. The key is given in hexadecimal.
    """

    def verify(self, headers: Headers, body: bytes, keys: Sequence[bytes], now: float) -> Verified | None:
        try:
            items = [envelope.NotificationRequestItem for envelope in _ADYEN.decode(body).notificationItems]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            items = []
        raw = [binascii.unhexlify(key) for key in keys]
        all_hold = bool(items)
        for item in items:
            given = item.additionalData.hmacSignature.encode()
            holds = False
            for key in raw:
                holds |= hmac.compare_digest(base64.b64encode(hmac.digest(key, item.signed, "sha256")), given)
            all_hold &= holds
        if not all_hold:
            return None
        return Verified(topic=_name(items[0].eventCode.encode()))


SCHEMES: Final[Mapping[str, Scheme]] = {"woocommerce": WooCommerce(), "stripe": Stripe(), "adyen": Adyen()}


def is_ping(headers: Headers, body: bytes) -> bool:
    """Whether this is what WooCommerce sends, unsigned, when a webhook is made. It says nothing and leaves nothing."""
    return (
        len(body) <= _LONGEST_NAME
        and headers.get(b"content-type", b"").split(b";")[0].strip().lower() == _FORM
        and _PING.fullmatch(body) is not None
    )


def sign_woocommerce(body: bytes, secret: str) -> str:
    """The signature that a WooCommerce store sends with a body."""
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()


def _stripe_parts(header: bytes) -> tuple[bytes, list[bytes]]:
    """The signed time, empty if there is not exactly one, and the signatures of the scheme in use."""
    times: list[bytes] = []
    signatures: list[bytes] = []
    for part in header[:_LONGEST_HEADER].split(b",")[: _MOST_SIGNATURES + 1]:
        name, _, value = part.strip().partition(b"=")
        if name == b"t" and value.isdigit() and len(value) <= 12:
            times.append(value)
        elif name == b"v1":
            signatures.append(value)
    return (times[0] if len(times) == 1 else b""), signatures


def _name(value: bytes | None) -> str | None:
    """A header's word for something, if it is one that every database and log takes."""
    return value.decode() if value is not None and _PRINTABLE.fullmatch(value) else None
