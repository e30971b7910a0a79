"""The inbox of webhooks."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlalchemy.event import listen

from retail_assets.ops import audit, inbox
from retail_assets.ops.inbox import NewEvent, UnknownEventError, identity
from retail_assets.ops.store import reading, writing

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)


def event(body: bytes = b'{"id": 1}', source: str = "cedar_us", signed_id: str | None = None) -> NewEvent:
    digest = hashlib.sha256(body)
    name = identity(source, signed_id, digest.digest())
    return NewEvent(source, name, "delivery", digest.hexdigest(), "order.updated", NOW, "0" * 32, body)


def put(store: Engine, *events: NewEvent) -> None:
    with writing(store) as connection:
        inbox.put(connection, events)


def put_sorted(store: Engine, *events: NewEvent) -> None:
    put(store, *events)
    inbox.sort(store, {one.event_id: "orders/1" for one in inbox.unsorted(store, limit=10)})


def test_an_event_that_comes_again_is_there_once(store: Engine) -> None:
    """A store that repeats a delivery, or a replay of it, had its order loaded again and again."""
    put(store, event(), event())
    put(store, event(), event(b'{"id": 2}'), event(source="linden_de"))
    assert {(row["source"], row["body_sha256"]) for row in inbox.rows(store)} == {
        ("cedar_us", event().body_sha256),
        ("cedar_us", event(b'{"id": 2}').body_sha256),
        ("linden_de", event().body_sha256),
    }
    assert len(inbox.rows(store)) == 3


def test_a_signed_id_is_the_event_whatever_its_bytes(store: Engine) -> None:
    """Stripe's retries of one event differ in ``pending_webhooks``, and each counted as a new event."""
    put(
        store,
        event(b'{"pending_webhooks": 1}', signed_id="evt_1"),
        event(b'{"pending_webhooks": 0}', signed_id="evt_1"),
    )
    assert len(inbox.rows(store)) == 1


def test_a_killed_load_has_had_its_attempt(store: Engine) -> None:
    """An event whose load kills the process was loaded for ever, or never again."""
    put_sorted(store, event())
    waiting = None
    for attempt in range(1, inbox.MAX_ATTEMPTS + 1):
        now = NOW + timedelta(hours=attempt)
        (waiting,) = inbox.begin(store, "cedar_us", up_to=1, run_id=f"run-{attempt}", now=now)
        assert waiting.attempts == attempt
        (backlog,) = inbox.backlogs(store)
        assert backlog.due_at > now
    assert waiting is not None
    assert inbox.fail(store, [waiting], "host is down", now=NOW) == 1
    (row,) = inbox.rows(store, state=inbox.DEAD)
    assert "host is down" in row["reason"]
    assert inbox.backlogs(store) == []


def test_a_failed_load_waits_longer_each_time(store: Engine) -> None:
    """A store that is down was asked again at every tick."""
    put_sorted(store, event())
    waits = []
    now = NOW
    for _ in range(3):
        events = inbox.begin(store, "cedar_us", up_to=1, run_id="run", now=now)
        assert inbox.fail(store, events, "host is down", now=now) == 0
        waits.append(inbox.backlogs(store)[0].due_at - now)
        assert inbox.begin(store, "cedar_us", up_to=1, run_id="run", now=now + waits[-1] - timedelta(seconds=1)) == []
        now += waits[-1]
    assert waits == [timedelta(seconds=30), timedelta(seconds=60), timedelta(seconds=120)]


def test_what_comes_meanwhile_costs_no_other_its_attempts(store: Engine) -> None:
    """With an event every ten seconds and the store down, the first was dead after 40 seconds instead of minutes."""
    lived = timedelta()
    for number in range(60):
        now = NOW + timedelta(seconds=10 * number)
        put_sorted(store, event(b"%d" % number)._replace(received_at=now))
        begun = inbox.begin(store, "cedar_us", up_to=100, run_id=f"run-{number}", now=now)
        if inbox.fail(store, begun, "host is down", run_id=f"run-{number}", now=now):
            lived = now - NOW
            break
    assert lived == timedelta(seconds=30 + 60 + 120 + 240)
    (found,) = inbox.given_up(store, ["cedar_us"], since=NOW)
    assert (found.source, found.day, found.events) == ("cedar_us", NOW.date(), 1)
    assert "host is down" in found.last_reason
    assert inbox.given_up(store, ["linden_de"], since=NOW) == []
    assert inbox.given_up(store, ["cedar_us"], since=NOW + timedelta(seconds=1)) == []


