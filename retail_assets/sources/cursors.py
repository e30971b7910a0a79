"""Cursors kept between loads, and when they are not to be believed."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

#: Clocks of sources differ from ours by minutes; a cursor further ahead than this was set by a clock that was wrong.
_TOLERANCE: Final = timedelta(days=1)


def believed(state: dict[str, Any], key: str, now: datetime) -> Any:
    """The cursor under ``key``, or None: nothing was loaded yet, or it lies in the future and the state is given up.

    A source that goes on from a moment that has not come would find nothing new for as long as it takes. So the whole
    state of the resource is forgotten and everything is read again; merging makes that harmless.

    Args:
        state: the resource's dlt state; emptied when its cursor is not believed.
        key: name of the cursor: Unix seconds, or an ISO 8601 text (without a zone: UTC).
        now: the loading time.
    """
    cursor = state.get(key)
    if cursor is None or _moment(cursor) <= now + _TOLERANCE:
        return cursor
    state.clear()
    return None


def _moment(cursor: Any) -> datetime:
    if isinstance(cursor, int):
        try:
            return datetime.fromtimestamp(cursor, UTC)
        except (OverflowError, ValueError, OSError):
            return datetime.max.replace(tzinfo=UTC)
    moment = datetime.fromisoformat(cursor)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
