"""A sender of signed webhooks, in a process of its own: so many connections, each with one request under way.

With ``--rate`` so many requests a second are due, whatever is answered: those that find every connection busy wait for
one. What is refused with 503 is sent again as it is; nobody here waits as long as Retry-After asks for.

Prints one JSON object and, with ``--acked``, writes the number of every acknowledged event to a file as it comes.
"""

import argparse
import asyncio
import base64
import contextlib
import hmac
import json
import os
import sys
import time
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import uvloop

KEY: Final = b"a-secret-of-the-bench-0123456789"
BODY_BYTES: Final = 5_000
_LATER: Final = 503
_LOOKS_AGAIN_SECONDS: Final = 0.002


class Sender(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._answer = b""
        self._number = 0
        self._request = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by type
        self._load.open.add(self)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.open.discard(self)
        self._load.lost()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        answer = self._answer = self._answer + data
        head, found, body = answer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]):
            return
        self._answer = b""
        self._load.answered(self._number, status := int(head[9:12]), time.perf_counter() - self._sent)
        if status != _LATER:
            self._request = b""
        self._next()

    def _next(self) -> None:
        if self._load.is_over or self._transport is None or self._transport.is_closing():
            return
        if not self._load.is_due():
            asyncio.get_running_loop().call_later(_LOOKS_AGAIN_SECONDS, self._next)
            return
        if not self._request:
            self._number, self._request = self._load.request()
        self._load.sent += 1
        self._sent = time.perf_counter()
        self._transport.write(self._request)


class Load:
    """The requests of all connections, and what became of them."""

    def __init__(self, url: str, first: int, acked: Path | None, rate: float | None) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 0
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            "X-WC-Webhook-Topic: order.updated\r\nX-WC-Webhook-Resource: order\r\nX-WC-Webhook-Event: updated\r\n"
            f"X-WC-Webhook-ID: 1\r\nContent-Length: {BODY_BYTES}\r\n"
        ).encode()
        self._body = b'{"id":%012d,"note":"' + b"x" * (BODY_BYTES - 29) + b'"}'
        self._acked = acked.open("ab", buffering=0) if acked else None
        self._number = first
        self._rate = rate
        self._started = time.perf_counter()
        self.sent = 0
        self.offered = 0.0
        self.open: set[Sender] = set()
        self.is_over = False
        self.seconds: list[float] = []
        self.statuses: dict[int, int] = {}
        self.acked: list[int] = []
        self.hung_up = asyncio.Event()

    def due(self) -> float:
        """How many requests are due since the start; more than were sent if connections were busy."""
        return self.sent + 1 if self._rate is None else (time.perf_counter() - self._started) * self._rate

    def is_due(self) -> bool:
        return self.sent < self.due()

    def request(self) -> tuple[int, bytes]:
        self._number += 1
        body = self._body % self._number
        signature = base64.b64encode(hmac.digest(KEY, body, "sha256"))
        names = b"X-WC-Webhook-Delivery-ID: %d\r\nX-WC-Webhook-Signature: %b\r\n\r\n" % (self._number, signature)
        return self._number, self._head + names + body

    def answered(self, number: int, status: int, seconds: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if 200 <= status < 300:
            self.seconds.append(seconds)
            self.acked.append(number)
            if self._acked is not None:
                self._acked.write(b"%d\n" % number)

    def lost(self) -> None:
        if not self.open:
            self.hung_up.set()


async def send(load: Load, connections: int, seconds: float) -> float:
    """Send for so long, or until nobody answers any more; returns how long it was."""
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Sender(load), load.host, load.port)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(load.hung_up.wait(), seconds)
    took = time.perf_counter() - started
    load.offered = load.due()
    load.is_over = True
    await asyncio.sleep(0.2)
    for sender in list(load.open):
        sender.close()
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--acked", type=Path)
    parser.add_argument("--core", type=int)
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})

    async def run() -> tuple[Load, float]:
        load = Load(options.url, options.first, options.acked, options.rate)
        return load, await send(load, options.connections, options.seconds)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        load, took = runner.run(run())
    ordered = sorted(load.seconds) or [0.0]
    cpu = time.process_time()
    print(
        json.dumps(
            {
                "accepted_per_second": len(load.seconds) / took,
                "offered_per_second": load.offered / took,
                "answered_per_second": sum(load.statuses.values()) / took,
                "p50_ms": 1000 * ordered[len(ordered) // 2],
                "p99_ms": 1000 * ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
                "statuses": load.statuses,
                "sender_busy": cpu / took,
                "acked": len(load.acked),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
