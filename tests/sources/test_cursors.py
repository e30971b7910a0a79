"""Cursors that lie in the future are given up."""

from datetime import UTC, datetime
from typing import Any

import pytest

from retail_assets.sources.cursors import believed

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize("cursor", ["2026-11-05T12:00:00", "2026-11-06 11:59:59.000001+00:00", 1_762_344_000])
def test_a_cursor_of_today_is_believed(cursor: Any) -> None:
    """A few hours of another time zone make the source read everything again."""
    state = {"at": cursor, "more": 1}
    assert believed(state, "at", NOW) == cursor
    assert state == {"at": cursor, "more": 1}


@pytest.mark.parametrize("cursor", ["3026-11-05T12:00:00+00:00", "2026-11-06 12:00:01", 33_319_296_000, 10**20])
def test_a_cursor_of_the_future_empties_the_state(cursor: Any) -> None:
    """A clock that was wrong once blinds the source, or what else it noted then is still believed."""
    state = {"at": cursor, "more": 1}
    assert believed(state, "at", NOW) is None
    assert state == {}


def test_no_cursor_is_the_first_load() -> None:
    """The first load was taken for a fault."""
    assert believed({"more": 1}, "at", NOW) is None
