"""Operations stores to test with: SQLite files, and databases on a real Postgres."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from retail_assets.ops.store import open_store
from tests.support.postgres import administer, running_postgres

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[..., str]]:
    """Makes an empty (or, by default, migrated) database and returns its URL."""
    with running_postgres() as url:

        def database(*, migrated: bool = True) -> str:
            name = f"operations_{next(_NUMBERS)}"
            administer(url, f"CREATE DATABASE {name}" + (" TEMPLATE migrated" if migrated else ""))
            return url.set(database=name).render_as_string(hide_password=False)

        administer(url, "CREATE DATABASE migrated")
        open_store(url.set(database="migrated").render_as_string(hide_password=False)).dispose()
        yield database


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
