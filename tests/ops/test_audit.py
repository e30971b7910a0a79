"""The audit chain: nobody edits the evidence quietly."""

import json
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DatabaseError

from retail_assets.ops import audit
from retail_assets.ops.audit import GENESIS, AnchorMismatchError
from retail_assets.ops.store import open_store, writing

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)


def fill(store: Engine, count: int, start: int = 1) -> None:
    with writing(store) as connection:
        for number in range(start, start + count):
            details = {"amount": Decimal("10.50"), "n": number, "text": 'ä\n\u2028 "x"'}
            audit.append(
                connection, at=NOW, actor="ann", action="posting.posted", subject=f"key#{number}", details=details
            )


def codes(store: Engine, anchor: Path | None = None) -> list[str]:
    return [problem.code for problem in audit.verify(store, anchor)]


def test_a_chain_that_nobody_touched(store: Engine, tmp_path: Path) -> None:
    """False alarms would be switched off."""
    fill(store, 5)
    anchor = tmp_path / "exports" / "audit_head.json"
    audit.write_anchor(store, anchor, now=NOW)
    fill(store, 2, start=6)
    assert codes(store, anchor) == []
    entries = list(audit.entries(store))
    assert (entries[0].previous_hash, entries[0].content()["amount"]) == (GENESIS, "10.5")
    assert [entry.seq for entry in audit.entries(store, subject="key#3")] == [3]


def test_triggers_refuse_changes(store: Engine) -> None:
    """Anyone with a database client could otherwise rewrite history in one statement."""
    fill(store, 2)
    statements = ["UPDATE audit_log SET actor = 'bob'", "DELETE FROM audit_log"]
    if store.dialect.name == "postgresql":
        statements.append("TRUNCATE audit_log")
    for statement in statements:
        with pytest.raises(DatabaseError, match="append-only"), writing(store) as connection:
            connection.execute(text(statement))
    assert codes(store) == []


EDITS: dict[str, tuple[str, set[str]]] = {
    "edit": ("UPDATE audit_log SET actor = 'bob' WHERE seq = 3", {"audit_entry_changed"}),
    "edit details": ("UPDATE audit_log SET details = '{}' WHERE seq = 5", {"audit_entry_changed"}),
    "delete": ("DELETE FROM audit_log WHERE seq = 3", {"audit_entry_missing"}),
    "delete the first": ("DELETE FROM audit_log WHERE seq = 1", {"audit_entry_missing"}),
    "insert": (
        "INSERT INTO audit_log SELECT 6, at, actor, action, subject, details, entry_hash, 'made up' FROM audit_log "
        "WHERE seq = 5",
        {"audit_entry_changed"},
    ),
    "reorder": (
        "UPDATE audit_log SET seq = CASE seq WHEN 2 THEN 103 WHEN 3 THEN 102 ELSE seq END;"
        "UPDATE audit_log SET seq = seq - 100 WHERE seq > 100",
        {"audit_chain_broken", "audit_entry_changed"},
    ),
    "cut the tail": ("DELETE FROM audit_log WHERE seq > 3", {"audit_tail_missing"}),
    "cut everything": ("DELETE FROM audit_log", {"audit_tail_missing"}),
}


@pytest.mark.parametrize("name", EDITS)
def test_tampering_is_found(sqlite_store: Engine, tmp_path: Path, name: str) -> None:
    """Someone who opens the file itself can drop the triggers; the chain and its anchor must still tell."""
    fill(sqlite_store, 5)
    anchor = tmp_path / "audit_head.json"
    audit.write_anchor(sqlite_store, anchor, now=NOW)
    sqlite_store.dispose()
    statements, expected = EDITS[name]
    with closing(sqlite3.connect(tmp_path / "operations.sqlite")) as connection:
        connection.executescript(f"DROP TRIGGER audit_log_no_update; DROP TRIGGER audit_log_no_delete; {statements};")
    assert set(codes(sqlite_store, anchor)) == expected


