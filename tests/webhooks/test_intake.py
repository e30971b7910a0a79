"""The intake over HTTP: what it takes, what it refuses, and that nobody can hold it up."""

import asyncio
import gzip
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import structlog

from retail_assets.ops import inbox
from retail_assets.ops.inbox import NewEvent
from retail_assets.webhooks.app import Intake, Limits
from retail_assets.webhooks.metrics import new_metrics
from retail_assets.webhooks.server import Deadlines, LogLines
from retail_assets.webhooks.signatures import sign_woocommerce
from retail_assets.webhooks.writer import Writer
from tests.webhooks.service import BODY, KEY, NOW, RunningIntake, running_intake, senders

LIMIT = 64 << 10


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningIntake]:
    """One intake for the module, with deadlines that a test can wait for."""
    deadlines = Deadlines(head=0.4, body=0.4, answer=2, idle=1, checked_every=0.05)
    with running_intake(
        tmp_path_factory.mktemp("intake"),
        limits=Limits(body_bytes=LIMIT),
        deadlines=deadlines,
        connections=40,
        head_bytes=8 << 10,
    ) as intake:
        yield intake


@pytest.fixture
def intake(shared: RunningIntake) -> RunningIntake:
    """The intake with an empty inbox."""
    with closing(sqlite3.connect(str(shared.engine.url.database), isolation_level=None, timeout=20)) as connection:
        connection.execute("delete from webhook_inbox")
    return shared


def test_an_event_is_there_when_it_is_acknowledged(intake: RunningIntake) -> None:
    """The answer came before the commit, or the bytes were not those that were signed."""
    assert intake.send().status_code == 200
    (event,) = intake.events()
    assert (event["source"], event["topic"], event["delivery_id"]) == ("cedar_us", "order.updated", "a1b2")
    assert (event["state"], event["received_at"], len(event["trace_id"])) == ("received", NOW, 32)
    (waiting,) = inbox.unsorted(intake.engine, limit=10)
    assert waiting.body == BODY


def test_a_replay_changes_nothing(intake: RunningIntake) -> None:
    """WooCommerce signs no time: what was recorded from the wire could be sent again with any delivery id."""
    answers = [intake.send(X_WC_Webhook_Delivery_ID=name).status_code for name in ("a", "a", "b")]
    assert answers == [200] * 3
    assert len(intake.events()) == 1


def test_whatever_does_not_hold_gets_the_same_answer(intake: RunningIntake) -> None:
    """An unknown store, a missing signature and a wrong one could be told apart, and so stores be guessed."""
    answers = [
        intake.send(source="nobody"),
        intake.send(source="../cedar_us"),
        intake.send(key="another secret"),
        intake.send(X_WC_Webhook_Signature=""),
        intake.send(X_WC_Webhook_Signature="kurz"),
        intake.send(source="linden_de", X_WC_Webhook_Signature=sign_woocommerce(BODY + b" ", KEY)),
    ]
    answers = [answer for answer in answers if answer.status_code != 404]
    assert {(answer.status_code, answer.text, str(answer.headers)) for answer in answers} == {
        (401, "signature does not hold\n", str(answers[0].headers))
    }
    assert len(answers) >= 5
    assert intake.events() == []


def test_a_bad_signature_is_logged_without_its_body(intake: RunningIntake) -> None:
    """A customer's address, the signature or a key stood in the log; or forgeries filled the disk with it."""
    canary = b'{"id": 90, "email": "canary-5d1f@example.test"}'
    with structlog.testing.capture_logs() as logged:
        for _ in range(30):
            assert intake.send(canary, source="linden_de", key="wrong-canary-5d1f").status_code == 401
    told = [line for line in logged if line["event"] == "bad_signature"]
    assert 1 <= len(told) <= 10
    assert {(line["source"], line["body_bytes"]) for line in told} == {("linden_de", len(canary))}
    assert "canary" not in str(logged)
    assert sign_woocommerce(canary, "wrong-canary-5d1f") not in str(logged)


