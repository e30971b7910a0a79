"""Reading again: the cursors of a source instance are put back, so that its next load brings what it brought before.

Only the committed state of its pipeline changes. A replay that dies is therefore gone on with by any load that follows,
and merging on keys makes what is read twice harmless.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import dlt

from retail_assets.sources.warehouse import load

#: Keys of resources' states under which a moment stands: ISO 8601 text (without a zone: UTC) or Unix seconds.
_CURSORS: Final = frozenset(
    {"completed_until", "created", "modified", "modified_after", "newest", "payout_date", "read_whole_at", "swept"}
)
#: Keys under which stands what is not read again: files, finished payouts, months.
_REGISTERS: Final = frozenset({"files", "listed_payouts", "listed_settlements", "months"})


def rewind(pipeline: dlt.Pipeline, system: str, since: datetime) -> None:
    """Put the cursors of a source instance back to ``since`` (aware), and forget what needs no second reading.

    What has no cursor is read whole anyway; a list of changes is always read to its end.
    """

    def nothing() -> Iterator[Any]:
        for state in dlt.current.source_state().get("resources", {}).values():
            put_back(state, since)
        yield from ()

    source = dlt.source(lambda: (dlt.resource(nothing, name="rewind"),), name=system, max_table_nesting=0)
    load(source(), pipeline)


def put_back(state: dict[str, Any], since: datetime) -> None:
    """The same for the state of one resource."""
    for key, value in state.items():
        if key in _REGISTERS:
            value.clear()
        elif key in _CURSORS:
            state[key] = _earlier(value, since.astimezone(UTC))


def _earlier(cursor: Any, since: datetime) -> Any:
    """The earlier of the two, in the form of the cursor."""
    if isinstance(cursor, int):
        return min(cursor, int(since.timestamp()))
    with suppress(TypeError, ValueError):
        moment = datetime.fromisoformat(cursor)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if aware <= since:
            return cursor
        if len(cursor) == len("2026-01-01"):
            return since.date().isoformat()
        plain = since if moment.tzinfo else since.replace(tzinfo=None)
        return plain.isoformat(cursor[len("2026-01-01")], "microseconds" if "." in cursor else "seconds")
    return cursor
