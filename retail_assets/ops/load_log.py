"""The log of loads: what each source instance sent, and what became of it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine, func, select

from retail_assets.ops.models import load_log
from retail_assets.ops.store import EXCLUDED, reading, upsert, writing

_STATUS_COLUMNS: Final = tuple(column for column in load_log.c if column.name != "run_id")


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
) -> None:
    """Log one load of one resource (orders, payouts, …) of one source instance.

    Logging the load of the same moment again replaces its counts: with a fixed clock a re-run changes nothing.

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
    }
    counts: dict[str, Any] = dict.fromkeys(("received", "loaded", "quarantined", "run_id"), EXCLUDED)
    with writing(engine) as connection:
        upsert(connection, load_log, [row], counts)


def status_rows(engine: Engine) -> Iterator[dict[str, Any]]:
    """The last load of every (system, instance, resource), with the columns of ``raw_ops.load_status``."""
    newest = (
        select(*_STATUS_COLUMNS, func.max(load_log.c.loaded_at).over(partition_by=_STATUS_COLUMNS[:3]).label("newest"))
    ).subquery()
    statement = (
        select(*(newest.c[column.name] for column in _STATUS_COLUMNS))
        .where(newest.c.loaded_at == newest.c.newest)
        .order_by(newest.c.system, newest.c.instance_id, newest.c.resource)
    )
    with reading(engine) as connection:
        found = [dict(row) for row in connection.execute(statement).mappings()]
    yield from found


def last_loads(engine: Engine) -> dict[str, datetime]:
    """When each source instance was last loaded, any resource of it."""
    statement = select(load_log.c.instance_id, func.max(load_log.c.loaded_at).label("last"))
    statement = statement.group_by(load_log.c.instance_id)
    with reading(engine) as connection:
        return {row.instance_id: row.last for row in connection.execute(statement)}
