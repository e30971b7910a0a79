"""The intake killed under load."""

import pytest

from benchmarks.intake import killed

pytestmark = pytest.mark.slow


def test_what_was_acknowledged_outlives_the_process() -> None:
    """An event was acknowledged before it was on disk, and lost with the process. The bench kills it twenty times."""
    acked, missing = killed(2)
    assert acked > 50
    assert missing == 0
