"""Reading again: cursors go back in the form that they have, and never forward."""

from datetime import UTC, datetime
from typing import Any

import pytest

from retail_assets.sources.rewind import put_back

SINCE = datetime(2026, 10, 1, tzinfo=UTC)
UNIX = int(SINCE.timestamp())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"created": UNIX + 5}, {"created": UNIX}),
        ({"created": UNIX - 5}, {"created": UNIX - 5}),
        ({"modified": "2026-10-05 10:00:00.123456"}, {"modified": "2026-10-01 00:00:00.000000"}),
        ({"modified_after": "2026-10-05T10:00:00+00:00"}, {"modified_after": "2026-10-01T00:00:00+00:00"}),
        ({"newest": "2026-10-05 10:00:00"}, {"newest": "2026-10-01 00:00:00"}),
        ({"payout_date": "2026-09-05"}, {"payout_date": "2026-09-05"}),
        ({"payout_date": "2026-10-05"}, {"payout_date": "2026-10-01"}),
        ({"files": {"a": "b"}, "versions": {"r": ["2026-10-05"]}}, {"files": {}, "versions": {"r": ["2026-10-05"]}}),
        ({"highest_id": 1_800_000_000}, {"highest_id": 1_800_000_000}),
        ({"modified": None}, {"modified": None}),
    ],
)
def test_a_cursor_goes_back_in_its_own_form(before: dict[str, Any], after: dict[str, Any]) -> None:
    """A cursor in another form would be compared as text and skip records, or read nothing at all."""
    put_back(before, SINCE)
    assert before == after
