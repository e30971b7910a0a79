"""Alerts: what is wrong, whom it was told, and what is still to be told.

A cause is told once for as long as it lasts, whatever is restarted; when it is gone, that is told to those who heard of
it. What comes and goes before anybody could be told is kept here and told nobody. Sending is others' work: whoever
crashes between sending and ``told`` sends again.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Connection, Engine, and_, bindparam, delete, exists, func, insert, or_, select, update

from retail_assets.ops.models import alert_channels, alert_messages, alert_runs, alerts
from retail_assets.ops.store import reading, upsert, writing

_LONGEST_PAUSE: Final = timedelta(hours=1)
_RUNS_KEPT: Final = timedelta(days=30)
_CHUNK: Final = 500

Kind = Literal["technical", "business"]
Event = Literal["raised", "recovered"]


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that is wrong. ``cause`` names it: the same name is the same trouble, and told once."""

    cause: str
    kind: Kind
    severity: str
    owner: str
    title: str
    detail: str
    what_to_do: str
    entity_code: str | None = None
    run_id: str | None = None

    @property
    def alert_id(self) -> str:
        return _alert_id(self.cause)


@dataclass(frozen=True, slots=True)
class Recipient:
    """A channel, as far as it matters whom to tell what. ``owners``: only what they own; empty for all."""

    channel_id: str
    kinds: Collection[str]
    owners: Collection[str] = ()
    throttle: timedelta = timedelta()


def observe(
    engine: Engine,
    *,
    found: Iterable[Cause] = (),
    gone: Iterable[str] = (),
    now: datetime,
    run: tuple[str, datetime] | None = None,
) -> bool:
    """Note what is wrong, and which causes are gone; in one transaction, so that neither is noted without the other.

    Args:
        gone: names of causes; unknown ones, and those that recovered before, are passed over.
        run: id and end of the run that shows it. A run is looked at once: an old failure must not come back.

    Returns:
        False if the run was looked at before; nothing was noted then.
    """
    with writing(engine) as connection:
        if run is not None and not _is_new(connection, run):
            return False
        _recover(connection, gone, now)
        _raise(connection, list({cause.cause: cause for cause in found}.values()), now)
    return True


def observe_all(engine: Engine, prefixes: Sequence[str], found: Iterable[Cause], now: datetime) -> None:
    """Note everything that is wrong of a sort: of the causes whose names begin so, what is not found is gone."""
    causes = list({cause.cause: cause for cause in found}.values())
    named = {cause.cause for cause in causes}
    begins = or_(*(alerts.c.cause.startswith(prefix, autoescape=True) for prefix in prefixes))
    with writing(engine) as connection:
        known = connection.execute(select(alerts.c.cause).where(alerts.c.state == "open", begins)).scalars()
        _recover(connection, [cause for cause in known if cause not in named], now)
        _raise(connection, causes, now)


def untold(engine: Engine, recipient: Recipient) -> list[tuple[Event, dict[str, Any]]]:
    """What a channel was not told of yet: open alerts, and those that recovered and that it had heard of."""

    def told(event: Event) -> Any:
        return exists().where(
            alert_messages.c.alert_id == alerts.c.alert_id,
            alert_messages.c.episode == alerts.c.episode,
            alert_messages.c.event == event,
            alert_messages.c.channel_id == recipient.channel_id,
        )

    raised = and_(alerts.c.state == "open", ~told("raised"))
    recovered = and_(alerts.c.state == "recovered", told("raised"), ~told("recovered"))
    statement = select(alerts).where(or_(raised, recovered), alerts.c.kind.in_(list(recipient.kinds)))
    if recipient.owners:
        statement = statement.where(alerts.c.owner.in_(list(recipient.owners)))
    with reading(engine) as connection:
        rows = [
            dict(row) for row in connection.execute(statement.order_by(alerts.c.opened_at, alerts.c.cause)).mappings()
        ]
    return [("raised" if row["state"] == "open" else "recovered", row) for row in rows]


def may_send(engine: Engine, recipient: Recipient, now: datetime) -> bool:
    """Whether a channel may be used now: not so soon after its last message, nor after it failed."""
    with reading(engine) as connection:
        row = connection.execute(
            select(alert_channels).where(alert_channels.c.channel_id == recipient.channel_id)
        ).one_or_none()
    if row is None:
        return True
    waits = row.next_attempt_at is not None and now < row.next_attempt_at <= now + _LONGEST_PAUSE
    # A message from the future is the clock's doing; it must not silence the channel.
    rests = row.last_sent_at is not None and now - recipient.throttle < row.last_sent_at <= now
    return not waits and not rests


def told(engine: Engine, channel_id: str, messages: Iterable[tuple[Event, Mapping[str, Any]]], now: datetime) -> None:
    """Note that a channel was told; it may be used again after its throttle."""
    rows = [
        {
            "alert_id": row["alert_id"],
            "episode": row["episode"],
            "event": event,
            "channel_id": channel_id,
            "sent_at": now,
        }
        for event, row in messages
    ]
    state = {"last_sent_at": now, "attempts": 0, "next_attempt_at": None, "last_error": None}
    with writing(engine) as connection:
        upsert(connection, alert_messages, rows, {"sent_at": now})
        upsert(connection, alert_channels, [{"channel_id": channel_id, **state}], state)


