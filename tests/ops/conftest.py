"""Operations stores to test with: SQLite files, and databases on a real Postgres."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from retail_assets.ops.store import open_store


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new operations store, once on each database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'operations.sqlite'}"
    return request.getfixturevalue("postgres")()


@pytest.fixture
def store(store_url: str) -> Iterator[Engine]:
    """A new operations store, once on each database."""
    engine = open_store(store_url)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Engine]:
    """A new operations store in a SQLite file."""
    engine = open_store(f"sqlite:///{tmp_path / 'operations.sqlite'}")
    yield engine
    engine.dispose()
