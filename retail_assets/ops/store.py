"""Opening the operations store: connections, durability, migrations and locks, for SQLite and Postgres alike."""

import fcntl
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from retail_assets.ops import migrations

_BUSY_TIMEOUT_MS: Final = 30_000
_CONNECTION_WAIT_SECONDS: Final = 60
_LOCK_POLL_SECONDS: Final = 0.02
_READ_ONLY: Final = "retail_read_only"


class StoreError(Exception):
    """The operations store cannot be used as it is; the message says what to do."""


class StoreTooNewError(StoreError):
    """The store was migrated by a newer release than this one."""


class LockHeldError(StoreError):
    """Somebody else holds the lock."""


def open_store(url: str) -> Engine:
    """Open the operations store, creating and migrating it as needed; dispose of the engine when done.

    A SQLite store is a file (mode 0600) in WAL mode with synchronous FULL: a transaction that returned has reached the
    disk. It has one connection for each engine, so that one process never writes through two at once.

    Args:
        url: SQLAlchemy URL, ``sqlite:////path/operations.sqlite`` or ``postgresql+psycopg://…``.

    Raises:
        StoreTooNewError: the store belongs to a newer release.
        StoreError: the URL names neither a SQLite file nor Postgres.
    """
    parsed = make_url(url)
    dialect = parsed.get_backend_name()
    if dialect == "sqlite":
        engine = _sqlite_engine(parsed)
    elif dialect == "postgresql":
        engine = create_engine(parsed, pool_pre_ping=True)
    else:
        raise StoreError(f"operations.url names {dialect!r}: use sqlite:///<file> or postgresql+psycopg://…")
    try:
        if _revision(engine) != migrations.HEAD:
            migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to ``revision`` (``head``, ``base`` or an id), up or down, in one transaction.

    Raises:
        StoreTooNewError: the store is at a revision that this release does not know; migrations only go forward.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _lock_number("migrate")})
        current = _current_revision(connection)
        if current is not None and current not in known:
            raise StoreTooNewError(
                f"the operations store is at revision {current}, which this release ({migrations.HEAD}) does not "
                "know: it was written by a newer release; upgrade retail-assets, or restore the "
                "backup made before that upgrade"
            )
        config.attributes["connection"] = connection
        steps_down = revision == "base" or (revision in known and current is not None and revision < current)
        (command.downgrade if steps_down else command.upgrade)(config, revision)


def bound_waits(engine: Engine, seconds: int) -> None:
    """Have whoever uses this engine wait so long at most: for another writer, for a statement, for the server.

    What takes longer fails as if the store were down. Connections that it has are given back first.
    """
    is_sqlite = engine.dialect.name == "sqlite"

    def connecting(_: Any, __: Any, ___: Any, parameters: dict[str, Any]) -> None:
        parameters.setdefault("connect_timeout", seconds)
        # A server that vanished, and not only hangs: nobody answers any more.
        parameters.setdefault("tcp_user_timeout", seconds * 1000)

    def connected(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        name = "PRAGMA busy_timeout" if is_sqlite else "SET statement_timeout"
        cursor.execute(f"{name} = {seconds * 1000}")
        cursor.close()
        if not is_sqlite:
            # It would go with the transaction that it was set in.
            connection.commit()

    engine.dispose()
    if not is_sqlite:
        event.listen(engine, "do_connect", connecting)
    event.listen(engine, "connect", connected)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that may write; committed at the end, rolled back on an exception."""
    with engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One transaction that only reads and, on SQLite, keeps no writer out."""
    with engine.connect().execution_options(**{_READ_ONLY: True}) as connection:
        yield connection


@contextmanager
def exclusive(engine: Engine, name: str, *, wait_seconds: float = 0) -> Iterator[None]:
    """Hold the lock ``name`` of this store; it ends with the process that holds it, however that process ends.

    That is why it needs no time-out: whoever gets it knows that the last holder is gone. On SQLite it is a lock on a
    file beside the database, on Postgres a session's advisory lock (which needs a direct connection, or a pooler in
    session mode).

    Raises:
        LockHeldError: another worker held it for ``wait_seconds``.
    """
    deadline = time.monotonic() + wait_seconds
    holder = (
        _file_lock(engine, name, deadline)
        if engine.dialect.name == "sqlite"
        else _advisory_lock(engine, name, deadline)
    )
    with holder:
        yield


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], update: Mapping[str, Any]) -> None:
    """Insert rows; where the primary key exists, set ``update`` instead (``excluded`` names: see ``excluded``)."""
    if not rows:
        return
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table)
    statement = statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={name: statement.excluded[name] if value is EXCLUDED else value for name, value in update.items()},
    )
    connection.execute(statement, [dict(row) for row in rows])


#: In ``upsert``: take the value of the row that was to be inserted.
EXCLUDED: Final = object()


def _sqlite_engine(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise StoreError("operations.url names no file: an operations store in memory would forget what was posted")
    path = Path(url.database)
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives the -wal and -shm files the mode of the database, so it is made before SQLite sees it.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=_CONNECTION_WAIT_SECONDS,
        connect_args={"check_same_thread": False, "timeout": _BUSY_TIMEOUT_MS / 1000},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver's own transaction handling would commit before DDL and begin too late; we say BEGIN ourselves.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    _write_ahead(cursor)
    for pragma in (
        "synchronous=FULL",
        "foreign_keys=ON",
        "recursive_triggers=ON",
        "trusted_schema=OFF",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _write_ahead(cursor: DBAPICursor | sqlite3.Cursor) -> None:
    # The busy timeout does not hold for this: of two processes that open a new store at once, one fails at once.
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_LOCK_POLL_SECONDS)


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once: a deferred transaction that reads first can fail when it comes to write.
    connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get(_READ_ONLY) else "BEGIN IMMEDIATE")


def _revision(engine: Engine) -> str | None:
    with reading(engine) as connection:
        return _current_revision(connection)


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _lock_number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"retail_assets:{name}".encode()).digest()[:8], signed=True)


@contextmanager
def _file_lock(engine: Engine, name: str, deadline: float) -> Iterator[None]:
    safe_name = "".join(letter if letter.isalnum() else "_" for letter in name)
    path = Path(f"{engine.url.database}.{safe_name}.lock")
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _wait_or_give_up(name, deadline)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _advisory_lock(engine: Engine, name: str, deadline: float) -> Iterator[None]:
    key = {"key": _lock_number(name)}
    # Autocommit: the connection stays open for as long as the lock is held, a transaction would keep vacuum away.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), key).scalar_one():
            _wait_or_give_up(name, deadline)
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)


def _wait_or_give_up(name: str, deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise LockHeldError(f"another process is busy with {name}: wait for it to end, then run this again")
    time.sleep(_LOCK_POLL_SECONDS)
