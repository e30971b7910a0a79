"""A simulated ERPNext for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.erp.books import Erp, running_erp


@pytest.fixture
def erp(tmp_path: Path) -> Iterator[Erp]:
    """A running site that is ready for posting."""
    with running_erp(tmp_path) as erp:
        yield erp
