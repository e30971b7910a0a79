"""Plans applied to a real Tryton, by workers that live and by workers that are killed."""

import itertools
import multiprocessing
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from retail_assets.accounting.plan import Books
from retail_assets.accounting.posting import PostingResult, PostingStoppedError, apply
from retail_assets.accounting.verify import verify
from retail_assets.erp.protocol import ErpUnavailable
from retail_assets.ops import outbox
from tests.accounting.killed_tryton import STEPS, work
from tests.accounting.ledgers import EURO_BOOKS, NOW, euros, plan_for
from tests.erp.tryton import TrytonErp, booked
from tests.support.tryton import COMPANY

KILLS = 200
ENTRIES = ("a", "b", "c", "d")
FAULTS = (*[None] * 15, "lost", "answer lost", 502, 503, "twice")
QUIET: dict[str, Any] = {"now": NOW, "actor": "ann", "run_id": "run", "pause": lambda _: None}


def post(engine: Engine, erp: TrytonErp, wanted: Mapping[str, str], books: Books = EURO_BOOKS) -> PostingResult:
    return apply(plan_for(engine, euros(wanted), books), engine, erp.poster, **QUIET)


def of_test(name: str, totals: Mapping[str, Any]) -> dict[str, Any]:
    return {entry_id: total for entry_id, total in totals.items() if entry_id.startswith(f"{name}/")}


def keys_at_erp(erp: TrytonErp, name: str) -> Counter[tuple[str, str]]:
    """How many moves hold each key of a test, in which state."""
    ours = erp.moves(["platform_ref", "like", f"{name}/%"])
    return Counter((move["platform_ref"], move["state"]) for move in ours)


def test_a_ledger_changes_and_a_period_closes(sqlite_store: Engine, tryton_erp: TrytonErp) -> None:
    """The life of an entry: posted, changed, withdrawn, after the close in the first open period; always attested."""
    wanted = {f"life/{number:02d}": "1" for number in range(60)}
    assert post(sqlite_store, tryton_erp, wanted).complete
    wanted |= {"life/00": "2", "life/01": "3"}
    del wanted["life/02"]
    assert post(sqlite_store, tryton_erp, wanted).complete
    call, context = tryton_erp.server.call, {"company": 1}
    end = [["start_date", "<", {"__class__": "date", "year": 2026, "month": 4, "day": 1}]]
    periods = call("model.account.period.search", end, 0, None, None, context)
    call("model.account.period.close", periods, context)
    wanted |= {"life/03": "4"}
    refused = post(sqlite_store, tryton_erp, wanted)
    assert [(item.outcome, item.posting_key) for item in refused.items] == [("rejected", "life/03#1!reversal")]
    assert "ClosedPeriod" in str(refused.items[0].message)
    until = tryton_erp.poster.books_closed_until(COMPANY)
    assert until == date(2026, 3, 31)
    april = Books("DE", "erp_main", COMPANY, "EUR", open_from=date(2026, 4, 1))
    assert post(sqlite_store, tryton_erp, wanted, april).complete
    assert of_test("life", booked(tryton_erp.server)) == {entry_id: int(amount) for entry_id, amount in wanted.items()}
    assert verify(sqlite_store, None, {"erp_main": tryton_erp.poster}) == []
    call("model.account.period.reopen", periods, context)
    journals = call("model.account.journal.period.search", [["period", "in", periods]], 0, None, None, context)
    call("model.account.journal.period.reopen", journals, context)


def test_a_document_that_is_gone_is_found(sqlite_store: Engine, tryton_erp: TrytonErp) -> None:
    """Nobody can delete a posted move in Tryton, but a database can be put back."""
    assert post(sqlite_store, tryton_erp, {"gone/1": "1"}).complete
    poster = tryton_erp.poster_with()
    poster.read_back = lambda documents: {}
    (problem,) = verify(sqlite_store, None, {"erp_main": poster})
    assert "gone from the ERP" in problem.message


class Killed(BaseException):
    """The process is gone: nothing of it may run any more, and nothing of it reaches the disk or the wire."""