def test_a_chain_made_anew_is_found(sqlite_store: Engine, tmp_path: Path) -> None:
    """A forger who computes every hash again has a perfect chain; only the anchor knows it is not ours."""
    fill(sqlite_store, 3)
    anchor = tmp_path / "audit_head.json"
    audit.write_anchor(sqlite_store, anchor, now=NOW)
    forged = open_store(f"sqlite:///{tmp_path / 'forged.sqlite'}")
    fill(forged, 3, start=2)
    assert codes(forged) == []
    assert codes(forged, anchor) == ["audit_anchor_mismatch"]
    forged.dispose()


def test_yesterdays_copy_is_found_and_refused(sqlite_store: Engine, tmp_path: Path) -> None:
    """A restored backup lacks today's postings; going on with it would post them a second time."""
    fill(sqlite_store, 2)
    with closing(sqlite3.connect(tmp_path / "operations.sqlite")) as source:
        source.execute(f"VACUUM INTO '{tmp_path / 'yesterday.sqlite'}'")
    fill(sqlite_store, 2, start=3)
    anchor = tmp_path / "audit_head.json"
    audit.write_anchor(sqlite_store, anchor, now=NOW)
    yesterday = open_store(f"sqlite:///{tmp_path / 'yesterday.sqlite'}")
    assert codes(yesterday, anchor) == ["audit_tail_missing"]
    before = anchor.read_bytes()
    with pytest.raises(AnchorMismatchError, match="put back to an older copy"):
        audit.write_anchor(yesterday, anchor, now=NOW)
    assert anchor.read_bytes() == before
    yesterday.dispose()


def test_a_missing_or_broken_anchor_is_named(sqlite_store: Engine, tmp_path: Path) -> None:
    """Whoever cuts the tail would remove the anchor as well."""
    anchor = tmp_path / "audit_head.json"
    assert codes(sqlite_store, anchor) == []
    fill(sqlite_store, 1)
    assert codes(sqlite_store, anchor) == ["audit_anchor_missing"]
    anchor.write_text('{"seq": "one"}')
    assert codes(sqlite_store, anchor) == ["audit_anchor_unreadable"]
    with pytest.raises(AnchorMismatchError, match="restore it"):
        audit.require_anchor_holds(sqlite_store, anchor)


def test_the_anchor_file(sqlite_store: Engine, tmp_path: Path) -> None:
    """A half-written anchor would look like tampering; others on the machine must not change it."""
    anchor = tmp_path / "exports" / "audit_head.json"
    fill(sqlite_store, 3)
    head = audit.write_anchor(sqlite_store, anchor, now=NOW)
    content = json.loads(anchor.read_text())
    assert content == {"seq": 3, "entry_hash": head.entry_hash, "at": "2026-11-05T12:00:00.000000Z"}
    assert stat.S_IMODE(anchor.stat().st_mode) == 0o600
    assert [path.name for path in anchor.parent.iterdir()] == ["audit_head.json"]


def test_writers_take_turns(store: Engine, store_url: str) -> None:
    """Two entries on one predecessor would fork the chain."""
    failures: list[BaseException] = []

    def write(make: Callable[[], Engine]) -> None:
        engine = make()
        try:
            for number in range(10):
                fill(engine, 1, start=number)
        except BaseException as error:  # noqa: BLE001 -- shown below
            failures.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=write, args=(lambda: open_store(store_url),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(list(audit.entries(store))) == 30
    assert codes(store) == []


def test_a_rolled_back_change_leaves_no_entry(store: Engine) -> None:
    """Evidence of something that never happened is as bad as none of what did."""
    fill(store, 1)
    connection = store.connect()
    audit.append(connection, at=NOW, actor="ann", action="x", subject="y", details={})
    connection.rollback()
    connection.close()
    fill(store, 1, start=2)
    assert [entry.seq for entry in audit.entries(store)] == [1, 2]


def test_checking_is_cheap(sqlite_store: Engine, record_property: Callable[[str, object], None]) -> None:
    """A check that takes hours is not run; the aim is a few seconds for each million entries."""
    fill(sqlite_store, 5_000)
    started = time.perf_counter()
    assert codes(sqlite_store) == []
    rate = 5_000 / (time.perf_counter() - started)
    record_property("entries_per_second", int(rate))
    assert rate > 20_000
