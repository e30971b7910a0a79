"""What waits in the operations store: how much, where, and since when."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Engine, func, literal, select

from retail_assets.ops.models import approvals, posting_outbox, quarantine, webhook_inbox
from retail_assets.ops.store import reading

#: Name of the queue, what of it waits, whose it is, in which state, and since when.
_QUEUES: Final[tuple[tuple[str, ColumnElement[bool], Column[Any], ColumnElement[str], Column[Any]], ...]] = (
    (
        "webhook_inbox",
        webhook_inbox.c.state != "done",
        webhook_inbox.c.source,
        webhook_inbox.c.state,
        webhook_inbox.c.received_at,
    ),
    (
        "quarantine",
        quarantine.c.status == "open",
        quarantine.c.instance_id,
        quarantine.c.status,
        quarantine.c.first_seen_at,
    ),
    (
        "posting_outbox",
        posting_outbox.c.state != "posted",
        posting_outbox.c.entity_code,
        posting_outbox.c.state,
        posting_outbox.c.created_at,
    ),
    (
        "approvals",
        approvals.c.decision.is_(None),
        approvals.c.entity_code,
        literal("waiting"),
        approvals.c.requested_at,
    ),
)


def depths(engine: Engine) -> Iterator[dict[str, Any]]:
    """The depth of each queue that is not empty, with the columns of ``raw_ops.queues``."""
    found = []
    with reading(engine) as connection:
        for name, waits, part, state, since in _QUEUES:
            columns = (part.label("part"), state.label("state"))
            waiting = (func.count().label("depth"), func.min(since).label("oldest_at"))
            statement = (
                select(literal(name).label("queue"), *columns, *waiting)
                .where(waits)
                .group_by(*columns)
                .order_by(*columns)
            )
            found += [dict(row) for row in connection.execute(statement).mappings()]
    yield from found
