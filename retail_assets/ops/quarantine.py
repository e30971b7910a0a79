"""Quarantine: records that broke their contract, kept whole, with the reason, until a good version arrives."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine, case, literal, select, update

from retail_assets.ops.canonical import canonical_json, sha256_hex
from retail_assets.ops.models import quarantine
from retail_assets.ops.store import EXCLUDED, reading, upsert, writing

_LONGEST_VALUE: Final = 200
_ID_LENGTH: Final = 32
_BATCH: Final = 500
_COLUMNS: Final = tuple(column for column in quarantine.c if column.name not in {"payload", "superseded_at"})


@dataclass(frozen=True, slots=True)
class Rejection:
    """One reason why one record was refused; a record with two faults gives two.

    ``record_key`` is the record's key as text, where it could be read; ``payload`` the record's bytes as received;
    ``origin`` the file and row, or the request, it came from.
    """

    record_key: str | None
    field: str | None
    value: str | None
    reason: str
    origin: str
    payload: bytes

    @property
    def payload_sha256(self) -> str:
        return hashlib.sha256(self.payload).hexdigest()


def quarantine_id(system: str, instance_id: str, table_name: str, rejection: Rejection) -> str:
    """The id of a rejection: the same record refused for the same reason has the same id, forever."""
    parts = [
        system,
        instance_id,
        table_name,
        rejection.payload_sha256,
        _clean(rejection.field),
        _clean(rejection.reason),
    ]
    return sha256_hex(canonical_json(parts))[:_ID_LENGTH]


def record(
    engine: Engine,
    *,
    system: str,
    instance_id: str,
    table_name: str,
    rejections: Iterable[Rejection],
    now: datetime,
) -> int:
    """Put records into quarantine; one that is already there only gets a new ``last_seen_at``.

    One that was there and was mended is open again, since now: what was done about it then is not done about it now.

    Returns:
        How many distinct rejections there were.
    """
    rows = {
        row["quarantine_id"]: row
        for row in (_row(system, instance_id, table_name, rejection, now) for rejection in rejections)
    }
    with writing(engine) as connection:
        first_seen = quarantine.c.first_seen_at
        mended = quarantine.c.status == "superseded"
        seen_again = {
            "first_seen_at": case((mended, literal(now, first_seen.type)), else_=first_seen),
            "last_seen_at": EXCLUDED,
            "status": "open",
            "superseded_at": None,
        }
        upsert(connection, quarantine, list(rows.values()), seen_again)
    return len(rows)


def supersede(
    engine: Engine, system: str, instance_id: str, table_name: str, record_keys: Iterable[str], now: datetime
) -> int:
    """Close the open rejections of records of which a good version was loaded.

    Args:
        record_keys: keys of every record just loaded; those that were never in quarantine cost nothing.

    Returns:
        How many rejections were closed.
    """
    ours = (
        (quarantine.c.system == system)
        & (quarantine.c.instance_id == instance_id)
        & (quarantine.c.table_name == table_name)
        & (quarantine.c.status == "open")
    )
    with reading(engine) as connection:
        open_keys = set(
            connection.scalars(select(quarantine.c.record_key).where(ours, quarantine.c.record_key.is_not(None)))
        )
    if not open_keys:
        return 0
    good = sorted(open_keys.intersection(_clean(key) for key in record_keys))
    closed = 0
    with writing(engine) as connection:
        for start in range(0, len(good), _BATCH):
            statement = (
                update(quarantine)
                .where(ours, quarantine.c.record_key.in_(good[start : start + _BATCH]))
                .values(status="superseded", superseded_at=now)
            )
            closed += connection.execute(statement).rowcount
    return closed


def open_keys(engine: Engine, instance_id: str, table_name: str) -> set[str | None]:
    """Keys of the records of one table of one source that are in quarantine; None among them if one's is not known."""
    statement = select(quarantine.c.record_key).where(
        quarantine.c.instance_id == instance_id, quarantine.c.table_name == table_name, quarantine.c.status == "open"
    )
    with reading(engine) as connection:
        return set(connection.scalars(statement))


def settle(engine: Engine, identifiers: Iterable[str], now: datetime) -> int:
    """Close rejections whose record was corrected and loaded by hand; returns how many were open."""
    wanted = list(identifiers)
    with writing(engine) as connection:
        return sum(
            connection.execute(
                update(quarantine)
                .where(quarantine.c.quarantine_id.in_(wanted[start : start + _BATCH]), quarantine.c.status == "open")
                .values(status="superseded", superseded_at=now)
            ).rowcount
            for start in range(0, len(wanted), _BATCH)
        )


def rows(engine: Engine, *, status: str | None = None) -> Iterator[dict[str, Any]]:
    """Every rejection with the columns of ``raw_ops.quarantine``, oldest first."""
    statement = select(*_COLUMNS).order_by(quarantine.c.first_seen_at, quarantine.c.quarantine_id)
    if status is not None:
        statement = statement.where(quarantine.c.status == status)
    with reading(engine) as connection:
        found = [dict(row) for row in connection.execute(statement).mappings()]
    yield from found


def payload(engine: Engine, identifier: str) -> bytes:
    """The refused record as it was received.

    Raises:
        KeyError: there is no such rejection.
    """
    with reading(engine) as connection:
        found = connection.execute(
            select(quarantine.c.payload).where(quarantine.c.quarantine_id == identifier)
        ).scalar_one_or_none()
    if found is None:
        raise KeyError(f"no quarantined record {identifier!r}")
    return bytes(found)


def _row(system: str, instance_id: str, table_name: str, rejection: Rejection, now: datetime) -> dict[str, Any]:
    value = _clean(rejection.value)
    return {
        "quarantine_id": quarantine_id(system, instance_id, table_name, rejection),
        "system": system,
        "instance_id": instance_id,
        "table_name": table_name,
        "record_key": _clean(rejection.record_key),
        "field": _clean(rejection.field),
        "value": value if value is None or len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…",
        "reason": _clean(rejection.reason),
        "origin": _clean(rejection.origin),
        "payload": rejection.payload,
        "payload_sha256": rejection.payload_sha256,
        "first_seen_at": now,
        "last_seen_at": now,
        "status": "open",
        "superseded_at": None,
    }


def _clean(text: str | None) -> str | None:
    """Text that every database takes: broken records hold NUL characters and lone surrogates."""
    if text is None:
        return None
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
