"""Where Dagster keeps runs, events and schedules: in files of one home, or for a team in the database of operations.

``dagster.yaml`` names this class, so that it is one file for both. ``RETAIL_DAGSTER_STORAGE`` says which; commands set
it from ``operations.url``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dagster import StringSource
from dagster._core.storage.base_storage import DagsterStorage  # noqa: TID251 - what dagster.yaml may name is made of it
from dagster._core.storage.runs import SqliteRunStorage  # noqa: TID251
from dagster._core.storage.schedules import SqliteScheduleStorage  # noqa: TID251
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage  # noqa: TID251
from dagster._serdes import ConfigurableClassData
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from retail_assets.defs.event_log import PooledIndexEventLogStorage
from retail_assets.settings import dagster_storage_url

#: Dagster's tables have a schema of their own: alembic_version is the name of one of the operations store's, too.
SCHEMA: Final = "dagster"
#: The one that dagster-postgres is written for; SQLAlchemy 2.1 would take another by itself.
_DRIVER: Final = "postgresql+psycopg2"
_MOST_CONNECTIONS: Final = 20
_CONNECTIONS_KEPT_SECONDS: Final = 3600
_LOCK: Final = 0x7265746169  # Any number of ours: two processes that begin at once must not both make the tables.


class HomeStorage(DagsterSqliteStorage):
    """SQLite files where Dagster itself would put them, with an event log that keeps its index open."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self.base_dir = base_dir
        history = Path(base_dir, "history")
        self._run_storage = SqliteRunStorage.from_local(str(history))
        self._event_log_storage = PooledIndexEventLogStorage(str(history / "runs"))
        self._schedule_storage = SqliteScheduleStorage.from_local(str(Path(base_dir, "schedules")))
        self._inst_data = inst_data
        DagsterStorage.__init__(self)

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Where Dagster's instance lives."""
        return {"dagster_home": StringSource}

    @classmethod
    def from_config_value(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> DagsterStorage:
        """Made by Dagster, from ``dagster.yaml``: this, or Postgres if that is what the environment says."""
        url = dagster_storage_url()
        if url is None:
            Path(config_value["dagster_home"]).mkdir(parents=True, exist_ok=True)
            return cls(config_value["dagster_home"], inst_data)
        return _postgres_storage(make_url(url), inst_data)


def _postgres_storage(url: URL, inst_data: ConfigurableClassData | None) -> DagsterStorage:
    try:
        from dagster_postgres import DagsterPostgresStorage
    except ImportError as error:
        raise RuntimeError(
            "operations.url names Postgres, which needs what requirements-team.lock lists: pip install "
            "'retail-assets[postgres]'"
        ) from error
    options = " ".join(filter(None, [str(url.query.get("options", "")), f"-csearch_path={SCHEMA}"]))
    url = url.set(drivername=_DRIVER).update_query_dict({"options": options})
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        known = text("SELECT 1 FROM information_schema.schemata WHERE schema_name = :name")
        if connection.execute(known, {"name": SCHEMA}).one_or_none() is None:
            connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        # The lock ends with the connection.
        storage = DagsterPostgresStorage(url.render_as_string(hide_password=False), inst_data=inst_data)
    # It would open a connection for each statement, three and more for each of a build's 1,600 events.
    pooled = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        max_overflow=_MOST_CONNECTIONS,
        pool_pre_ping=True,
        pool_recycle=_CONNECTIONS_KEPT_SECONDS,
    )
    for part in (storage.run_storage, storage.event_log_storage, storage.schedule_storage):
        part._engine = pooled  # pyright: ignore[reportAttributeAccessIssue]
    return storage