def test_the_trace_of_an_event_is_in_the_log(intake: RunningIntake) -> None:
    """Nobody could tell which transaction of the intake an event of the inbox came with."""
    with structlog.testing.capture_logs() as logged:
        intake.send()
        _until(lambda: any(line["event"] == "events_stored" for line in logged))
    (event,) = intake.events()
    assert [line["traces"] for line in logged if line["event"] == "events_stored"] == [
        {"cedar_us": [event["trace_id"]]}
    ]


def test_an_unsigned_ping_is_answered_and_leaves_nothing(intake: RunningIntake) -> None:
    """WooCommerce pings before it sends anything and never got that far; or a ping tells which stores there are."""
    for source in ("cedar_us", "nobody"):
        answer = intake.session.post(f"{intake.url}/webhooks/{source}", data={"webhook_id": "1"}, timeout=20)
        assert answer.status_code == 200
    assert intake.events() == []


def test_a_body_over_the_limit_is_refused_unread(intake: RunningIntake) -> None:
    """A declared gigabyte was read before it was refused."""
    answer = _raw(intake, b"Content-Length: 1000000000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_that_grows_over_the_limit_is_refused(intake: RunningIntake) -> None:
    """A chunked body declares no length: 300 MB of one were kept in memory."""
    piece = b"%x\r\n%b\r\n" % (LIMIT // 2, b"x" * (LIMIT // 2))
    answer = _raw(intake, b"Transfer-Encoding: chunked\r\n\r\n" + piece * 3)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert intake.send(b"x" * LIMIT).status_code == 200


def test_what_is_packed_is_not_unpacked(intake: RunningIntake) -> None:
    """A kilobyte that unpacks to a gigabyte passed every limit on the body."""
    answer = intake.send(gzip.compress(BODY), Content_Encoding="gzip")
    assert answer.status_code == 415
    assert intake.events() == []


def test_the_public_port_has_nothing_else(intake: RunningIntake) -> None:
    """Metrics, documentation or a directory were public."""
    for path in ("/", "/metrics", "/healthz", "/docs", "/openapi.json", "/webhooks"):
        assert intake.session.get(intake.url + path, timeout=20).status_code == 404
    answer = intake.session.get(f"{intake.url}/webhooks/cedar_us", timeout=20)
    assert (answer.status_code, answer.headers["allow"], "server" in answer.headers) == (405, "POST", False)


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"POST /webhooks/cedar_us HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /webhooks/cedar_us HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this",
    ],
    ids=["nothing", "half a head", "half a body"],
)
def test_who_stalls_is_hung_up_on(intake: RunningIntake, start: bytes) -> None:
    """900 bodies that never came to an end stayed open for as long as anybody watched."""
    with _connected(intake) as connection:
        connection.sendall(start)
        assert connection.recv(1000) == b""
    assert intake.events() == []


def test_an_idle_connection_ends(intake: RunningIntake) -> None:
    """Connections that were answered once stayed open for ever."""
    with _connected(intake) as connection:
        connection.sendall(b"POST /webhooks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 401 ")
        started = time.monotonic()
        assert connection.recv(1000) == b""
        assert time.monotonic() - started < 4


def test_a_head_without_end_is_cut_off(intake: RunningIntake) -> None:
    """Headers are kept until the last one has come: one that never ends filled the memory."""
    with _connected(intake) as connection:
        connection.sendall(b"POST /webhooks/cedar_us HTTP/1.1\r\nX-Long: ")
        with pytest.raises(OSError, match=r"[Rr]eset|[Bb]roken"):
            _send_slowly(connection, b"x" * 1024, 200)


def test_connections_have_a_cap(intake: RunningIntake) -> None:
    """Whoever opened enough connections took the files that the process may have open."""
    opened = [_connected(intake) for _ in range(60)]
    try:
        refused = 0
        for connection in opened:
            connection.settimeout(0.02)
            try:
                refused += connection.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionResetError:
                refused += 1
        assert refused >= 20
    finally:
        for connection in opened:
            connection.close()
    _until(lambda: intake.send().status_code == 200)


