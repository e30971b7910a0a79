"""Plans applied to Odoo and to files: killed at every change, with lost answers, in locked periods."""

import csv
import multiprocessing
import signal
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from retail_assets.accounting.posting import PostingResult, apply
from retail_assets.accounting.verify import verify
from retail_assets.erp.factory import poster_for
from retail_assets.erp.odoo_client import OdooClient
from retail_assets.ops import outbox
from retail_assets.settings import instance_of
from tests.accounting.ledgers import BOOKS, NOW, amounts, plan_for
from tests.erp.killed import work
from tests.erp.odoo_site import Odoo, block_for, running_odoo
from tests.ops.conftest import sqlite_store

__all__ = ["sqlite_store"]

BEFORE = {"a": "1", "b": "2"}
AFTER = {"a": "3", "c": "4"}
KEYS = {"a#1", "b#1", "a#1!reversal", "a#2", "b#1!reversal", "c#1"}

Entries = list[tuple[str, Decimal]]


@dataclass(frozen=True)
class Ground:
    """An ERP to post to: its block of retail.yaml, and (key, debits less credits of the fees) of all it holds."""

    block: dict[str, Any]
    entries: Callable[[], Entries]


@pytest.fixture(scope="module")
def server() -> Iterator[Odoo]:
    with running_odoo() as odoo:
        yield odoo


@pytest.fixture
def odoo(server: Odoo) -> Odoo:
    return server.renewed()


@pytest.fixture
def odoo_ground(odoo: Odoo) -> Ground:
    def entries() -> Entries:
        ours = odoo.data.records["ir.model.data"].values()
        keys = {record["res_id"]: record["name"] for record in ours}
        fees = odoo.ids["6100"]
        return [
            (
                keys[move["id"]],
                sum((_dollars(each) for each in odoo.lines(move["id"]) if each["account_id"] == fees), Decimal(0)),
            )
            for move in odoo.moves()
            if move["state"] == "posted" or odoo.lines(move["id"])
        ]

    return Ground(block_for(odoo.url), entries)


def _dollars(line: dict[str, Any]) -> Decimal:
    return Decimal(str(line["debit"])) - Decimal(str(line["credit"]))


@pytest.fixture
def file_ground(tmp_path: Path) -> Ground:
    folder = tmp_path / "files"
    folder.mkdir()

    def entries() -> Entries:
        fees: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for path in folder.glob("0*.csv"):
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    fee = Decimal(row["debit"]) - Decimal(row["credit"]) if row["account_code"] == "6100" else 0
                    fees[row["document"], row["posting_key"]] += fee
        return [(key, amount) for (_, key), amount in fees.items()]

    return Ground({"id": "erp_main", "system": "file", "folder": str(folder)}, entries)


def run(engine: Engine, ground: Ground, wanted: dict[str, str]) -> PostingResult:
    with closing(poster_for(instance_of("erps", ground.block))) as poster:
        plan = plan_for(engine, amounts(wanted))
        return apply(plan, engine, poster, now=NOW, actor="ann", run_id="run", pause=lambda _: None)


def kill(engine: Engine, ground: Ground, nth: int, *, after: bool) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.erp.killed"])
    store = engine.url.render_as_string(hide_password=False)
    child = context.Process(target=work, args=(store, ground.block, AFTER, nth, after))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL


def assert_each_entry_exactly_once(engine: Engine, ground: Ground) -> None:
    entries = ground.entries()
    assert Counter(key for key, _ in entries) == dict.fromkeys(KEYS, 1)
    booked: dict[str, Decimal] = defaultdict(Decimal)
    for key, amount in entries:
        booked[key.partition("#")[0]] += amount
    assert booked == {"a": 3, "b": 0, "c": 4}
    assert {(row.posting_key, row.state) for row in outbox.postings(engine)} == {(key, "posted") for key in KEYS}
    with closing(poster_for(instance_of("erps", ground.block))) as poster:
        assert verify(engine, None, {"erp_main": poster}) == []
    assert plan_for(engine, amounts(AFTER)).items == ()


def killed_and_resumed(engine: Engine, ground: Ground, nth: int, *, after: bool) -> None:
    assert run(engine, ground, BEFORE).complete
    engine.dispose()
    kill(engine, ground, nth, after=after)
    assert run(engine, ground, AFTER).complete
    assert_each_entry_exactly_once(engine, ground)


# Two batches: two reversals and a new entry (load, three times write, action_post), then the entry whose first revision
# is reversed (load, write, action_post).
@pytest.mark.parametrize("nth", range(9))
def test_killed_between_the_calls_to_odoo(sqlite_store: Engine, odoo_ground: Ground, nth: int) -> None:
    """A claim without lines is filled, a draft with lines is posted, a posted entry is adopted."""
    killed_and_resumed(sqlite_store, odoo_ground, max(nth, 1), after=nth > 0)


