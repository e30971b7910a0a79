"""Serving the intake: deadlines and caps on connections, a separate port for health and metrics, and the log."""

import asyncio
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO, ClassVar, Final

import msgspec
import structlog
import uvicorn
import uvloop
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from retail_assets.ops import inbox
from retail_assets.ops.inbox import NewEvent
from retail_assets.ops.store import bound_waits, writing
from retail_assets.webhooks.app import Intake, Limits, Sender
from retail_assets.webhooks.metrics import Metrics, new_metrics
from retail_assets.webhooks.writer import Writer

#: A sender that is told to wait comes again; one that is kept waiting gives up, and counts it as a failure.
_STORE_WAIT_SECONDS: Final = 5
_STOP_SECONDS: Final = 15
_HEAD, _BODY, _ANSWER = range(3)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a sender may take for the head and the body of a request, and may be idle between two, in seconds.

    ``answer`` is how long it is kept waiting for ours; then it is hung up on, and comes again.
    """

    head: float = 5
    body: float = 10
    answer: float = 20
    idle: int = 5
    checked_every: float = 1


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 is any free one."""

    host: str = "127.0.0.1"
    port: int = 0


@dataclass(frozen=True, slots=True)
class Service:
    """All that the intake is given.

    ``trusted_proxies`` may say for whom they ask, which is only logged.
    """

    senders: Sequence[Sender]
    engine: Engine
    clock: Callable[[], datetime]
    public: Address = field(default_factory=Address)
    private: Address = field(default_factory=Address)
    limits: Limits = field(default_factory=Limits)
    deadlines: Deadlines = field(default_factory=Deadlines)
    connections: int = 2000
    head_bytes: int = 32 << 10
    trusted_proxies: Sequence[str] = ()


class AddressError(Exception):
    """The intake cannot listen where it should."""


@dataclass(frozen=True, slots=True)
class Running:
    """An intake that accepts requests: both its addresses, and how to end it from the event loop it runs in."""

    public: str
    private: str
    stop: Callable[[], None]


def serve(service: Service, ready: Callable[[Running], None]) -> None:
    """Serve until interrupted.

    Args:
        service: what to serve.
        ready: told once it accepts requests, in its event loop.

    Raises:
        AddressError: a port is taken, or a host is not this machine's.
    """
    with (
        _bound(service.public) as public,
        _bound(service.private) as private,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(service, public, private, ready))


async def _serve(
    service: Service, public: socket.socket, private: socket.socket, ready: Callable[[Running], None]
) -> None:
    metrics = new_metrics()
    log = structlog.get_logger("retail.webhooks")
    health = _Health()

    def commit(events: Sequence[NewEvent]) -> None:
        with writing(service.engine) as connection:
            inbox.put(connection, events)

    def committed(events: Sequence[NewEvent], failure: Exception | None) -> None:
        metrics.commit_events.observe(len(events))
        health.failure = None if failure is None else type(failure).__name__
        if failure is not None:
            # Its message would hold the statement's values, and so the bodies.
            log.error("events_not_stored", events=len(events), error=type(failure).__name__, cause=_cause(failure))
            return
        by_source: dict[str, list[str]] = {}
        for event in events:
            by_source.setdefault(event.source, []).append(event.trace_id)
        log.info("events_stored", events=len(events), traces=by_source)

    bound_waits(service.engine, _STORE_WAIT_SECONDS)
    writer = Writer(commit, committed)
    app = Intake(service.senders, writer, service.clock, metrics, service.limits)

    def stop() -> None:
        server.should_exit = True

    server = _Server(_configured(app, service), ready=lambda: ready(Running(_url(public), _url(private), stop)))
    metrics.waiting.set_function(lambda: writer.waiting)
    metrics.log_lines_lost.set_function(lambda: LogLines.lost)
    metrics.connections.set_function(lambda: len(server.server_state.connections))
    admin = _Server(
        uvicorn.Config(_admin(writer, health, metrics), log_config=None, access_log=False, lifespan="off", ws="none"),
        owns_signals=False,
    )
    writer.start()
    watch = asyncio.create_task(_watch(server, service.deadlines))
    beside = asyncio.create_task(admin.serve([private]))
    try:
        await server.serve([public])
    finally:
        admin.should_exit = True
        watch.cancel()
        await beside
        await asyncio.to_thread(writer.stop)


