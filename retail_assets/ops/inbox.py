"""The inbox of webhooks: every event that was acknowledged, and what became of it.

States: ``received`` (waits for its load, or for the next attempt) → ``done``, or ``dead`` with the reason (it can never
become good, or its load failed too often). An event is a hint that something changed; the load asks the source itself.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, bindparam, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from retail_assets.ops import audit
from retail_assets.ops.models import webhook_inbox
from retail_assets.ops.store import reading, writing

RECEIVED: Final = "received"
DONE: Final = "done"
DEAD: Final = "dead"

#: How often the load of an event is tried before it is given up; the polling loads bring the record in any case.
MAX_ATTEMPTS: Final = 5
_FIRST_WAIT: Final = timedelta(seconds=30)
_LONGEST_REASON: Final = 500
_CHUNK: Final = 500
_TRACES_SHOWN: Final = 5
_IDENTITY_BYTES: Final = 16
_SHOWN: Final = tuple(column for column in webhook_inbox.c if column.name not in {"body", "identity"})


class NewEvent(NamedTuple):
    """An event whose signature holds. ``delivery_id`` and ``topic`` are printable ASCII of at most 100 characters."""

    source: str
    identity: bytes
    delivery_id: str | None
    body_sha256: str
    topic: str | None
    received_at: datetime
    trace_id: str
    body: bytes
    #: Whether its content changes with what it tells of. Else the same content tells of another change the next time.
    versioned: bool = True


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that waits for its load."""

    event_id: int
    source: str
    topic: str | None
    trace_id: str
    received_at: datetime
    attempts: int
    subject: str | None


@dataclass(frozen=True, slots=True)
class Unsorted(Waiting):
    """An event of which nobody has looked yet what it is about."""

    body: bytes