# A batch is its file, then its manifest.
@pytest.mark.parametrize("nth", range(5))
def test_killed_between_the_files(sqlite_store: Engine, file_ground: Ground, nth: int) -> None:
    """A file that was not announced must not be there a second time under another number."""
    killed_and_resumed(sqlite_store, file_ground, max(nth, 1), after=nth > 0)


def test_killed_again_and_again(sqlite_store: Engine, odoo_ground: Ground) -> None:
    """Every attempt to go on may die as well."""
    assert run(sqlite_store, odoo_ground, BEFORE).complete
    sqlite_store.dispose()
    for nth in (1, 3, 2, 1):
        kill(sqlite_store, odoo_ground, nth, after=True)
    assert run(sqlite_store, odoo_ground, AFTER).complete
    assert_each_entry_exactly_once(sqlite_store, odoo_ground)


@pytest.mark.parametrize("method", ["load", "write", "action_post"])
@pytest.mark.parametrize("at", ["before_commit", "after_commit"])
@pytest.mark.parametrize("action", [{"action": "drop"}, {"action": "status", "status": 504}])
def test_lost_answers(
    sqlite_store: Engine, odoo: Odoo, odoo_ground: Ground, method: str, at: str, action: dict[str, Any]
) -> None:
    """One run gets along with answers that are lost at any step, once or several times."""
    assert run(sqlite_store, odoo_ground, BEFORE).complete
    odoo.fault(f"account.move.{method}", at=at, times=2, **action)
    assert run(sqlite_store, odoo_ground, AFTER).complete
    assert_each_entry_exactly_once(sqlite_store, odoo_ground)
    assert odoo.app.state.faults.waiting == []


def test_one_bad_entry_stops_no_other(sqlite_store: Engine, odoo: Odoo, odoo_ground: Ground) -> None:
    """A batch is all or nothing at Odoo; the one that is refused is found, and leaves nothing there."""
    ledger = amounts({"a": "1", "b": "2", "c": "3", "d": "4"})
    bad = [replace(line, account_code="9999") for line in ledger[2].lines]
    ledger[2] = replace(ledger[2], lines=tuple(bad))
    with closing(poster_for(instance_of("erps", odoo_ground.block))) as poster:
        plan = plan_for(sqlite_store, ledger)
        result = apply(plan, sqlite_store, poster, now=NOW, actor="ann", run_id="run", pause=lambda _: None)
    outcomes = {item.posting_key: item.outcome for item in result.items}
    assert outcomes == {"a#1": "posted", "b#1": "posted", "c#1": "rejected", "d#1": "posted"}
    assert "no open account with the code 9999" in (result.problems[0].message or "")
    assert sorted(key for key, _ in odoo_ground.entries()) == ["a#1", "b#1", "d#1"]
    assert len(odoo.moves()) == 3


def test_a_locked_period(sqlite_store: Engine, odoo: Odoo, odoo_ground: Ground) -> None:
    """Refused where the plan dates it into the lock, posted on the first open day when the plan knows of it."""
    odoo.lock(fiscalyear_lock_date="2026-03-31")
    result = run(sqlite_store, odoo_ground, BEFORE)
    assert {item.outcome for item in result.items} == {"rejected"}
    assert odoo.moves() == []
    open_books = replace(BOOKS, open_from=date(2026, 4, 1))
    with closing(poster_for(instance_of("erps", odoo_ground.block))) as poster:
        plan = plan_for(sqlite_store, amounts(BEFORE), open_books)
        assert apply(plan, sqlite_store, poster, now=NOW, actor="ann", run_id="run").complete
        documents = poster.look_up(["a#1", "b#1"]).values()
        dates = {document.posting_date for document in poster.read_back(list(documents)).values()}
    assert dates == {date(2026, 4, 1)}


def test_a_period_that_is_locked_in_the_middle(
    sqlite_store: Engine, odoo: Odoo, odoo_ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Odoo has moved the entry: it is reported as drift, and held until a person has dealt with it."""
    original = OdooClient.change

    def locked(self: OdooClient, model: str, method: str, *arguments: Any, **named: Any) -> Any:
        if method == "action_post":
            odoo.lock(fiscalyear_lock_date="2026-03-31")
        return original(self, model, method, *arguments, **named)

    monkeypatch.setattr(OdooClient, "change", locked)
    with closing(poster_for(instance_of("erps", odoo_ground.block))) as poster:
        plan = plan_for(sqlite_store, amounts({"a": "1"}))
        (item,) = apply(plan, sqlite_store, poster, now=NOW, actor="ann", run_id="run").items
    assert item.outcome == "drift"
    assert "posting_date: intended 2026-03-15, posted 2026-04-30" in (item.message or "")
    assert [held.entry_id for held in plan_for(sqlite_store, amounts({"a": "1"})).held] == ["a"]