def test_what_says_no_version_is_loaded_each_time(store: Engine) -> None:
    """``action.woocommerce_update_order`` says the order's number only: its second change was taken for the first."""
    action = event(b'{"action": "woocommerce_update_order", "arg": 90}')._replace(versioned=False)
    put_sorted(store, action)
    put(store, action)
    (begun,) = inbox.begin(store, "cedar_us", up_to=9, run_id="run-1", now=NOW)
    # While it is loaded, the order changes again: what the load has read is not what there is.
    put(store, action)
    inbox.finish(store, [begun.event_id], run_id="run-1", now=NOW)
    (waiting,) = inbox.unsorted(store, limit=9)
    assert (waiting.event_id, waiting.attempts) == (begun.event_id, 0)
    inbox.sort(store, {waiting.event_id: "orders/90"})
    (begun,) = inbox.begin(store, "cedar_us", up_to=9, run_id="run-2", now=NOW)
    inbox.finish(store, [begun.event_id], run_id="run-2", now=NOW)
    inbox.forget_bodies(store, before=NOW + timedelta(days=1))
    later = NOW + timedelta(days=3)
    put(store, action._replace(received_at=later))
    (waiting,) = inbox.unsorted(store, limit=9)
    assert (waiting.received_at, waiting.body) == (later, action.body)


def test_only_what_was_there_is_begun(store: Engine) -> None:
    """An event that came after the load had read the store was taken for loaded."""
    put_sorted(store, event(), event(b"2"), event(b"3", source="linden_de"))
    begun = inbox.begin(store, "cedar_us", up_to=1, run_id="run", now=NOW)
    inbox.finish(store, [one.event_id for one in begun], now=NOW)
    assert {(one.source, one.events) for one in inbox.backlogs(store)} == {("cedar_us", 1), ("linden_de", 1)}
    (done,) = inbox.rows(store, state=inbox.DONE, source="cedar_us", subject="orders/1")
    assert (done["state"], done["run_id"], done["finished_at"]) == (inbox.DONE, "run", NOW)


def test_the_dead_are_loaded_again_on_request(store: Engine) -> None:
    """An event given up stayed so for ever, or nobody could tell who had it loaded again."""
    put(store, event(), event(b"2"))
    inbox.bury(store, {1: "it is no JSON"}, now=NOW)
    with writing(store) as connection:
        assert inbox.requeue(connection, [1, 2], "ada", "the store was mended", now=NOW) == 1
    assert [(row["state"], row["attempts"]) for row in inbox.rows(store)] == [("received", 0)] * 2
    (entry,) = audit.entries(store, action="event_requeued")
    assert (entry.actor, entry.subject) == ("ada", "event:1")
    assert "the store was mended" in entry.details


def test_what_is_not_there_is_not_loaded_again(store: Engine) -> None:
    """A mistyped number was skipped in silence, and half of a list was requeued."""
    put(store, event())
    inbox.bury(store, {1: "it is no JSON"}, now=NOW)
    with pytest.raises(UnknownEventError, match="7"), writing(store) as connection:
        inbox.requeue(connection, [1, 7], "ada", "why not", now=NOW)
    assert inbox.rows(store)[0]["state"] == inbox.DEAD
    assert list(audit.entries(store)) == []


def test_bodies_are_forgotten_and_their_hashes_kept(store: Engine) -> None:
    """Names and addresses of customers stayed in the inbox for ever, or what waited lost its body."""
    for each in (event(), event(b"2"), event(b"3")):
        put(store, each)
    inbox.finish(store, [1], now=NOW)
    inbox.bury(store, {3: "it is no JSON"}, now=NOW)
    assert inbox.forget_bodies(store, before=NOW) == 0
    assert [row["event_id"] for row in inbox.rows(store, state=inbox.DEAD, kept_only=True)] == [3]
    assert inbox.forget_bodies(store, before=NOW + timedelta(days=1)) == 2
    assert inbox.rows(store, state=inbox.DEAD, kept_only=True) == []
    assert [waiting.body for waiting in inbox.unsorted(store, limit=9)] == [b"2"]
    with pytest.raises(UnknownEventError, match="body"), writing(store) as connection:
        inbox.requeue(connection, [1], "ada", "again", now=NOW)
    put(store, event())
    assert len(inbox.rows(store)) == 3


def test_what_is_asked_at_every_tick_reads_only_what_waits(sqlite_store: Engine) -> None:
    """With a million events done the sensor read all of them, bodies included, every five seconds."""
    asked: list[tuple[str, tuple[object, ...]]] = []
    listen(sqlite_store, "before_cursor_execute", lambda *found: asked.append((found[2], found[3])))
    inbox.backlogs(sqlite_store)
    inbox.unsorted(sqlite_store, limit=10)
    inbox.begin(sqlite_store, "cedar_us", up_to=10, run_id="run", now=NOW)
    inbox.given_up(sqlite_store, ["cedar_us"], since=NOW)
    inbox.depths(sqlite_store)
    statements = [(sql, values) for sql, values in asked if "webhook_inbox" in sql]
    assert len(statements) == 5
    with reading(sqlite_store) as connection:
        for sql, values in statements:
            plan = "; ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values))
            fits = ("ix_webhook_inbox_waiting", "COVERING INDEX", "(source=? AND state=?)")
            assert any(words in plan for words in fits), (sql, plan)
            assert "body" not in sql.partition("FROM")[0] or "subject IS NULL" in sql, sql