_WAITING: Final = tuple(webhook_inbox.c[field.name] for field in fields(Waiting))
_UNSORTED: Final = tuple(webhook_inbox.c[field.name] for field in fields(Unsorted))


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits of one source: how many events, since when, up to which, and when the next attempt may be made.

    ``resources`` are those of the sorted events, ``traces`` the first of their traces.
    """

    source: str
    events: int
    oldest_at: datetime
    last_id: int
    due_at: datetime
    resources: frozenset[str]
    traces: tuple[str, ...]


class GivenUp(NamedTuple):
    """What came of a source on a day and was given up, and why the last one was."""

    source: str
    day: date
    events: int
    last_reason: str


def identity(source: str, signed_id: str | None, body_digest: bytes) -> bytes:
    """What makes an event of a source the same when it comes again: the id that it signed, else its content.

    An id beside the body that nobody signed tells nothing: with it somebody could pass an event off as known.
    """
    name = b"id\0" + signed_id.encode() if signed_id is not None else b"body\0" + body_digest
    return hashlib.sha256(source.encode() + b"\0" + name).digest()[:_IDENTITY_BYTES]


class UnknownEventError(LookupError):
    """There is no such event, or it cannot be loaded again."""


_NEW: Final = {"state": RECEIVED, "attempts": 0}
_INSERTS: Final = {
    name: dialect.insert(webhook_inbox).on_conflict_do_nothing()
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


def put(connection: Connection, events: Sequence[NewEvent]) -> None:
    """Write events down; one that is there already changes nothing.

    But one that says no version waits again, unless it still does and no load of it has begun.
    """
    if connection.dialect.name == "postgresql":
        # Two intakes with the same events in another order would each wait for what the other has written.
        events = sorted(events, key=lambda event: event.identity)
    if events:
        rows = [{**_NEW, **event._asdict()} for event in events]
        for row in rows:
            del row["versioned"]
        connection.execute(_INSERTS[connection.dialect.name], rows)
        _take_again(connection, {event.identity: event for event in events if not event.versioned})


def backlogs(engine: Engine) -> list[Backlog]:
    """What waits, by source; the source that waits longest comes first."""
    waits = select(
        webhook_inbox.c.source,
        webhook_inbox.c.event_id,
        webhook_inbox.c.received_at,
        webhook_inbox.c.attempts,
        webhook_inbox.c.attempted_at,
        webhook_inbox.c.subject,
        webhook_inbox.c.trace_id,
    ).where(webhook_inbox.c.state == RECEIVED)
    found: dict[str, list[Any]] = {}
    with reading(engine) as connection:
        for row in connection.execute(waits):
            found.setdefault(row.source, []).append(row)
    made = [
        Backlog(
            source,
            len(rows),
            min(row.received_at for row in rows),
            max(row.event_id for row in rows),
            min(_due_at(row.received_at, row.attempts, row.attempted_at) for row in rows),
            frozenset(row.subject.partition("/")[0] for row in rows if row.subject is not None),
            tuple(row.trace_id for row in rows[:_TRACES_SHOWN]),
        )
        for source, rows in found.items()
    ]
    return sorted(made, key=lambda backlog: backlog.oldest_at)


def unsorted(engine: Engine, *, limit: int) -> list[Unsorted]:
    """Events of which nobody has looked yet what they are about, in the order of arrival."""
    waits = (webhook_inbox.c.state == RECEIVED) & webhook_inbox.c.subject.is_(None)
    with reading(engine) as connection:
        statement = select(*_UNSORTED).where(waits).order_by(webhook_inbox.c.event_id).limit(limit)
        return [Unsorted(**row) for row in connection.execute(statement).mappings()]


def sort(engine: Engine, subjects: Mapping[int, str]) -> None:
    """Note what events are about: a resource and a record of it (``orders/123``), or only a word."""
    with writing(engine) as connection:
        for event_id, subject in subjects.items():
            _change(connection, [event_id], {"subject": subject})


def begin(engine: Engine, source: str, *, up_to: int, run_id: str, now: datetime) -> list[Waiting]:
    """Begin an attempt at what is due of a source and was sorted, up to an event; it is counted before the load begins.

    So a load that is killed has had its attempt, and the events are there for the next. What failed before waits for
    its time, whatever comes meanwhile: else a busy store that is down for a minute has its events given up.

    Returns:
        The events, in the order of arrival.
    """
    ours = (
        (webhook_inbox.c.state == RECEIVED)
        & (webhook_inbox.c.source == source)
        & (webhook_inbox.c.event_id <= up_to)
        # In words that no index of subjects fits: that of what waits is the short one.
        & (func.coalesce(webhook_inbox.c.subject, "") != "")
        & _is_due(now)
    )
    values = {"attempts": webhook_inbox.c.attempts + 1, "attempted_at": now, "run_id": run_id}
    with writing(engine) as connection:
        begun = connection.execute(update(webhook_inbox).where(ours).values(values).returning(*_WAITING)).mappings()
        return sorted((Waiting(**row) for row in begun), key=lambda event: event.event_id)


def finish(
    engine: Engine, ids: Sequence[int], *, run_id: str | None = None, reason: str | None = None, now: datetime
) -> None:
    """Note that events are done with; ``reason`` where that was not by a load.

    Args:
        run_id: the run that loaded them. What came again since it began waits for another.
    """
    with writing(engine) as connection:
        _change(connection, ids, {"state": DONE, "finished_at": now, "reason": reason}, run_id)


def fail(engine: Engine, events: Sequence[Waiting], reason: str, *, run_id: str | None = None, now: datetime) -> int:
    """Note that the load of events failed: they wait for the next attempt, or are dead after the last.

    Args:
        run_id: the run that failed. What came again since it began has all its attempts before it.

    Returns:
        How many are dead.
    """
    spent = [event.event_id for event in events if event.attempts >= MAX_ATTEMPTS]
    rest = [event.event_id for event in events if event.attempts < MAX_ATTEMPTS]
    with writing(engine) as connection:
        _change(connection, rest, {"reason": reason[:_LONGEST_REASON]}, run_id)
        why = f"{MAX_ATTEMPTS} attempts failed, the last one with: {reason}"[:_LONGEST_REASON]
        _change(connection, spent, {"state": DEAD, "finished_at": now, "reason": why}, run_id)
    return len(spent)


def bury(engine: Engine, reasons: Mapping[int, str], *, now: datetime) -> None:
    """Give events up, each for its reason; they stay until somebody has them loaded again (``requeue``)."""
    with writing(engine) as connection:
        for event_id, reason in reasons.items():
            _change(connection, [event_id], {"state": DEAD, "finished_at": now, "reason": reason[:_LONGEST_REASON]})


def requeue(connection: Connection, ids: Sequence[int], actor: str, reason: str, *, now: datetime) -> int:
    """Have events loaded again, by ``actor`` and for ``reason``, both kept in the audit chain.

    Returns:
        How many events now wait; those that were waiting are left alone.

    Raises:
        UnknownEventError: there is no such event, or its body is no longer kept; nothing was changed.
    """
    wanted = list(dict.fromkeys(ids))
    columns = (webhook_inbox.c.event_id, webhook_inbox.c.state, func.length(webhook_inbox.c.body).label("size"))
    there = {
        row.event_id: row
        for start in range(0, len(wanted), _CHUNK)
        for row in connection.execute(
            select(*columns).where(webhook_inbox.c.event_id.in_(wanted[start : start + _CHUNK]))
        )
    }
    unknown = [str(event_id) for event_id in wanted if event_id not in there or not there[event_id].size]
    if unknown:
        raise UnknownEventError(
            f"these events are not in the inbox, or too old to have kept their body: {', '.join(unknown)}"
        )
    again = [event_id for event_id in wanted if there[event_id].state != RECEIVED]
    values = dict.fromkeys(("attempted_at", "finished_at", "reason", "subject")) | {"state": RECEIVED, "attempts": 0}
    _change(connection, again, values)
    details = {f"event:{event_id}": {"reason": reason, "was": there[event_id].state} for event_id in again}
    audit.append_all(connection, details, at=now, actor=actor, action="event_requeued")
    return len(again)


def rows(
    engine: Engine,
    *,
    state: str | None = None,
    source: str | None = None,
    subject: str | None = None,
    kept_only: bool = False,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Events without their bodies, the newest first; ``kept_only``: those whose body is still there."""
    statement = select(*_SHOWN).order_by(webhook_inbox.c.event_id.desc()).limit(limit)
    if kept_only:
        statement = statement.where(webhook_inbox.c.body != b"")
    for column, value in (("state", state), ("source", source), ("subject", subject)):
        if value is not None:
            statement = statement.where(webhook_inbox.c[column] == value)
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def called(engine: Engine, name: str, *, limit: int = 100) -> list[dict[str, Any]]:
    """Events with this trace id, or that their sender calls so, without their bodies, the newest first."""
    statement = (
        select(*_SHOWN)
        .where(or_(webhook_inbox.c.trace_id == name.lower(), webhook_inbox.c.delivery_id == name))
        .order_by(webhook_inbox.c.event_id.desc())
        .limit(limit)
    )
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def given_up(engine: Engine, sources: Collection[str], *, since: datetime) -> list[GivenUp]:
    """The events given up of these sources, of those that came since then, by source and day of arrival (UTC)."""
    dead = select(webhook_inbox.c.source, webhook_inbox.c.received_at, webhook_inbox.c.event_id).where(
        webhook_inbox.c.source.in_(list(sources)),
        webhook_inbox.c.state == DEAD,
        webhook_inbox.c.received_at >= since,
    )
    found: dict[tuple[str, date], list[int]] = {}
    with reading(engine) as connection:
        for row in connection.execute(dead):
            found.setdefault((row.source, row.received_at.date()), []).append(row.event_id)
        # Few: the reasons of all would be read past all their bodies.
        lasts = [max(ids) for ids in found.values()]
        chosen = select(webhook_inbox.c.event_id, webhook_inbox.c.reason).where(webhook_inbox.c.event_id.in_(lasts))
        reasons = {row.event_id: row.reason or "" for row in connection.execute(chosen)} if lasts else {}
    return [GivenUp(source, day, len(ids), reasons[max(ids)]) for (source, day), ids in sorted(found.items())]


