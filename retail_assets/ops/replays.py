"""Replays: what was read, corrected or rebuilt again by hand, by whom, why and with what result."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, Engine, insert, select, update

from retail_assets.ops import audit
from retail_assets.ops.canonical import canonical_json, sha256_hex
from retail_assets.ops.models import replays
from retail_assets.ops.store import reading

Kind = Literal["quarantine", "inbox", "source", "order", "payout"]
Result = Literal["succeeded", "partly", "failed"]

STARTED: Final = "replay.started"
FINISHED: Final = "replay.finished"

_ID_LENGTH: Final = 32
_PLACE_DIGITS: Final = 12


class ReplayError(Exception):
    """It cannot be replayed; the message says why."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a replay: counts of records, and a sentence."""

    result: Result
    received: int = 0
    loaded: int = 0
    quarantined: int = 0
    detail: str = ""


def start(connection: Connection, kind: Kind, subject: str, *, actor: str, reason: str, now: datetime) -> str:
    """Say that a replay begins, before it does: one that is killed is seen as one that never ended.

    Raises:
        ReplayError: no reason, or nobody is named.
    """
    if not reason.strip():
        raise ReplayError("a replay needs a reason: --reason")
    if not actor.strip():
        raise ReplayError("nobody replays without a name: set RETAIL_ACTOR")
    place = audit.head(connection).seq + 1
    # Ids sort as replays began, also under a clock that stands still.
    replay_id = f"{place:0{_PLACE_DIGITS}}{sha256_hex(canonical_json([kind, subject, now, place]))}"[:_ID_LENGTH]
    facts = {"kind": kind, "subject": subject, "reason": reason.strip()}
    values = {**facts, "replay_id": replay_id, "actor": actor, "started_at": now, "result": "running"}
    connection.execute(insert(replays).values(**values, received=0, loaded=0, quarantined=0))
    audit.append(connection, at=now, actor=actor, action=STARTED, subject=f"replay:{replay_id}", details=facts)
    return replay_id


def finish(connection: Connection, replay_id: str, outcome: Outcome, *, now: datetime) -> None:
    """Say what came of it, once.

    Raises:
        KeyError: it never began, or has ended already.
    """
    found = (replays.c.replay_id == replay_id) & (replays.c.result == "running")
    actor = connection.execute(select(replays.c.actor).where(found)).scalar_one_or_none()
    if actor is None:
        raise KeyError(replay_id)
    facts = {
        "result": outcome.result,
        "received": outcome.received,
        "loaded": outcome.loaded,
        "quarantined": outcome.quarantined,
        "detail": outcome.detail or None,
    }
    connection.execute(update(replays).where(found).values(**facts, finished_at=now))
    audit.append(connection, at=now, actor=actor, action=FINISHED, subject=f"replay:{replay_id}", details=facts)


def rows(engine: Engine) -> Iterator[dict[str, Any]]:
    """Every replay with the columns of ``raw_ops.replays``, oldest first."""
    statement = select(replays).order_by(replays.c.started_at, replays.c.replay_id)
    with reading(engine) as connection:
        found = [dict(row) for row in connection.execute(statement).mappings()]
    yield from found
