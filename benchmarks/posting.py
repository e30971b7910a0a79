"""A plan of new entries into a real Tryton."""

import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, Final

import requests

from benchmarks.measure import ROUNDS, Result
from retail_assets.accounting.plan import Plan, plan_entity
from retail_assets.accounting.posting import apply
from retail_assets.ops.store import open_store
from tests.accounting.ledgers import EURO_BOOKS, header_row, ledger, line_row
from tests.erp.tryton import TrytonErp, running_erp
from tests.support.tryton import DATABASE, template

ENTRIES: Final = 1000
#: Of the loop that sends one at a time, which is slow enough to tell by fewer.
ONE_BY_ONE: Final = 100
_CACHE: Final = Path(__file__).resolve().parents[1] / ".pytest_cache" / "d" / "tryton"
_NOW: Final = datetime(2026, 11, 5, 12, tzinfo=UTC)
_CONTEXT: Final = {"company": 1}


def posting() -> Iterator[Result]:
    """Three lines each, through the outbox with all its proofs; against a loop that creates and posts and never looks.

    Both are given their entries ready to send: ours as a plan, the loop as Tryton's own values.
    """
    rounds: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory() as folder, running_erp(template(_CACHE), Path(folder)) as erp:
        bare = _Bare(erp)
        for number in range(ROUNDS + 1):
            ours = _per_entry(ENTRIES, _plan_applied(erp, Path(folder), number))
            batches = _per_entry(ENTRIES, bare.work(ENTRIES, erp.poster.batch_size))
            singly = _per_entry(ONE_BY_ONE, bare.work(ONE_BY_ONE, 1))
            rounds.append((ours, batches, singly))
    # The first round warms Tryton's caches.
    rounds = rounds[1:]
    per_second = 1 / median(ours for ours, _, _ in rounds)
    size = f"Tryton, batches of {erp.poster.batch_size}"
    yield Result("posting", per_second, "entries/s", f"bare client on the same {size}", _ratio(rounds, 1))
    yield Result("posting_one_by_one", per_second, "entries/s", "bare client, one by one", _ratio(rounds, 2))


def _ratio(rounds: Sequence[tuple[float, float, float]], baseline: int) -> float:
    return median(each[0] / each[baseline] for each in rounds)


def _per_entry(entries: int, work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) / entries


def _plan_applied(erp: TrytonErp, folder: Path, number: int) -> Callable[[], None]:
    store = open_store(f"sqlite:///{folder / f'operations_{number}.sqlite'}")
    plan = _plan(f"bench/{number}", ENTRIES)
    poster = erp.poster_with()

    def work() -> None:
        anchor = folder / f"anchor_{number}.json"
        assert apply(plan, store, poster, now=_NOW, actor="bench", run_id="bench", anchor_path=anchor).complete

    return work


def _plan(name: str, entries: int) -> Plan:
    """A fee with its tax, for each entry: three lines."""
    desired = []
    changes = {"entity_code": EURO_BOOKS.entity_code, "base_currency_code": "EUR", "currency_code": "EUR"}
    for number in range(entries):
        entry_id = f"{name}/{number}"
        lines = [
            line_row(entry_id, 1, "6100", debit="1.00", **changes),
            line_row(entry_id, 2, "6910", debit="0.19", **changes),
            line_row(entry_id, 3, "1250", credit="1.19", **changes),
        ]
        header = {key: value for key, value in changes.items() if key != "currency_code"}
        desired.append((header_row(entry_id, lines, **header), lines))
    return plan_entity(EURO_BOOKS, ledger(*desired), [])


class _Bare:
    """The loop that anybody would write: create, post, next."""

    def __init__(self, erp: TrytonErp) -> None:
        self._url = f"{erp.server.url}/{DATABASE}/rpc/"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = erp.poster._client._authorization()
        self._move = erp.poster._move

    def work(self, entries: int, size: int) -> Callable[[], None]:
        run = uuid.uuid4().hex
        moves = [self._move(item.entry) for item in _plan(f"bare/{run}", entries).items]

        def work() -> None:
            for start in range(0, entries, size):
                ids = self._call("model.account.move.create", moves[start : start + size], _CONTEXT)
                self._call("model.account.move.post", ids, _CONTEXT)

        return work

    def _call(self, method: str, *arguments: Any) -> Any:
        body = json.dumps({"id": 1, "method": method, "params": arguments}, default=_tryton)
        headers = {"Content-Type": "application/json"}
        answer = self._session.post(self._url, data=body, headers=headers, timeout=60).json()
        assert "error" not in answer, answer
        return answer["result"]


def _tryton(value: Any) -> dict[str, Any]:
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