def depths(engine: Engine) -> list[dict[str, Any]]:
    """Events by source and state: ``source``, ``state``, ``events``, ``oldest_at``, ``newest_at``."""
    statement = (
        select(
            webhook_inbox.c.source,
            webhook_inbox.c.state,
            func.count().label("events"),
            func.min(webhook_inbox.c.received_at).label("oldest_at"),
            func.max(webhook_inbox.c.received_at).label("newest_at"),
        )
        .group_by(webhook_inbox.c.source, webhook_inbox.c.state)
        .order_by(webhook_inbox.c.source, webhook_inbox.c.state)
    )
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def forget_bodies(engine: Engine, *, before: datetime) -> int:
    """Empty the bodies, which hold personal data, of events done with or given up before then; their hashes stay."""
    ended = webhook_inbox.c.state.in_([DONE, DEAD])
    old = ended & (webhook_inbox.c.finished_at < before) & (webhook_inbox.c.body != b"")
    with writing(engine) as connection:
        return connection.execute(update(webhook_inbox).where(old).values(body=b"")).rowcount


def _due_at(received_at: datetime, attempts: int, attempted_at: datetime | None) -> datetime:
    """Each attempt waits twice as long as the one before."""
    if attempted_at is None or attempts == 0:
        return received_at
    return attempted_at + _wait_after(attempts)


