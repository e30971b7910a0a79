"""Fixtures of the source tests."""

from pathlib import Path

import pytest

from tests.sources.loading import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    path = tmp_path / "home"
    path.mkdir()
    return Home(path)
