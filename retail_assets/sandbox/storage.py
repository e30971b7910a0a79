"""The state of the simulated systems: one SQLite file per store and gateway account, bodies as they are served."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

_BATCH: Final = 2_000

_STORE_TABLES: Final = """
create table orders (
  id integer, number text, status text, created integer, modified integer, customer integer, body text
);
create table refunds (id integer, parent_id integer, created integer, modified integer, body text);
create table documents (resource text, id integer, parent_id integer, created integer, modified integer, body text);
"""
_STORE_INDEXES: Final = """
create unique index orders_id on orders (id);
create index orders_modified on orders (modified);
create index orders_created on orders (created, id);
create unique index refunds_id on refunds (id);
create index refunds_parent on refunds (parent_id);
create unique index documents_id on documents (resource, id);
"""
_GATEWAY_TABLES: Final = """
create table balance_transactions (
  id text, created integer, type text, source text, currency text, net integer, available_on integer, slot integer,
  payout text, body text
);
create table charges (id text, created integer, payment_intent text, body text);
create table refunds (id text, created integer, charge text, payment_intent text, body text);
create table disputes (id text, created integer, charge text, payment_intent text, body text);
create table payouts (
  id text, created integer, arrival_date integer, status text, currency text, automatic integer,
  reconciliation_status text, body text
);
"""
_GATEWAY_INDEXES: Final = """
create unique index balance_transactions_id on balance_transactions (id);
create index balance_transactions_created on balance_transactions (created, id);
create index balance_transactions_payout on balance_transactions (payout, created, id);
create index balance_transactions_source on balance_transactions (source);
create unique index charges_id on charges (id);
create index charges_created on charges (created, id);
create index charges_intent on charges (payment_intent);
create unique index refunds_id on refunds (id);
create index refunds_created on refunds (created, id);
create index refunds_charge on refunds (charge);
create unique index disputes_id on disputes (id);
create unique index payouts_id on payouts (id);
create index payouts_created on payouts (created, id);
"""

# Decimals become JSON numbers: the few numbers of WooCommerce that are no strings, and Stripe's exchange rates.
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def encode(body: Any) -> str:
    """A body as compact JSON."""
    return _ENCODER.encode(body).decode()


class StateFile:
    """A state file being written, in batches.

    Args:
        path: the file; it must not exist yet.
        tables: statements that create the tables.
        indexes: statements that create the indexes, run after all rows are in.
    """

    def __init__(self, path: Path, tables: str, indexes: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        # The file is thrown away if writing it fails, so nothing needs to survive a crash.
        self._connection.execute("pragma journal_mode = off")
        self._connection.execute("pragma synchronous = off")
        self._connection.execute("begin")
        for statement in tables.split(";"):
            if statement.strip():
                self._connection.execute(statement)
        self._indexes = indexes
        self._rows: dict[str, list[tuple[Any, ...]]] = {}

    def add(self, table: str, *values: Any) -> None:
        """Append one row; ``table`` is one of the names in the statements."""
        rows = self._rows.setdefault(table, [])
        rows.append(values)
        if len(rows) >= _BATCH:
            self._flush(table)

    def _flush(self, table: str) -> None:
        rows = self._rows.get(table)
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self._connection.executemany(f"insert into {table} values ({marks})", rows)  # noqa: S608 (our own names)
            rows.clear()

    def execute(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run a statement for each of ``rows``, after everything added so far."""
        for table in self._rows:
            self._flush(table)
        self._connection.executemany(statement, rows)

    def close(self) -> None:
        """Write what is left, build the indexes and close the file."""
        for table in self._rows:
            self._flush(table)
        for statement in self._indexes.split(";"):
            if statement.strip():
                self._connection.execute(statement)
        self._connection.execute("commit")
        self._connection.close()

    def abandon(self) -> None:
        """Close the file without finishing it."""
        self._connection.close()


@contextmanager
def _writing(path: Path, tables: str, indexes: str) -> Iterator[StateFile]:
    file = StateFile(path, tables, indexes)
    try:
        yield file
    except BaseException:
        file.abandon()
        raise
    file.close()


def store_file(path: Path) -> Any:
    """Context manager: a new state file of a store."""
    return _writing(path, _STORE_TABLES, _STORE_INDEXES)


def gateway_file(path: Path) -> Any:
    """Context manager: a new state file of a gateway account."""
    return _writing(path, _GATEWAY_TABLES, _GATEWAY_INDEXES)


def open_state(path: Path) -> sqlite3.Connection:
    """A read-only connection to a state file, usable from any thread.

    Raises:
        FileNotFoundError: the world was not generated.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; generate the simulated retailer first")
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


@contextmanager
def change_state(path: Path) -> Iterator[sqlite3.Connection]:
    """A writing connection to a state file in one transaction, for faults planted later."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; generate the simulated retailer first")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.row_factory = sqlite3.Row
        yield connection
