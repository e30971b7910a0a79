"""Dagster's event log in SQLite, with one connection to its index instead of one for every statement.

A build tells some 1,600 events, of which most go into the index that all runs share. Dagster opens that file, and
compiles each statement, anew every time: half of what a build costs this process. ``dagster.yaml`` names this class.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

from dagster import StringSource
from dagster._core.storage.event_log import SqliteEventLogStorage  # noqa: TID251 - so dagster.yaml names it, too
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine

_INDEX: Final = "index"
_BUSY_TIMEOUT_SECONDS: Final = 30


class PooledIndexEventLogStorage(SqliteEventLogStorage):
    """Keeps the index open; each run's own file is opened as before, since the UI watches it for changes."""

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """Where Dagster's instance lives; the files lie where Dagster itself would put them."""
        return {"dagster_home": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Made by Dagster, from ``dagster.yaml``."""
        return cls(str(Path(config_value["dagster_home"], "history", "runs")), inst_data)

    @cached_property
    def _index(self) -> Engine:
        return create_engine(self.conn_string_for_shard(_INDEX), connect_args={"timeout": _BUSY_TIMEOUT_SECONDS})

    @contextmanager
    def index_connection(self) -> Iterator[Connection]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A transaction on the index."""
        with self._db_lock, self._index.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close what is open."""
        super().dispose()
        self._index.dispose()
