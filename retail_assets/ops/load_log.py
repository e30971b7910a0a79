"""The log of loads: what each source instance sent, and what became of it."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, case, func, select, tuple_

from retail_assets.ops.models import load_log
from retail_assets.ops.store import EXCLUDED, reading, upsert, writing

_STATUS_COLUMNS: Final = tuple(column for column in load_log.c if column.name not in {"run_id", "is_complete"})


class CountMismatchError(ValueError):
    """Records went missing on the way: received is not loaded plus quarantined."""


def record(
    engine: Engine,
    *,
    system: str,
    instance_id: str,
    resource: str,
    received: int,
    loaded: int,
    quarantined: int,
    loaded_at: datetime,
    run_id: str | None = None,
    is_complete: bool = True,
) -> None:
    """Log one load of one resource (orders, payouts, …) of one source instance.

    Logging the load of the same moment again replaces its counts: with a fixed clock a re-run changes nothing. Only
    one that was not complete never replaces one that was.

    Args:
        is_complete: whether all that there was to read was read. Only such loads say how fresh a source is.

    Raises:
        CountMismatchError: counts in are not counts out.
    """
    if received != loaded + quarantined:
        raise CountMismatchError(
            f"{system} {instance_id} {resource}: {received} records received, but {loaded} loaded and {quarantined} "
            f"quarantined: {received - loaded - quarantined} unaccounted for"
        )
    row = {
        "system": system,
        "instance_id": instance_id,
        "resource": resource,
        "loaded_at": loaded_at,
        "received": received,
        "loaded": loaded,
        "quarantined": quarantined,
        "run_id": run_id,
        "is_complete": is_complete,
    }
    counted = ("received", "loaded", "quarantined", "run_id", "is_complete")
    counts: dict[str, Any] = dict.fromkeys(counted, EXCLUDED)
    with writing(engine) as connection:
        same = select(load_log.c.is_complete).where(*(column == row[column.name] for column in load_log.primary_key))
        if not is_complete and connection.scalar(same):
            return
        upsert(connection, load_log, [row], counts)


def status_rows(engine: Engine) -> Iterator[dict[str, Any]]:
    """The last complete load of every (system, instance, resource), with the columns of ``raw_ops.load_status``."""
    with reading(engine) as connection:
        found = [dict(row._mapping) for row in _newest(connection)]
    yield from found


def last_loads(engine: Engine) -> dict[str, datetime]:
    """When each source instance was last read completely, any resource of it."""
    found: dict[str, datetime] = {}
    with reading(engine) as connection:
        for row in _newest(connection):
            found[row.instance_id] = max(row.loaded_at, found.get(row.instance_id, row.loaded_at))
    return found


def _newest(connection: Connection) -> Iterator[Row[Any]]:
    """Each resource's last complete load, in order, by seeking in the primary key: the log grows with every poll."""
    key = tuple_(*_STATUS_COLUMNS[:3])
    newest = (
        select(*_STATUS_COLUMNS)
        .where(load_log.c.is_complete)
        .order_by(*_STATUS_COLUMNS[:3], load_log.c.loaded_at.desc())
        .limit(1)
    )
    statement = select(*_STATUS_COLUMNS[:3]).order_by(*_STATUS_COLUMNS[:3]).limit(1)
    row = connection.execute(statement).one_or_none()
    while row is not None:
        last = connection.execute(
            newest.where(*(column == value for column, value in zip(_STATUS_COLUMNS[:3], row, strict=True)))
        ).one_or_none()
        if last is not None:
            yield last
        row = connection.execute(statement.where(key > tuple_(*row))).one_or_none()


def totals(engine: Engine, instance_ids: Sequence[str], *, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """What some source instances sent in a stretch of time, by (system, instance, resource), and what became of it.

    A record that was sent twice is counted twice: polls look back.
    """
    keys = _STATUS_COLUMNS[:3]
    counts = (load_log.c.received, load_log.c.loaded, load_log.c.quarantined)
    statement = (
        select(
            *keys,
            func.count().label("loads"),
            *(func.sum(column).label(column.name) for column in counts),
            func.min(load_log.c.loaded_at).label("first_loaded_at"),
            func.max(load_log.c.loaded_at).label("last_loaded_at"),
            func.max(case((load_log.c.is_complete, load_log.c.loaded_at))).label("last_complete_at"),
        )
        .where(load_log.c.instance_id.in_(instance_ids), load_log.c.loaded_at.between(since, until))
        .group_by(*keys)
        .order_by(*keys)
    )
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]