def test_who_hangs_up_leaves_nothing(intake: RunningIntake) -> None:
    """A sender that broke off in the middle of a body left a stack trace, or half an event."""
    with structlog.testing.capture_logs() as logged, _connected(intake) as connection:
        connection.sendall(b"POST /webhooks/cedar_us HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this")
    assert intake.send().status_code == 200
    assert len(intake.events()) == 1
    assert not any(line["log_level"] == "error" for line in logged)


def test_health_and_counts_are_on_the_private_port(intake: RunningIntake) -> None:
    """Nobody saw that the intake refused everything."""
    before = _counts(intake)
    intake.send()
    intake.send(key="wrong")
    health = intake.session.get(f"{intake.private}/healthz", timeout=20)
    assert (health.status_code, health.json()["last_commit"]) == (200, "stored")
    after = _counts(intake)
    grown = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert grown == {("cedar_us", "accepted"): 1, ("cedar_us", "bad_signature"): 1}


def test_what_cannot_be_stored_is_to_come_again(intake: RunningIntake, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a full disk the event was acknowledged and lost; or the intake did not recover when there was room again."""

    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch, structlog.testing.capture_logs() as logged:
        patch.setattr(inbox, "put", full)
        answer = intake.send()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
        assert intake.session.get(f"{intake.private}/healthz", timeout=20).status_code == 503
        assert [line["event"] for line in logged] == ["events_not_stored"]
    assert intake.events() == []
    assert intake.send().status_code == 200
    assert len(intake.events()) == 1
    assert intake.session.get(f"{intake.private}/healthz", timeout=20).status_code == 200


def test_a_log_that_cannot_be_written_stops_nothing(intake: RunningIntake) -> None:
    """The disk of the log was full: the writer died over its line, and every sender waited for ever."""
    closed = (Path(str(intake.engine.url.database)).parent / "log").open("wb")
    closed.close()
    lost = LogLines.lost
    try:
        structlog.configure(
            processors=[structlog.processors.JSONRenderer(serializer=lambda value, **_: str(value).encode())],
            logger_factory=lambda *_: LogLines(closed),
        )
        assert intake.send(key="wrong").status_code == 401
        assert intake.send().status_code == 200
        assert intake.send(b"another").status_code == 200
        _until(lambda: LogLines.lost >= lost + 2)
    finally:
        structlog.reset_defaults()
    assert len(intake.events()) == 2


def test_nobody_is_kept_waiting_by_a_store_that_hangs(intake: RunningIntake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database stood still and so did every sender: providers count a time-out as a failure, and switch off."""
    still = threading.Event()
    put = inbox.put

    def hanging(*arguments: Any) -> None:
        assert still.wait(20)
        put(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(inbox, "put", hanging)
        started = time.monotonic()
        with pytest.raises(requests.ConnectionError):
            intake.send()
        assert time.monotonic() - started < 12
        still.set()
    # It comes again, and is there once.
    assert intake.send().status_code == 200
    assert len(intake.events()) == 1


# -- shares ------------------------------------------------------------------------------------------------------------


class _Hook:
    """Requests to the application itself, one after the other or many at once."""

    def __init__(self, app: Intake) -> None:
        self._app = app

    async def post(self, source: str, body: bytes, *, declared: int | None = None) -> int:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [
            (b"content-length", str(len(body) if declared is None else declared).encode()),
            (b"x-wc-webhook-signature", sign_woocommerce(body, KEY).encode()),
        ]
        scope = {"type": "http", "method": "POST", "path": f"/webhooks/{source}", "headers": headers}
        await self._app(scope, receive, send)  # pyright: ignore[reportArgumentType]
        return sent[0]["status"]


def _flooded(limits: Limits, bodies: list[bytes]) -> tuple[list[int], int, list[list[str]]]:
    """A flood of one store while the disk stands still, then one event of another; answers, and what was written."""
    written: list[list[str]] = []
    disk = threading.Event()

    def commit(events: Any) -> None:
        assert disk.wait(20)
        written.append([event.source for event in events])

    async def play() -> tuple[list[int], int]:
        writer = Writer(commit, lambda *_: None)
        hook = _Hook(Intake(senders(), writer, lambda: NOW, new_metrics(), limits))
        writer.start()
        flood = [asyncio.create_task(hook.post("cedar_us", body)) for body in bodies]
        await asyncio.sleep(0)
        other = asyncio.create_task(hook.post("linden_de", b"one order"))
        await asyncio.sleep(0.05)
        disk.set()
        answers = [await one for one in flood], await other
        await asyncio.to_thread(writer.stop)
        return answers

    answers, other = asyncio.run(play())
    return answers, other, written


def test_a_flood_of_one_store_leaves_the_others_theirs() -> None:
    """One store's sale filled the queue, and the other stores' events were refused or waited behind it."""
    bodies = [b"%d" % number for number in range(50)]
    answers, other, written = _flooded(Limits(waiting_events=30), bodies)
    assert other == 200
    # Two stores and nobody: a third of thirty each.
    assert (answers.count(200), answers.count(503)) == (10, 40)
    assert sum(map(len, written)) == 11
    assert any("linden_de" in batch[:2] for batch in written[:2])


def test_bodies_have_a_share_of_the_memory() -> None:
    """As many events as may wait, each as large as it may be, were more than the memory."""
    bodies = [b"%d" % number + b"x" * 100_000 for number in range(10)]
    answers, other, _ = _flooded(Limits(waiting_bytes=900_000), bodies)
    assert (answers.count(200), answers.count(503), other) == (2, 8, 200)


def test_lanes_take_turns() -> None:
    """The events of one store were written before any of the other, so that those waited for all of a flood."""
    written: list[list[str]] = []
    disk = threading.Event()

    def commit(events: Any) -> None:
        assert disk.wait(20)
        written.append([event.source for event in events])

    async def play() -> None:
        writer = Writer(commit, lambda *_: None)
        busy, quiet = writer.lane(), writer.lane()
        writer.start()
        waiting = [writer.write(busy, _event("busy", number)) for number in range(600)]
        waiting += [writer.write(quiet, _event("quiet", number)) for number in range(2)]
        disk.set()
        assert all(await asyncio.gather(*waiting))
        await asyncio.to_thread(writer.stop)

    asyncio.run(play())
    assert "quiet" in {source for batch in written[:2] for source in batch[:4]}
    assert sum(map(len, written)) == 602
    assert max(map(len, written)) <= 257


def _event(source: str, number: int) -> NewEvent:
    return NewEvent(source, b"%d" % number, None, "0" * 64, None, NOW, "0" * 32, b"")


# -- helpers -----------------------------------------------------------------------------------------------------------


def _connected(intake: RunningIntake) -> socket.socket:
    parts = urlsplit(intake.url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)


def _send_slowly(connection: socket.socket, piece: bytes, times: int) -> None:
    for _ in range(times):
        connection.sendall(piece)
        time.sleep(0.001)


def _raw(intake: RunningIntake, rest: bytes) -> bytes:
    with _connected(intake) as connection:
        connection.sendall(b"POST /webhooks/cedar_us HTTP/1.1\r\nHost: x\r\n" + rest)
        return connection.recv(4096)


def _counts(intake: RunningIntake) -> dict[tuple[str, str], float]:
    text = intake.session.get(f"{intake.private}/metrics", timeout=20).text
    found = {}
    for line in text.splitlines():
        if line.startswith("retail_webhooks_requests_total{"):
            labels, value = line.removeprefix("retail_webhooks_requests_total").rsplit(" ", 1)
            pairs = json.loads(labels.replace("outcome=", '"outcome":').replace("source=", '"source":'))
            found[pairs["source"], pairs["outcome"]] = float(value)
    return found


def _until(holds: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def test_the_store_is_private(intake: RunningIntake) -> None:
    """Bodies hold customers' addresses: the inbox was readable by everybody on the machine."""
    intake.send()
    assert Path(str(intake.engine.url.database)).stat().st_mode & 0o077 == 0
