"""Dagster's event log in SQLite, without opening, compiling and syncing anew for each of its statements.

A build tells some 1,600 events, and most go into two files. That was half of what a build costs this process.
``retail_assets.defs.storage`` uses it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Final

from dagster._core.storage.event_log import SqliteEventLogStorage  # noqa: TID251 - there is no public one
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

_INDEX: Final = "index"
_BUSY_TIMEOUT_SECONDS: Final = 30
_MOST_ENGINES: Final = 16


class PooledIndexEventLogStorage(SqliteEventLogStorage):
    """Keeps the index open; each run's own file is opened and closed, since the UI waits for it to change."""

    @cached_property
    def _engines(self) -> dict[str, Engine]:
        return {}

    def _engine(self, shard: str) -> Engine:
        """One engine a file, for its compiled statements; only the index, which all runs share, is kept open."""
        if shard not in self._engines:
            while len(self._engines) >= _MOST_ENGINES:
                self._engines.pop(next(name for name in self._engines if name != _INDEX))
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=None if shard == _INDEX else NullPool,
                connect_args={"timeout": _BUSY_TIMEOUT_SECONDS},
            )
            event.listen(engine, "connect", _sync_at_checkpoints)
            self._engines[shard] = engine
        return self._engines[shard]

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def dispose(self) -> None:
        """Close what is open."""
        super().dispose()
        for engine in self._engines.values():
            engine.dispose()


def _sync_at_checkpoints(connection: sqlite3.Connection, _: object) -> None:
    """Not at each event: should the machine itself go down, the last ones are lost, the file stays whole.

    Dagster's log is no evidence; that is in the operations store. A gate that lacks an event stays shut.
    """
    connection.execute("PRAGMA synchronous=NORMAL")
