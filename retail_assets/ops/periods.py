"""Closed periods: the months of an entity's books that nothing is dated in any more.

Months are closed in order and for good: what turns up later is dated the first open day. There is no way back here, as
a report that was signed must stay true.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, insert, select

from retail_assets.ops import audit
from retail_assets.ops.models import closed_periods
from retail_assets.ops.store import reading

#: What the audit chain calls it.
CLOSED: Final = "period.closed"

_MONTH: Final = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


class PeriodError(Exception):
    """The period cannot be closed; the message says what to do."""


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A month of the books; its days are those of the entity's time zone."""

    first_day: date

    @classmethod
    def parse(cls, text: str) -> "Period":
        """``2026-10``.

        Raises:
            ValueError: it is not a month.
        """
        found = _MONTH.fullmatch(text)
        if found is None or int(found[1]) == 0:
            raise ValueError(f"{text!r} is not a month such as 2026-10")
        return cls(date(int(found[1]), int(found[2]), 1))

    @classmethod
    def of(cls, day: date) -> "Period":
        """The month of a day."""
        return cls(day.replace(day=1))

    @property
    def last_day(self) -> date:
        return self.following.first_day - timedelta(days=1)

    @property
    def following(self) -> "Period":
        return Period((self.first_day + timedelta(days=31)).replace(day=1))

    def ends_at(self, time_zone: str) -> datetime:
        """The moment, in UTC, from which days of the next month are counted."""
        return datetime.combine(self.following.first_day, time(), ZoneInfo(time_zone)).astimezone(UTC)

    def __str__(self) -> str:
        return f"{self.first_day:%Y-%m}"


@dataclass(frozen=True, slots=True)
class ClosedPeriod:
    """A row of ``closed_periods``."""

    entity_code: str
    period: str
    first_day: date
    last_day: date
    closed_by: str
    closed_at: datetime
    report_sha256: str


_COLUMNS: Final = tuple(closed_periods.c[name] for name in ClosedPeriod.__slots__)


def close(
    connection: Connection, entity_code: str, period: Period, *, closed_by: str, closed_at: datetime, report_sha256: str
) -> ClosedPeriod:
    """Close a month, in the caller's transaction, and say so in the audit chain.

    Args:
        connection: of a transaction that may write; whoever posts for the entity must be kept out meanwhile.
        closed_by: who is answerable for it.
        closed_at: aware UTC.
        report_sha256: of the report that shows why it could be closed.

    Raises:
        PeriodError: it is closed already, or the month that follows the last closed one is another.
    """
    row = ClosedPeriod(entity_code, str(period), period.first_day, period.last_day, closed_by, closed_at, report_sha256)
    last = _last(connection, entity_code)
    if last is not None:
        expected = Period.parse(last.period).following
        if period < expected:
            raise PeriodError(f"{period} of {entity_code} is closed already; closed months are never opened again")
        if period > expected:
            raise PeriodError(f"{expected} of {entity_code} is not closed yet: close it before {period}")
    connection.execute(insert(closed_periods).values({name: getattr(row, name) for name in ClosedPeriod.__slots__}))
    audit.append(
        connection,
        at=closed_at,
        actor=closed_by,
        action=CLOSED,
        subject=f"{entity_code}:{period}",
        details={"first_day": row.first_day, "last_day": row.last_day, "report_sha256": report_sha256},
    )
    return row


def closed(engine: Engine, entity_code: str | None = None) -> list[ClosedPeriod]:
    """Closed months, in order, of one entity or of all."""
    statement = select(*_COLUMNS).order_by(closed_periods.c.entity_code, closed_periods.c.period)
    if entity_code is not None:
        statement = statement.where(closed_periods.c.entity_code == entity_code)
    with reading(engine) as connection:
        return [ClosedPeriod(*row) for row in connection.execute(statement)]


def open_from(engine: Engine, entity_code: str) -> date | None:
    """The first day that can be posted to: the one after the last closed month. None while nothing is closed."""
    with reading(engine) as connection:
        last = _last(connection, entity_code)
    return None if last is None else last.last_day + timedelta(days=1)


def contradictions(engine: Engine) -> list[str]:
    """Where the closed months and what the audit chain says of them differ: a month was opened or moved by hand."""
    told = {
        entry.subject: (
            entry.content()["first_day"],
            entry.content()["last_day"],
            entry.content()["report_sha256"],
            entry.actor,
        )
        for entry in audit.entries(engine, action=CLOSED)
    }
    there = {
        f"{row.entity_code}:{row.period}": (
            row.first_day.isoformat(),
            row.last_day.isoformat(),
            row.report_sha256,
            row.closed_by,
        )
        for row in closed(engine)
    }
    return [
        f"closed period {subject} is not what the audit chain says: it was changed in the operations store"
        if subject in told and subject in there
        else f"closed period {subject} is missing in the operations store, though the audit chain has it"
        if subject in told
        else f"closed period {subject} is not in the audit chain: somebody else than retail close wrote it"
        for subject in sorted(told.keys() | there.keys())
        if told.get(subject) != there.get(subject)
    ]


def rows(engine: Engine) -> Iterator[dict[str, Any]]:
    """Every closed month with the columns of ``raw_ops.closed_periods``."""
    for row in closed(engine):
        yield {name: getattr(row, name) for name in ClosedPeriod.__slots__}


def _last(connection: Connection, entity_code: str) -> ClosedPeriod | None:
    statement = select(*_COLUMNS).where(closed_periods.c.entity_code == entity_code)
    found = connection.execute(statement.order_by(closed_periods.c.period.desc()).limit(1)).one_or_none()
    return None if found is None else ClosedPeriod(*found)