def _wait_after(attempts: int) -> timedelta:
    return _FIRST_WAIT * 2 ** (min(attempts, MAX_ATTEMPTS) - 1)


def _is_due(now: datetime) -> ColumnElement[bool]:
    """As ``_due_at``, in SQL; a load that was killed may have had one attempt more than the last."""
    made, at = webhook_inbox.c.attempts, webhook_inbox.c.attempted_at
    after = [(made == attempts) & (at <= now - _wait_after(attempts)) for attempts in range(1, MAX_ATTEMPTS)]
    return or_(made == 0, at.is_(None), *after, (made >= MAX_ATTEMPTS) & (at <= now - _wait_after(MAX_ATTEMPTS)))


def _take_again(connection: Connection, events: Mapping[bytes, NewEvent]) -> None:
    """Have events wait again that ended, or that a load has begun with: it may have read before they came."""
    is_behind = or_(webhook_inbox.c.state != RECEIVED, webhook_inbox.c.attempted_at.is_not(None))
    names = list(events)
    found = [
        {"id": row.event_id, "came_at": events[row.identity].received_at, "came_as": events[row.identity].body}
        for start in range(0, len(names), _CHUNK)
        for row in connection.execute(
            select(webhook_inbox.c.event_id, webhook_inbox.c.identity).where(
                webhook_inbox.c.identity.in_(names[start : start + _CHUNK]), is_behind
            )
        )
    ]
    if found:
        values = dict.fromkeys(("attempted_at", "finished_at", "run_id", "reason", "subject"))
        statement = (
            update(webhook_inbox)
            .where(webhook_inbox.c.event_id == bindparam("id"))
            .values(values | {"state": RECEIVED, "attempts": 0})
            .values(received_at=bindparam("came_at"), body=bindparam("came_as"))
        )
        # All in one order, as above.
        connection.execute(statement, sorted(found, key=lambda row: row["id"]))


def _change(connection: Connection, ids: Sequence[int], values: Mapping[str, Any], run_id: str | None = None) -> None:
    for start in range(0, len(ids), _CHUNK):
        ours = webhook_inbox.c.event_id.in_(ids[start : start + _CHUNK])
        if run_id is not None:
            ours &= webhook_inbox.c.run_id == run_id
        connection.execute(update(webhook_inbox).where(ours).values(dict(values)))