class Mortal:
    """A worker that dies before its n-th I/O: a request, a statement, a commit. Whatever it still tries fails."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def step(self) -> None:
        """Called before each I/O."""
        self._left -= 1
        if self._left <= 0:
            raise Killed


class World:
    """An operations store and a Tryton that outlive their workers."""

    def __init__(self, engine: Engine, erp: TrytonErp, seed: int) -> None:
        self.engine, self.erp = engine, erp
        self.random = random.Random(seed)
        self.mortal = Mortal(10**9)
        self.in_flight: list[threading.Thread] = []
        self.kills = 0
        for name in ("before_cursor_execute", "commit"):
            event.listen(engine, name, lambda *_: self.mortal.step())
        # Power cuts are no part of this, and waiting for the disk is much of the time.
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA synchronous=OFF")

    def run(self, wanted: Mapping[str, str], steps: int, faults: list[Any]) -> None:
        """One worker, which dies before its I/O number ``steps``."""
        plan = plan_for(self.engine, euros(wanted), EURO_BOOKS)
        poster = self.erp.knowing(*faults, before=self.dying)
        # What the check is for has its own tests; here it would take half of the time.
        poster.check = list
        poster.batch_size = 2
        self.mortal = Mortal(steps)
        try:
            apply(plan, self.engine, poster, most_unavailable=4, **QUIET)
        except Killed:
            self.kills += 1
        except (PostingStoppedError, ErpUnavailable):
            pass
        finally:
            self.mortal = Mortal(10**9)

    def dying(self, request: Callable[[], Any]) -> None:
        """A worker may die with its request on the way: then nobody waits for what the ERP makes of it."""
        try:
            self.mortal.step()
        except Killed:
            if self.random.random() < 0.5:
                thread = threading.Thread(target=request)
                thread.start()
                self.in_flight.append(thread)
            raise

    def rest(self) -> None:
        """Until the ERP is done with what dead workers have sent."""
        while self.in_flight:
            self.in_flight.pop().join()


def test_killed_two_hundred_times(sqlite_store: Engine, tryton_erp: TrytonErp) -> None:
    """Goals 9 to 12: any worker may die anywhere, over a line that loses and doubles, and so may its successor."""
    world = World(sqlite_store, tryton_erp, seed=5)
    wanted: dict[str, str] = {}
    for attempt in itertools.count(1):
        if world.kills == KILLS:
            break
        for entry_id in world.random.sample(ENTRIES, world.random.randint(0, 3)):
            wanted[f"kill/{entry_id}"] = str(world.random.randint(1, 9))
        if wanted and world.random.random() < 0.3:
            del wanted[world.random.choice(sorted(wanted))]
        world.run(wanted, world.random.randint(1, 45), world.random.choices(FAULTS, k=30))
        if attempt % 50 == 0:
            _settle(world, wanted)
    _settle(world, wanted)


def _settle(world: World, wanted: Mapping[str, str]) -> None:
    world.rest()
    for _ in range(2):
        world.run(wanted, 10**9, [])
    assert plan_for(world.engine, euros(wanted), EURO_BOOKS).items == ()
    assert outbox.postings(world.engine, states=["sent"]) == []
    posted = outbox.postings(world.engine, states=["posted"])
    assert keys_at_erp(world.erp, "kill") == {(row.posting_key, "posted"): 1 for row in posted}
    books = {entry_id: int(amount) for entry_id, amount in wanted.items()}
    assert of_test("kill", booked(world.erp.server)) == books
    assert verify(world.engine, None, {"erp_main": world.erp.poster}) == []


@pytest.mark.parametrize("step", STEPS)
def test_killed_by_the_system(sqlite_store: Engine, tryton_erp: TrytonErp, tmp_path: Path, step: str) -> None:
    """What the dying in the test above means must be what SIGKILL does: to a process, its files and its locks."""
    name, anchor = f"sigkill {step}", tmp_path / "audit_head.json"
    before, after = {f"{name}/a": "1", f"{name}/b": "2"}, {f"{name}/a": "3", f"{name}/c": "4"}
    assert post(sqlite_store, tryton_erp, before).complete
    sqlite_store.dispose()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.accounting.killed_tryton"])
    url = f"sqlite:///{tmp_path / 'operations.sqlite'}"
    child = context.Process(target=work, args=(url, tryton_erp.server.url, str(anchor), after, step, 2))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert post(sqlite_store, tryton_erp, after).complete
    keys = {"a#1", "b#1", "a#1!reversal", "a#2", "b#1!reversal", "c#1"}
    assert keys_at_erp(tryton_erp, name) == {(f"{name}/{key}", "posted"): 1 for key in keys}
    assert of_test(name, booked(tryton_erp.server)) == {f"{name}/a": 3, f"{name}/c": 4}
    assert verify(sqlite_store, None, {"erp_main": tryton_erp.poster}) == []