def failed(engine: Engine, channel_id: str, error: str, now: datetime) -> None:
    """Note that a channel could not be used: the next attempt is a minute later, then two, four, … up to an hour."""
    with writing(engine) as connection:
        where = alert_channels.c.channel_id == channel_id
        attempts = (connection.execute(select(alert_channels.c.attempts).where(where)).scalar_one_or_none() or 0) + 1
        pause = min(timedelta(minutes=2 ** min(attempts - 1, 10)), _LONGEST_PAUSE)
        state = {"attempts": attempts, "next_attempt_at": now + pause, "last_error": error}
        upsert(connection, alert_channels, [{"channel_id": channel_id, **state}], state)


def rows(engine: Engine, *, open_only: bool = True) -> list[dict[str, Any]]:
    """The alerts, the oldest first, with the channels that were told (``told``, comma-separated)."""
    statement = select(alerts).order_by(alerts.c.opened_at, alerts.c.cause)
    if open_only:
        statement = statement.where(alerts.c.state == "open")
    heard: dict[tuple[str, int], list[str]] = {}
    with reading(engine) as connection:
        found = [dict(row) for row in connection.execute(statement).mappings()]
        messages = (
            select(alert_messages).where(alert_messages.c.event == "raised").order_by(alert_messages.c.channel_id)
        )
        for message in connection.execute(messages).mappings():
            heard.setdefault((message["alert_id"], message["episode"]), []).append(message["channel_id"])
    return [{**row, "told": ", ".join(heard.get((row["alert_id"], row["episode"]), ()))} for row in found]


def channel_rows(engine: Engine) -> list[dict[str, Any]]:
    """What became of each channel's last message."""
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(select(alert_channels)).mappings()]


def newest_run(engine: Engine) -> datetime | None:
    """When the last of the runs ended that were looked at."""
    with reading(engine) as connection:
        return connection.execute(select(func.max(alert_runs.c.ended_at))).scalar_one_or_none()


def runs_looked_at(engine: Engine, run_ids: Collection[str]) -> set[str]:
    """Which of these runs were looked at."""
    with reading(engine) as connection:
        return set(
            connection.execute(select(alert_runs.c.run_id).where(alert_runs.c.run_id.in_(list(run_ids)))).scalars()
        )


def _alert_id(cause: str) -> str:
    return hashlib.sha256(cause.encode()).hexdigest()[:32]


def _is_new(connection: Connection, run: tuple[str, datetime]) -> bool:
    run_id, ended_at = run
    if connection.execute(select(alert_runs.c.run_id).where(alert_runs.c.run_id == run_id)).one_or_none():
        return False
    connection.execute(insert(alert_runs).values(run_id=run_id, ended_at=ended_at))
    connection.execute(delete(alert_runs).where(alert_runs.c.ended_at < ended_at - _RUNS_KEPT))
    return True


def _recover(connection: Connection, gone: Iterable[str], now: datetime) -> None:
    ids = [{"id": _alert_id(cause), "at": now} for cause in gone]
    if ids:
        statement = (
            update(alerts)
            .where(alerts.c.alert_id == bindparam("id"), alerts.c.state == "open")
            .values(state="recovered", recovered_at=bindparam("at"))
        )
        connection.execute(statement, ids)


def _raise(connection: Connection, causes: Sequence[Cause], now: datetime) -> None:
    """New ones are opened, recovered ones opened again; of open ones the words are brought up to date."""
    if not causes:
        return
    fresh = [
        {
            **asdict(cause),
            "alert_id": cause.alert_id,
            "state": "open",
            "episode": 1,
            "opened_at": now,
            "recovered_at": None,
        }
        for cause in causes
    ]
    columns = ("kind", "severity", "owner", "title", "detail", "what_to_do", "entity_code", "run_id")
    ids = [row["alert_id"] for row in fresh]
    known = {
        row.alert_id: row
        for start in range(0, len(ids), _CHUNK)
        for row in connection.execute(
            select(alerts.c.alert_id, alerts.c.state).where(alerts.c.alert_id.in_(ids[start : start + _CHUNK]))
        )
    }
    new = [row for row in fresh if row["alert_id"] not in known]
    if new:
        connection.execute(insert(alerts), new)
    words = {name: bindparam(f"new_{name}") for name in columns}
    again = update(alerts).where(alerts.c.alert_id == bindparam("id")).values(words)
    reopened = again.values(state="open", episode=alerts.c.episode + 1, opened_at=bindparam("at"), recovered_at=None)
    for state, statement, moment in (("open", again, {}), ("recovered", reopened, {"at": now})):
        changed = [
            {"id": row["alert_id"], **moment, **{f"new_{name}": row[name] for name in columns}}
            for row in fresh
            if row["alert_id"] in known and known[row["alert_id"]].state == state
        ]
        if changed:
            connection.execute(statement, changed)
