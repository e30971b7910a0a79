"""The ASGI application: takes a request, checks it, and answers when its event is durable.

2xx only after the commit. 4xx for what can never become good. 503 with Retry-After for what is to come again. Nothing
of a body is parsed, logged or echoed here; what an event means is found out by the load.
"""

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any, Final

import structlog
from starlette.types import Receive, Scope, Send

from retail_assets.ops.inbox import NewEvent, identity
from retail_assets.webhooks.metrics import OUTCOMES, Metrics
from retail_assets.webhooks.signatures import SCHEMES, Scheme, WooCommerce, is_ping
from retail_assets.webhooks.writer import Writer

PATH: Final = "/webhooks/"
RETRY_AFTER_SECONDS: Final = 30
#: Bad signatures of one source that are logged in a minute; the others are only counted.
_LOGGED_PER_MINUTE: Final = 10
_LONGEST_SHOWN: Final = 60
_UNKNOWN: Final = "unknown"

_Answer = tuple[dict[str, Any], dict[str, Any]]


def _answer(status: int, body: bytes = b"", *headers: tuple[bytes, bytes]) -> _Answer:
    start = {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-length", str(len(body)).encode()), (b"content-type", b"text/plain"), *headers],
    }
    return start, {"type": "http.response.body", "body": body}


_CLOSE: Final = (b"connection", b"close")
# Adyen waits for this word; nobody else minds it.
_ACCEPTED: Final = _answer(200, b"[accepted]")
_BAD_SIGNATURE: Final = _answer(401, b"signature does not hold\n")
_NOT_FOUND: Final = _answer(404)
_NOT_ALLOWED: Final = _answer(405, b"", (b"allow", b"POST"))
_TOO_LARGE: Final = _answer(413, b"body too large\n", _CLOSE)
_ENCODED: Final = _answer(415, b"send the body as it was signed, without encoding\n", _CLOSE)
_LATER: Final = _answer(503, b"try again later\n", (b"retry-after", str(RETRY_AFTER_SECONDS).encode()))


