"""How right the chain is: a simulated retailer, loaded, modelled and compared with its ground truth.

Writes ``docs/accuracy.md``. It holds no times, so the same code writes the same file.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.measure import Result
from benchmarks.models import build
from benchmarks.scale import large_warehouse
from retail_assets.sandbox.score import CASE_HEADINGS, Score, score

_ORDERS: Final = int(os.environ.get("BENCH_ACCURACY_ORDERS", "5000"))
_TARGET: Final = Path(__file__).resolve().parents[1] / "docs" / "accuracy.md"
_HEAD: Final = """\
# How right the chain is

`make bench ONLY=accuracy` writes this page: it makes a simulated retailer (seed {seed}, {orders} orders up to {as_of}),
loads it over its interfaces, builds all models and compares the marts with the ground truth, as `retail sandbox score`
does. The data is simulated: it says how the chain handles cases that are known, and nothing about those that are not.
"""
_PARTS: Final = """
## What was compared

*Links* are settlement lines and their orders, *exceptions* business exceptions, *technical* those about bad data,
*payouts* foot to the cent and stand on the right bank line, *journals* are entries that may be posted, *held* those
that may not, *balances* the clearing accounts against what the gateways hold.
"""
_CASES: Final = """
## By planted case

Precision and recall are those of the exception for a case that must raise one, else those of the links of its lines.
A false match is a settlement line given to an order that it does not belong to; its rate stands with its 95 % interval
(Wilson), since none in a few proves little. Auto-matched lines need nobody: a double payment never is, by intent.
"""
_MISTAKES: Final = """
## What is wrong

"""
_SHOWN: Final = 5


def accuracy() -> Iterator[Result]:
    """The chain against the ground truth: ``docs/accuracy.md``, and the false-match rate with its upper bound."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        build(home, large_warehouse(home, _ORDERS, generated=_ORDERS))
        found = score(home)
    _TARGET.write_text(page(found), encoding="utf-8")
    rate, matched, raised = found.lines.false_match_rate, found.lines.auto_match_rate, found.exceptions
    high = rate.interval[1]
    yield Result("false_match_rate", 100 * float(rate.value), "%", "its upper bound at 95 %", float(rate.value) / high)
    for name, share, baseline in (
        ("auto_match_rate", matched.value, "all lines of orders"),
        ("exceptions_recall", raised.recall, "planted exceptions"),
        ("exceptions_precision", raised.precision, "raised exceptions"),
    ):
        yield Result(name, 100 * float(share), "%", baseline, float(share))


def page(found: Score) -> str:
    """The page, from what was found."""
    parts = [
        [name, str(part.expected), str(part.right), str(len(part.missed)), str(len(part.wrong)),
         str(len(part.invented)), f"{part.precision:.4f}", f"{part.recall:.4f}"]
        for name, part in found.parts().items()
    ]  # fmt: skip
    headings = ["compared", "expected", "right", "missed", "wrong", "invented", "precision", "recall"]
    cases = [[name, *cells] for name, cells in found.case_rows()]
    mistakes = [
        f"- {name}: {mistake}\n" for name, part in found.parts().items() for mistake in part.mistakes()[:_SHOWN]
    ]
    return (
        _HEAD.format(seed=found.seed, orders=found.orders, as_of=found.as_of)
        + _PARTS
        + _table(headings, parts)
        + _CASES
        + _table(["case", *CASE_HEADINGS], cases)
        + (_MISTAKES if mistakes else "")
        + "".join(mistakes)
    )


def _table(headings: list[str], rows: list[list[str]]) -> str:
    ruled = [headings, ["---", *("---:" for _ in headings[1:])], *rows]
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in ruled)
