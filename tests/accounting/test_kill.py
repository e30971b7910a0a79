"""Kill the worker anywhere, run again: the ERP holds what an undisturbed run would have left."""

import multiprocessing
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from retail_assets.accounting.posting import apply
from retail_assets.accounting.verify import verify
from retail_assets.ops import outbox
from retail_assets.ops.store import open_store
from tests.accounting.killed import STEPS, work
from tests.accounting.ledgers import NOW, amounts, booked, keys_at_erp, plan_for
from tests.erp.books import Erp

BEFORE = {"a": "1", "b": "2"}
AFTER = {"a": "3", "c": "4"}
KEYS = {"a#1", "b#1", "a#1!reversal", "a#2", "b#1!reversal", "c#1"}


def kill_at(step: str, nth: int, store_url: str, erp: Erp, anchor: Path) -> None:
    # A server that forks: each child is there at once, and none inherits the threads of the tests.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.accounting.killed"])
    child = context.Process(target=work, args=(store_url, erp.url, str(anchor), AFTER, step, nth))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL


def run(engine: Engine, erp: Erp, wanted: dict[str, str], anchor: Path) -> None:
    plan = plan_for(engine, amounts(wanted))
    assert apply(
        plan, engine, erp.poster, now=NOW, actor="ann", run_id="run", anchor_path=anchor, pause=lambda _: None
    ).complete


def assert_as_if_nothing_had_happened(engine: Engine, erp: Erp, anchor: Path) -> None:
    assert keys_at_erp(erp.app.state.site) == dict.fromkeys(KEYS, 1)
    assert booked(erp.app.state.site) == {"a": 3, "c": 4}
    assert {(row.posting_key, row.state) for row in outbox.postings(engine)} == {(key, "posted") for key in KEYS}
    assert verify(engine, anchor, {"erp_main": erp.poster}) == []
    assert plan_for(engine, amounts(AFTER)).items == ()


@pytest.mark.parametrize("step", STEPS)
def test_killed_on_sqlite(sqlite_store: Engine, erp: Erp, tmp_path: Path, step: str) -> None:
    """Between the reversal and the new revision of one entry, where a second or a missing document would show."""
    anchor = tmp_path / "exports" / "audit_head.json"
    run(sqlite_store, erp, BEFORE, anchor)
    sqlite_store.dispose()
    once = step in {"after the commit", "before the anchor", "in the middle of the anchor"}
    kill_at(step, 1 if once else 2, f"sqlite:///{tmp_path / 'operations.sqlite'}", erp, anchor)
    run(sqlite_store, erp, AFTER, anchor)
    assert_as_if_nothing_had_happened(sqlite_store, erp, anchor)


@pytest.mark.parametrize("step", ["after the claim", "before the request leaves", "after the ERP committed"])
def test_killed_on_postgres(postgres: Callable[..., str], erp: Erp, tmp_path: Path, step: str) -> None:
    """The lock of a killed worker ends with its session, and its claims pass to the next one."""
    url, anchor = postgres(), tmp_path / "audit_head.json"
    engine = open_store(url)
    run(engine, erp, BEFORE, anchor)
    kill_at(step, 2, url, erp, anchor)
    run(engine, erp, AFTER, anchor)
    assert_as_if_nothing_had_happened(engine, erp, anchor)
    engine.dispose()


def test_killed_again_and_again(sqlite_store: Engine, erp: Erp, tmp_path: Path) -> None:
    """Every attempt to go on may die as well."""
    anchor = tmp_path / "audit_head.json"
    run(sqlite_store, erp, BEFORE, anchor)
    sqlite_store.dispose()
    for step in ("after the claim", "after the ERP committed", "before the read-back", "audit written, not committed"):
        kill_at(step, 1, f"sqlite:///{tmp_path / 'operations.sqlite'}", erp, anchor)
    run(sqlite_store, erp, AFTER, anchor)
    assert_as_if_nothing_had_happened(sqlite_store, erp, anchor)
