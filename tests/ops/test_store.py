"""Opening, migrating and locking the operations store."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from retail_assets.ops import migrations
from retail_assets.ops.models import metadata
from retail_assets.ops.store import (
    LockHeldError,
    StoreError,
    StoreTooNewError,
    _write_ahead,  # pyright: ignore[reportPrivateUsage]
    exclusive,
    migrate,
    open_store,
    reading,
    writing,
)


def test_the_migrations_make_the_tables_of_the_models(store: Engine) -> None:
    """A column added to the models without a migration would fail in production only."""
    with reading(store) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_head_is_the_newest_migration() -> None:
    """A forgotten HEAD would leave stores one migration behind."""
    assert ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head() == migrations.HEAD


def test_down_and_up_again(store: Engine) -> None:
    """A migration that cannot be undone leaves no way back from a bad release."""
    migrate(store, "base")
    with reading(store) as connection:
        assert set(inspect(connection).get_table_names()) <= {"alembic_version"}
    migrate(store)
    with reading(store) as connection:
        assert set(metadata.tables) <= set(inspect(connection).get_table_names())


_EVIDENCE = {
    "replays": "INSERT INTO replays (replay_id, kind, subject, actor, reason, started_at, result, received, loaded, "
    "quarantined) VALUES ('r', 'order', 'cedar_us:1', 'ann', 'r', '2026-11-05 12:00:00', 'running', 0, 0, 0)",
    "actions on exceptions": "INSERT INTO exception_actions (audit_seq, exception_id, action, actor, acted_at, seen) "
    "VALUES (1, 'x', 'comment', 'ann', '2026-11-05 12:00:00', '{}')",
    "approvals of links": "INSERT INTO approvals (approval_id, kind, subject, entity_code, content_hash, summary, "
    "requested_by, requested_at) VALUES ('a', 'link', 'l', 'US', 'h', 's', 'ann', '2026-11-05 12:00:00')",
    "writes into stores' stock": "INSERT INTO stock_writes (write_id, store_id, product_id, sku, run_id, actor, "
    "before_quantity, target_quantity, state, sent_at) VALUES ('w', 's', 1, 'A', 'r', 'ann', '1', '2', 'sent', "
    "'2026-11-05 12:00:00')",
}


@pytest.mark.parametrize("name", _EVIDENCE)
def test_evidence_is_no_way_back(store: Engine, name: str) -> None:
    """A way back and up again dropped what the audit chain tells of: verify found contradictions for ever."""
    with writing(store) as connection:
        connection.execute(text(_EVIDENCE[name]))
    with pytest.raises(StoreError, match=f"cannot go back behind revision 000[67]: 1 {name} would be lost"):
        migrate(store, "0005")
    with reading(store) as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == migrations.HEAD
        table = _EVIDENCE[name].split()[2]
        assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 1


def test_a_newer_store_is_refused(store: Engine, store_url: str) -> None:
    """Old code on a new schema would write rows that the new code cannot read."""
    with writing(store) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.dispose()
    with pytest.raises(StoreTooNewError, match="upgrade retail-assets"):
        open_store(store_url)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://root@localhost/operations"])
def test_stores_that_forget_are_refused(url: str) -> None:
    """A store in memory would forget what was posted."""
    with pytest.raises(StoreError, match=r"operations\.url"):
        open_store(url)


def test_sqlite_is_durable_and_private(sqlite_store: Engine, tmp_path: Path) -> None:
    """Without FULL a power cut loses acknowledged postings; others on the machine must not read the payloads."""
    with reading(sqlite_store) as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("operations.sqlite*")}
    assert len(modes) >= 2
    assert set(modes.values()) == {0o600}


def test_a_failed_transaction_leaves_nothing(store: Engine) -> None:
    """A driver that commits by itself would keep half of a posting."""

    def fail() -> None:
        with writing(store) as connection:
            connection.execute(text("CREATE TABLE half (a INTEGER)"))
            raise RuntimeError("the second half")

    with pytest.raises(RuntimeError, match="second half"):
        fail()
    with reading(store) as connection:
        assert not inspect(connection).has_table("half")


def test_many_processes_may_open_a_new_store_at_once(tmp_path: Path, postgres: Callable[..., str]) -> None:
    """Two runs that start together must not both migrate, nor fail because the other does."""
    code = "import sys; from retail_assets.ops.store import open_store; open_store(sys.argv[1]).dispose()"
    for url in (f"sqlite:///{tmp_path / 'new.sqlite'}", postgres(migrated=False)):
        children = [subprocess.Popen([sys.executable, "-c", code, url], stderr=subprocess.PIPE) for _ in range(2)]
        assert [(child.wait(timeout=60), child.communicate()[1]) for child in children] == [(0, b"")] * 2


def test_nobody_loses_the_race_for_write_ahead(tmp_path: Path) -> None:
    """SQLite's own patience ends where a new file becomes write-ahead: of several who open it at once, one failed."""
    barrier = threading.Barrier(4)

    def opened(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            barrier.wait(timeout=30)
            _write_ahead(connection.cursor())
            connection.execute("CREATE TABLE IF NOT EXISTS one (a INTEGER)")

    with ThreadPoolExecutor(4) as pool:
        for number in range(200):
            list(pool.map(opened, [tmp_path / f"{number}.sqlite"] * 4))


def test_a_reader_keeps_no_writer_out(sqlite_store: Engine, tmp_path: Path) -> None:
    """A dashboard that reads would otherwise stop the posting."""
    other = open_store(f"sqlite:///{tmp_path / 'operations.sqlite'}")
    with reading(other) as connection:
        connection.execute(text("SELECT count(*) FROM audit_log")).scalar_one()
        with writing(sqlite_store) as writer:
            writer.execute(text("CREATE TABLE meanwhile (a INTEGER)"))
    other.dispose()


def test_a_lock_is_held_once(store: Engine, store_url: str) -> None:
    """Two workers posting for one entity could both send a document."""
    other = open_store(store_url)
    with exclusive(store, "posting-US"):
        with pytest.raises(LockHeldError, match="posting-US"), exclusive(other, "posting-US"):
            pass
        with exclusive(other, "posting-DE"):
            pass
    with exclusive(other, "posting-US"):
        pass
    other.dispose()


def test_waiting_for_a_lock(store: Engine, store_url: str) -> None:
    """The second of two runs that overlap should go on when the first is done, not fail."""
    other, held, release = open_store(store_url), threading.Event(), threading.Event()

    def hold() -> None:
        with exclusive(other, "posting-US"):
            held.set()
            release.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    threading.Timer(0.1, release.set).start()
    with exclusive(store, "posting-US", wait_seconds=10):
        assert release.is_set()
    thread.join()
    other.dispose()


def test_a_lock_ends_with_its_process(store: Engine, store_url: str) -> None:
    """A killed worker must not keep the next one out until some time-out passes."""
    code = (
        "import sys, time\n"
        "from retail_assets.ops.store import open_store, exclusive\n"
        "with exclusive(open_store(sys.argv[1]), 'posting-US'):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, store_url], stdout=subprocess.PIPE, env=dict(os.environ))
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    with pytest.raises(LockHeldError), exclusive(store, "posting-US"):
        pass
    child.kill()
    child.wait()
    child.stdout.close()
    with exclusive(store, "posting-US", wait_seconds=10):
        pass