def _configured(app: Intake, service: Service) -> uvicorn.Config:
    def protocol(**arguments: Any) -> "BoundedProtocol":
        return BoundedProtocol(service=service, **arguments)

    return uvicorn.Config(
        app,  # pyright: ignore[reportArgumentType]
        http=protocol,  # pyright: ignore[reportArgumentType]
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=service.deadlines.idle,
        timeout_graceful_shutdown=_STOP_SECONDS,
        proxy_headers=bool(service.trusted_proxies),
        forwarded_allow_ips=list(service.trusted_proxies),
    )


class BoundedProtocol(HttpToolsProtocol):
    """HTTP with an end to everything: the server's own protocol waits for ever for a head or a body."""

    def __init__(self, *, service: Service, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._most = service
        self._head_bytes = 0
        self.stage = _HEAD
        self.since = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        if len(self.connections) > self._most.connections:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.stage == _HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > self._most.head_bytes and not self.transport.is_closing():
                self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begin(_HEAD)

    def on_headers_complete(self) -> None:
        self._begin(_BODY)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._begin(_ANSWER)
        super().on_message_complete()

    def is_late(self, now: float, deadlines: Deadlines) -> bool:
        """Whether the sender has taken too long for what it is at, or we have."""
        if self.stage == _ANSWER and self.cycle.response_complete:
            return False  # It is idle, and the server's own timer ends that.
        allowed = {_HEAD: deadlines.head, _BODY: deadlines.body, _ANSWER: deadlines.answer}[self.stage]
        return now - self.since > allowed

    def _begin(self, stage: int) -> None:
        self.stage = stage
        self.since = self.loop.time()
        self._head_bytes = 0


class _Server(uvicorn.Server):
    """One of two servers of a process: the first has the process's signals."""

    def __init__(
        self, config: uvicorn.Config, *, owns_signals: bool = True, ready: Callable[[], Any] | None = None
    ) -> None:
        super().__init__(config)
        self._owns_signals = owns_signals
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if not self._owns_signals:
            yield
            return
        with super().capture_signals():
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._ready is not None:
            self._ready()


@dataclass(slots=True)
class _Health:
    """Whether the last transaction held; the name of the error if not."""

    failure: str | None = None


def _admin(writer: Writer, health: _Health, metrics: Metrics) -> Starlette:
    async def healthz(_: Request) -> JSONResponse:
        is_well = writer.is_alive and health.failure is None
        body = {"writer": writer.is_alive, "last_commit": health.failure or "stored", "waiting": writer.waiting}
        return JSONResponse(body, status_code=200 if is_well else 503)

    async def exposition(_: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/metrics", exposition)])


async def _watch(server: uvicorn.Server, deadlines: Deadlines) -> None:
    """Hang up on senders that are late; one look at all connections costs less than a timer for each request."""
    while True:
        await asyncio.sleep(deadlines.checked_every)
        now = asyncio.get_running_loop().time()
        for connection in list(server.server_state.connections):
            if isinstance(connection, BoundedProtocol) and connection.is_late(now, deadlines):
                connection.transport.abort()


class LogLines:
    """Writes each entry as a line; one that cannot be written, as on a full disk, is counted and stops nothing."""

    #: Lines of this process that could not be written.
    lost: ClassVar[int] = 0

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def msg(self, line: bytes) -> None:
        """Write a line."""
        try:
            with self._lock:
                self._file.write(line + b"\n")
                self._file.flush()
        except (OSError, ValueError):
            LogLines.lost += 1

    info = warning = error = msg


def configure_log() -> None:
    """One JSON object a line on standard error, with the time and the level."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: LogLines(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def _json(value: Any, **_: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)


def _cause(error: Exception) -> str:
    """The driver's own words, which hold no values."""
    cause = getattr(error, "orig", None)
    return str(cause)[:200] if cause is not None else ""


@contextmanager
def _bound(address: Address) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address.host, address.port))
        except OSError as error:
            raise AddressError(f"cannot listen on {address.host}:{address.port}: {error.strerror}") from error
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
