"""How right the chain is: simulated retailers, loaded, modelled and compared with their ground truth.

Writes ``docs/accuracy.md``, but for the part of the bench ``detectors``. It holds no times, so the same code writes the
same file.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from math import floor
from pathlib import Path
from typing import Final

import duckdb

from benchmarks.detectors import HEADING
from benchmarks.measure import Result
from benchmarks.models import build
from benchmarks.scale import large_warehouse
from retail_assets.sandbox.score import CASE_HEADINGS, CaseScore, Part, Rate, Score, score

#: The retailers, each as its seed and how many orders it has: a large one, in which rare mistakes would show.
_RETAILERS: Final = tuple(
    (int(seed), int(orders))
    for seed, _, orders in (
        retailer.partition(":")
        for retailer in os.environ.get("BENCH_ACCURACY_RETAILERS", "7:100000 11:5000 23:5000").split()
    )
)
_TARGET: Final = Path(__file__).resolve().parents[1] / "docs" / "accuracy.md"
_HEAD: Final = """\
# How right the chain is

`make bench ONLY=accuracy` writes this page: it makes simulated retailers (`BENCH_ACCURACY_RETAILERS="seed:orders ..."`
for others; all up to {as_of}), loads them over their interfaces, builds all models and compares the marts
with the ground truth, as `retail sandbox score` does. The data is simulated: it says how the chain handles cases that
are known, and nothing about those that are not.

Of {lines} settlement lines that were given to an order, {false} were given to the wrong one: the upper bound of the
95 % interval is one in {at_most}. Of {planted} planted exceptions {found} were found; {invented} were raised that
nobody planted.
"""
_WORLDS: Final = """
## Each retailer

How many of each kind are right, of how many.
"""
_PARTS: Final = """
## What was compared, all retailers together

*Links* are settlement lines and their orders, *exceptions* business exceptions, *technical* those about bad data,
*payouts* foot to the cent and stand on the right bank line, *journals* are entries that may be posted, *held* those
that may not, *balances* the clearing accounts against what the gateways hold.
"""
_CASES: Final = """
## By planted case

Precision and recall are those of the exception for a case that must raise one, else those of the links of its lines,
or of the verdicts where it has lines or payouts of no order. A false match is a settlement line given to an order that
it does not belong to; its rate stands with its 95 % interval (Wilson), since none in a few proves little. Auto-matched
lines need nobody: a double payment never is, by intent.
"""
_SUGGESTIONS: Final = """
## What a suggestion is worth

Where no reference ties a payment to an order, amount, time and customer suggest one to a person and post nothing. How
often such a suggestion is right is measured on payments whose order a reference has decided (`rec_match_calibration`,
which every retailer has of its own); the confidence that is shown is the lower end of its 95 % interval, and none is
shown below 30 suggestions.
"""
_MISTAKES: Final = """
## What is wrong