@dataclass(frozen=True, slots=True)
class Sender:
    """Who may send webhooks: its id in ``retail.yaml``, how it signs, and its live keys."""

    source: str
    scheme: str
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the intake takes at most: bytes of a body, and requests under way, shared evenly among the sources."""

    body_bytes: int = 1 << 20
    waiting_events: int = 512
    waiting_bytes: int = 64 << 20


class _Door:
    """The state of one source: what is under way, what it may use, its metrics."""

    def __init__(
        self, sender: Sender, scheme: Scheme, writer: Writer, metrics: Metrics, share: tuple[int, int]
    ) -> None:
        self.sender = sender
        self.scheme = scheme
        self.lane = writer.lane()
        self.most_events, self.most_bytes = share
        self.under_way = 0
        self.bytes = 0
        self.logged: tuple[int, int] = (0, 0)
        self.count = {outcome: metrics.requests.labels(sender.source or _UNKNOWN, outcome).inc for outcome in OUTCOMES}
        self.observe = metrics.seconds.labels(sender.source or _UNKNOWN).observe

    def has_room(self, size: int) -> bool:
        """Whether a request of that size may come in; a single one always may."""
        return self.under_way < self.most_events and (self.under_way == 0 or self.bytes + size <= self.most_bytes)


class Intake:
    """The application.

    Each source has its share of what may be under way, so that one store's flood leaves the others theirs. A path that
    names no source is served like one whose signature never holds.

    Args:
        senders: who may send.
        writer: makes events durable.
        clock: aware UTC time of now.
        metrics: counts.
        limits: what is taken at most.
    """

    def __init__(
        self,
        senders: Sequence[Sender],
        writer: Writer,
        clock: Callable[[], datetime],
        metrics: Metrics,
        limits: Limits = Limits(),
    ) -> None:
        share = (
            max(1, limits.waiting_events // (len(senders) + 1)),
            max(1, limits.waiting_bytes // (len(senders) + 1)),
        )
        self._doors: Mapping[str, _Door] = {
            sender.source: _Door(sender, SCHEMES[sender.scheme], writer, metrics, share) for sender in senders
        }
        nobody = Sender("", "woocommerce", (secrets.token_bytes(32),))
        self._nobody = _Door(nobody, WooCommerce(), writer, metrics, share)
        self._writer = writer
        self._clock = clock
        self._limits = limits
        self._log = structlog.get_logger("retail.webhooks")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if not path.startswith(PATH):
            await _send(send, _NOT_FOUND)
        elif scope["method"] != "POST":
            await _send(send, _NOT_ALLOWED)
        else:
            door = self._doors.get(path[len(PATH) :], self._nobody)
            answer = await self._take(door, scope, receive)
            if answer is not None:
                await _send(send, answer)

    async def _take(self, door: _Door, scope: Scope, receive: Receive) -> _Answer | None:
        started = perf_counter()
        headers = dict(scope["headers"])
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            door.count["refused"]()
            return _ENCODED
        declared = headers.get(b"content-length", b"0")
        size = int(declared) if declared.isdigit() else 0
        if size > self._limits.body_bytes:
            door.count["too_large"]()
            return _TOO_LARGE
        if not door.has_room(size):
            door.count["shed"]()
            return _LATER
        door.under_way += 1
        # What is not declared is counted as if it were to be as much as it may.
        reserved = size if b"content-length" in headers else self._limits.body_bytes
        door.bytes += reserved
        try:
            message = await receive()
            body = await _rest(message, receive, self._limits.body_bytes)
            if body is None:
                door.count["too_large"]()
                return _TOO_LARGE
            answer = await self._judge(door, headers, body, scope)
        except _GoneError:
            return None
        finally:
            door.under_way -= 1
            door.bytes -= reserved
        if answer is _ACCEPTED:
            door.observe(perf_counter() - started)
        return answer

    async def _judge(self, door: _Door, headers: Mapping[bytes, bytes], body: bytes, scope: Scope) -> _Answer:
        now = self._clock()
        verified = door.scheme.verify(headers, body, door.sender.keys, now.timestamp())
        if verified is None:
            if is_ping(headers, body):
                door.count["ping"]()
                return _ACCEPTED
            door.count["bad_signature"]()
            self._tell_of_bad_signature(door, scope, len(body), now)
            return _BAD_SIGNATURE
        digest = hashlib.sha256(body)
        name = identity(door.sender.source, verified.signed_id, digest.digest())
        event = NewEvent(
            door.sender.source,
            name,
            verified.delivery_id,
            digest.hexdigest(),
            verified.topic,
            now,
            # So the trace of an event that comes again is the one it has in the inbox.
            name.hex(),
            body,
            verified.versioned,
        )
        if await self._writer.write(door.lane, event):
            door.count["accepted"]()
            return _ACCEPTED
        door.count["not_stored"]()
        return _LATER

    def _tell_of_bad_signature(self, door: _Door, scope: Scope, size: int, now: datetime) -> None:
        """Log it without the body, and not more often than somebody can read."""
        minute = int(now.timestamp() // 60)
        logged = door.logged[1] + 1 if door.logged[0] == minute else 1
        door.logged = (minute, logged)
        if logged > _LOGGED_PER_MINUTE:
            return
        client = scope.get("client")
        self._log.warning(
            "bad_signature",
            source=door.sender.source or None,
            path=ascii(scope["path"][:_LONGEST_SHOWN]),
            client=client[0] if client else None,
            body_bytes=size,
            last_of_this_minute=logged == _LOGGED_PER_MINUTE,
        )


class _GoneError(Exception):
    """The sender hung up."""


async def _rest(message: MutableMapping[str, Any], receive: Callable[[], Awaitable[Any]], limit: int) -> bytes | None:
    """The body, piece by piece; None as soon as it is more than the limit."""
    pieces: list[bytes] = []
    size = 0
    while True:
        if message["type"] != "http.request":
            raise _GoneError
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            return None
        pieces.append(piece)
        if not message.get("more_body"):
            return b"".join(pieces)
        message = await receive()


async def _send(send: Send, answer: _Answer) -> None:
    start, body = answer
    await send(start)
    await send(body)