"""
_SHOWN: Final = 5


def accuracy() -> Iterator[Result]:
    """The chain against the ground truth: ``docs/accuracy.md``, and the false-match rate with its upper bound."""
    found = []
    suggested: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for seed, orders in _RETAILERS:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            build(home, large_warehouse(home, orders, generated=orders, seed=seed))
            found.append(score(home))
            for evidence, count, hits in _calibration(home):
                suggested[evidence] += count
                right[evidence] += hits
    suggestions = {evidence: Rate(right[evidence], count) for evidence, count in sorted(suggested.items())}
    _TARGET.write_text(beside(_TARGET.read_text(encoding="utf-8"), page(found, suggestions)), encoding="utf-8")
    lines, raised = together(found).lines, together(found).exceptions
    rate, matched = lines.false_match_rate, lines.auto_match_rate
    high = rate.interval[1]
    yield Result("false_match_rate", 100 * float(rate.value), "%", "its upper bound at 95 %", float(rate.value) / high)
    for name, share, baseline in (
        ("auto_match_rate", matched.value, "all lines of orders"),
        ("exceptions_recall", raised.recall, "planted exceptions"),
        ("exceptions_precision", raised.precision, "raised exceptions"),
    ):
        yield Result(name, 100 * float(share), "%", baseline, float(share))


def beside(before: str, text: str) -> str:
    """This text with the part of the page that the bench ``detectors`` wrote."""
    _, heading, kept = before.partition(HEADING)
    return f"{text}\n{heading}{kept}" if heading else text


def _calibration(home: Path) -> list[tuple[str, int, int]]:
    """Each kind of evidence that suggests an order, how often it did, and how often rightly."""
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(
            "select evidence_class, suggestion_count, right_count from marts.rec_match_calibration"
        ).fetchall()


def together(found: Sequence[Score]) -> Score:
    """Several scores as one: what was expected, right and wrong in all of them."""
    parts: dict[str, Part] = {}
    cases: dict[str, CaseScore] = {}
    for one in found:
        for name, part in one.parts().items():
            total = parts.setdefault(name, Part())
            total.expected += part.expected
            total.right += part.right
            for kind in ("missed", "wrong", "invented"):
                getattr(total, kind).extend(f"seed {one.seed}: {mistake}" for mistake in getattr(part, kind))
        for name, case in one.by_case.items():
            sums = cases.setdefault(name, CaseScore())
            for field in fields(CaseScore):
                setattr(sums, field.name, getattr(sums, field.name) + getattr(case, field.name))
    return Score(
        seed=found[0].seed, as_of=found[0].as_of, orders=sum(one.orders for one in found), links=parts["links"],
        exceptions=parts["exceptions"], technical=parts["technical"], payouts=parts["payouts"],
        journals=parts["journals"], held=parts["held"], balances=parts["balances"], cases={}, by_case=cases,
    )  # fmt: skip


def page(found: Sequence[Score], suggestions: Mapping[str, Rate]) -> str:
    """The page, from what was found, and how often suggestions of each kind of evidence were right."""
    whole = together(found)
    worlds = [
        [
            str(one.seed),
            str(one.orders),
            *(f"{part.right} / {part.expected}" for part in one.parts().values()),
            "yes" if one.ok else "no",
        ]
        for one in found
    ]
    parts = [
        [name, str(part.expected), str(part.right), str(len(part.missed)), str(len(part.wrong)),
         str(len(part.invented)), f"{part.precision:.4f}", f"{part.recall:.4f}"]
        for name, part in whole.parts().items()
    ]  # fmt: skip
    headings = ["compared", "expected", "right", "missed", "wrong", "invented", "precision", "recall"]
    worths = [
        [evidence, str(rate.total), str(rate.hits), f"{rate.value:.4f}", f"{rate.interval[0]:.4f}"]
        for evidence, rate in suggestions.items()
    ]
    cases = [[name, *cells] for name, cells in whole.case_rows()]
    mistakes = [
        f"- {name}: {mistake}\n" for name, part in whole.parts().items() for mistake in part.mistakes()[:_SHOWN]
    ]
    return (
        _HEAD.format(
            as_of=whole.as_of,
            lines=f"{whole.lines.false_match_rate.total:,}",
            false=whole.lines.false_match_rate.hits,
            at_most=f"{floor(1 / whole.lines.false_match_rate.interval[1]):,}",
            planted=f"{whole.exceptions.expected:,}",
            found=f"{whole.exceptions.right:,}",
            invented=len(whole.exceptions.invented),
        )
        + _WORLDS
        + _table(["seed", "orders", *whole.parts(), "nothing wrong"], worlds)
        + _PARTS
        + _table(headings, parts)
        + _CASES
        + _table(["case", *CASE_HEADINGS], cases)
        + _SUGGESTIONS
        + _table(["evidence", "suggestions", "right", "share", "at least (95 %)"], worths)
        + (_MISTAKES if mistakes else "")
        + "".join(mistakes)
    )


def _table(headings: list[str], rows: list[list[str]]) -> str:
    ruled = [headings, ["---", *("---:" for _ in headings[1:])], *rows]
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in ruled)
