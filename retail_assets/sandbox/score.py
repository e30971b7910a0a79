"""Compares what the marts say with what is true: the yardstick of the whole chain on the simulated retailer."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
from rich.console import Group
from rich.table import Table

from retail_assets.sandbox.datafaults import planted_faults
from retail_assets.sandbox.plan import EXCEPTIONS
from retail_assets.sandbox.profiles import clearing_account_of
from retail_assets.sandbox.stocking import written_since
from retail_assets.sandbox.truth import TrueException, TrueLine, Truth, read_truth

_SHOWN: Final = 50
_ZERO: Final = Decimal(0)
#: The row of everything that is part of no planted case.
ORDINARY: Final = "ordinary"
#: Verdicts that explain a line of an order without anybody's help.
_EXPLAINED: Final = frozenset({"matched", "matched_tolerance", "fx_diff"})
#: Verdicts that explain a line of no order.
_WITHOUT_ORDER: Final = frozenset({"non_order", "fee_only"})
_Z: Final = 1.959963984540054


class _RunResults(msgspec.Struct):
    elapsed_time: float


class WarehouseNotReadyError(Exception):
    """The warehouse, or one of the marts that are compared, does not exist."""


@dataclass(slots=True)
class Part:
    """One comparison: how many were expected, how many are right, and what is wrong."""

    expected: int = 0
    right: int = 0
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.missed or self.wrong or self.invented)

    def mistakes(self) -> list[str]:
        """Everything that is wrong, the worst kinds first."""
        return [*self.wrong, *self.invented, *self.missed]

    @property
    def precision(self) -> Decimal:
        """Share of what was asserted that is true; 1 when nothing was asserted."""
        asserted = self.right + len(self.wrong) + len(self.invented)
        return _share(self.right, asserted)

    @property
    def recall(self) -> Decimal:
        """Share of what is true that was found; 1 when there was nothing to find."""
        return _share(self.right, self.expected)

    def to_dict(self) -> dict[str, Any]:
        """Counts, shares as text, and the first of each kind of mistake."""
        return {
            "ok": self.ok,
            "expected": self.expected,
            "right": self.right,
            "missed": len(self.missed),
            "wrong": len(self.wrong),
            "invented": len(self.invented),
            "precision": str(self.precision),
            "recall": str(self.recall),
            "examples": {
                "missed": self.missed[:_SHOWN],
                "wrong": self.wrong[:_SHOWN],
                "invented": self.invented[:_SHOWN],
            },
        }


@dataclass(frozen=True, slots=True)
class Rate:
    """So many of so many; nothing of nothing is no rate, but its interval is everything."""

    hits: int
    total: int

    @property
    def value(self) -> Decimal:
        return _share(self.hits, self.total) if self.total else _ZERO

    @property
    def interval(self) -> tuple[float, float]:
        """The Wilson interval at 95 %: what the true rate may be, given that so few or so many were looked at."""
        if not self.total:
            return 0.0, 1.0
        share, squared = self.hits / self.total, _Z * _Z / self.total
        middle = (share + squared / 2) / (1 + squared)
        reach = _Z * math.sqrt(share * (1 - share) / self.total + squared / (4 * self.total)) / (1 + squared)
        # At the ends the formula gives the end itself, up to the noise of floats.
        low = 0.0 if self.hits == 0 else max(0.0, middle - reach)
        high = 1.0 if self.hits == self.total else min(1.0, middle + reach)
        return round(low, 8), round(high, 8)

    def to_dict(self) -> dict[str, Any]:
        low, high = self.interval
        return {"count": self.hits, "of": self.total, "rate": str(self.value), "low": low, "high": high}


@dataclass(slots=True)
class CaseScore:
    """How one planted case was judged.

    Attributes:
        planted: how often it was planted.
        expected, found, invented: its exceptions where it is one that must raise one, else the links of its lines, or
            the verdicts on lines of no order and on payouts; ``invented`` are exceptions of its type, or links, that
            are not true.
        lines: settlement lines that belong to its orders.
        linked: lines that were given to an order, rightly or not.
        false_matches: lines that were given to the wrong one, or to one where there is none.
        explained: lines that need nobody: given to their order, with a verdict that explains them.
    """

    planted: int = 0
    expected: int = 0
    found: int = 0
    invented: int = 0
    lines: int = 0
    linked: int = 0
    false_matches: int = 0
    explained: int = 0

    @property
    def precision(self) -> Decimal:
        return _share(self.found, self.found + self.invented)

    @property
    def recall(self) -> Decimal:
        return _share(self.found, self.expected)

    @property
    def false_match_rate(self) -> Rate:
        return Rate(self.false_matches, self.linked)

    @property
    def auto_match_rate(self) -> Rate:
        return Rate(self.explained, self.lines)

    def add(self, other: "CaseScore") -> None:
        """Count the lines of another case too."""
        self.lines += other.lines
        self.linked += other.linked
        self.false_matches += other.false_matches
        self.explained += other.explained

    def to_dict(self) -> dict[str, Any]:
        """Counts and rates, the rates as text or with their interval."""
        return {
            "planted": self.planted,
            "expected": self.expected,
            "found": self.found,
            "invented": self.invented,
            "precision": str(self.precision),
            "recall": str(self.recall),
            "false_matches": self.false_match_rate.to_dict(),
            "auto_matched": self.auto_match_rate.to_dict(),
        }


@dataclass(slots=True)
class Score:
    """The verdict on all marts.

    Attributes:
        links: settlement line to order; ``wrong`` and ``invented`` are false matches.
        exceptions: business exceptions, each found once.
        technical: exceptions about bad data, against the data faults that were planted.
        payouts: payouts that foot to the cent and stand on the right bank line.
        journals: ready entries, equal line by account and on the right day.
        held: entries that must not be posted yet.
        balances: clearing account of each gateway against the gateway's balance.
        cases: exceptions found and missed by planted case.
        by_case: each planted case, and what is part of none, with precision, recall and rates.
        seconds: how long the comparison took.
        models_seconds: how long dbt took for its last run, where it left word of it.
    """

    seed: int
    as_of: str
    orders: int
    links: Part
    exceptions: Part
    technical: Part
    payouts: Part
    journals: Part
    held: Part
    balances: Part
    cases: dict[str, dict[str, int]]
    by_case: dict[str, CaseScore]
    seconds: float = 0.0
    models_seconds: float | None = None

    def parts(self) -> dict[str, Part]:
        """The comparisons by name."""
        names = ("links", "exceptions", "technical", "payouts", "journals", "held", "balances")
        return {name: getattr(self, name) for name in names}

    @property
    def ok(self) -> bool:
        """Whether nothing at all is wrong."""
        return all(part.ok for part in self.parts().values())

    @property
    def false_matches(self) -> list[str]:
        """Settlement lines that were given to an order they do not belong to."""
        return [*self.links.wrong, *self.links.invented]

    @property
    def lines(self) -> CaseScore:
        """The settlement lines of all cases together."""
        total = CaseScore()
        for one in self.by_case.values():
            total.add(one)
        return total

    def to_dict(self) -> dict[str, Any]:
        """Everything, for ``--json``."""
        return {
            "ok": self.ok,
            "seed": self.seed,
            "as_of": self.as_of,
            "orders": self.orders,
            "false_matches": len(self.false_matches),
            **{name: part.to_dict() for name, part in self.parts().items()},
            "cases": self.cases,
            "false_match_rate": self.lines.false_match_rate.to_dict(),
            "auto_match_rate": self.lines.auto_match_rate.to_dict(),
            "by_case": {name: one.to_dict() for name, one in self.by_case.items()},
            "seconds": round(self.seconds, 3),
            "models_seconds": self.models_seconds,
        }

    def case_table(self) -> Table:
        """The planted cases, for people; the false-match rate is followed by its 95 % interval."""
        table = Table(title="By planted case", title_justify="left", box=None, pad_edge=False)
        table.add_column("case", no_wrap=True)
        for heading in CASE_HEADINGS:
            table.add_column(heading, justify="right", no_wrap=True)
        for name, cells in self.case_rows():
            table.add_row(name, *cells)
        modelled = f"models built in {self.models_seconds:.1f} s, " if self.models_seconds else ""
        table.caption = f"{modelled}compared in {self.seconds:.1f} s"
        table.caption_justify = "left"
        return table

    def case_rows(self) -> list[tuple[str, list[str]]]:
        """The cells of ``CASE_HEADINGS`` for each case, and for all lines."""
        rows = [(name, one, [str(one.planted or ""), f"{one.precision:.4f}", f"{one.recall:.4f}"])
                for name, one in self.by_case.items()]  # fmt: skip
        links = self.links
        rows.append(("all", self.lines, ["", f"{links.precision:.4f}", f"{links.recall:.4f}"]))
        return [(name, [*first, *_rate_cells(one)]) for name, one, first in rows]

    def table(self) -> Group:
        """The comparisons and the planted cases, for people."""
        return Group(self.part_table(), "", self.case_table())

    def part_table(self) -> Table:
        """The comparisons; below them the first mistake of each."""
        table = Table(
            title=f"Marts against the truth: seed {self.seed}, {self.orders} orders, as of {self.as_of}",
            title_justify="left",
            box=None,
            pad_edge=False,
        )
        table.add_column("compared", no_wrap=True)
        for heading in ("expected", "right", "missed", "wrong", "invented", "precision", "recall"):
            table.add_column(heading, justify="right", no_wrap=True)
        for name, part in self.parts().items():
            table.add_row(
                name if part.ok else f"[red]{name}[/red]", str(part.expected), str(part.right), str(len(part.missed)),
                str(len(part.wrong)), str(len(part.invented)), f"{part.precision:.4f}", f"{part.recall:.4f}",
            )  # fmt: skip
        first = [f"{name}: {mistake}" for name, part in self.parts().items() for mistake in part.mistakes()[:1]]
        table.caption = "\n".join(first) or None
        table.caption_justify = "left"
        return table


def score(home: Path) -> Score:
    """Compare the marts in ``home/warehouse.duckdb`` with the truth in ``home/sandbox/truth.json``.

    Raises:
        FileNotFoundError: no simulated retailer was generated.
        WarehouseNotReadyError: there is no warehouse, or a mart is missing.
    """
    truth = read_truth(home)
    warehouse = home / "warehouse.duckdb"
    if not warehouse.exists():
        raise WarehouseNotReadyError(f"{warehouse} does not exist; run `retail run` first")
    started = time.perf_counter()
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        try:
            shown = {one.subject: one.shown for one in truth.exceptions if one.shown is not None}
            mended = written_since(home / "sandbox", shown)
            found = _compare(connection, truth, planted_faults(home), mended)
            found.seconds = time.perf_counter() - started
            found.models_seconds = _models_seconds(home)
            return found
        except duckdb.CatalogException as error:
            raise WarehouseNotReadyError(f"{warehouse} lacks a mart; run `retail run` first ({error})") from error


def _models_seconds(home: Path) -> float | None:
    path = home / "dbt" / "run" / "run_results.json"
    return round(msgspec.json.decode(path.read_bytes(), type=_RunResults).elapsed_time, 1) if path.exists() else None


def _compare(
    connection: duckdb.DuckDBPyConnection, truth: Truth, faults: Sequence[Mapping[str, str]], mended: set[str]
) -> Score:
    exceptions, technical, cases = _exceptions(connection, truth, faults, mended)
    journals, held = _journals(connection, truth)
    payouts = _payouts(connection, truth)
    return Score(
        truth.seed, truth.as_of, truth.orders, _links(connection, truth), exceptions, technical,
        payouts, journals, held, _balances(connection, truth), cases,
        _by_case(connection, truth, exceptions, cases, payouts),
    )  # fmt: skip


def _by_case(
    connection: duckdb.DuckDBPyConnection, truth: Truth, exceptions: Part, cases: Mapping[str, Mapping[str, int]],
    payouts: Part,
) -> dict[str, CaseScore]:  # fmt: skip
    """Each settlement line counts for the case of its order, or for its own where it has no order."""
    case_of = {key: case.case for case in truth.cases for key in (case.order_key, case.settlement_line_key) if key}
    lines_of_no_order = {case.settlement_line_key for case in truth.cases if not case.order_key}
    scores = {case.case: CaseScore() for case in sorted(truth.cases, key=lambda case: case.case)}
    scores[ORDINARY] = CaseScore()
    not_right = {mistake.partition(" ")[0] for mistake in (*payouts.wrong, *payouts.missed)}
    for case in truth.cases:
        scores[case.case].planted += 1
        if not case.order_key and not case.settlement_line_key:
            scores[case.case].expected += 1
            scores[case.case].found += case.settlement_key not in not_right
    rows = connection.execute(
        "select settlement_line_key, order_key, match_status from marts.rec_settlement_lines"
    ).fetchall()
    found = {key: (order_key, status) for key, order_key, status in rows}
    for link in truth.links:
        key, true_order = link.settlement_line_key, link.order_key
        order_key, status = found.pop(key, (None, None))
        one = scores[case_of.get(true_order or "") or case_of.get(key) or ORDINARY]
        is_right = order_key == true_order
        one.lines += true_order is not None
        one.linked += order_key is not None
        one.false_matches += order_key is not None and not is_right
        one.explained += true_order is not None and is_right and status in _EXPLAINED
        one.expected += true_order is not None
        one.found += true_order is not None and is_right
        one.invented += order_key is not None and not is_right
        if key in lines_of_no_order:
            one.expected += 1
            one.found += order_key is None and status in _WITHOUT_ORDER
    for order_key, _ in found.values():
        scores[ORDINARY].linked += order_key is not None
        scores[ORDINARY].false_matches += order_key is not None
        scores[ORDINARY].invented += order_key is not None
    # What must be found as an exception is judged by that.
    invented = Counter(exception_id.partition(":")[0] for exception_id in exceptions.invented)
    for name in EXCEPTIONS & scores.keys():
        counts = cases.get(name, {"planted": 0, "found": 0})
        scores[name].expected, scores[name].found = counts["planted"], counts["found"]
        scores[name].invented = invented[name]
    return scores


def _links(connection: duckdb.DuckDBPyConnection, truth: Truth) -> Part:
    rows = connection.execute(
        "select settlement_line_key, order_key, match_status from marts.rec_settlement_lines"
    ).fetchall()
    found = {key: (order_key, status) for key, order_key, status in rows}
    part = Part()
    for link in truth.links:
        key, true_order = link.settlement_line_key, link.order_key
        part.expected += true_order is not None
        if key not in found:
            part.missed.append(f"{key} ({link.line_type}) is not in rec_settlement_lines")
            continue
        order_key, status = found.pop(key)
        if order_key == true_order:
            part.right += true_order is not None
        elif order_key is None:
            part.missed.append(f"{key} belongs to {true_order}, found none ({status})")
        elif true_order is None:
            part.invented.append(f"{key} belongs to no order, given to {order_key} ({status})")
        else:
            part.wrong.append(f"{key} belongs to {true_order}, given to {order_key} ({status})")
    # A payout's own line may be listed as well, but it belongs to no order.
    part.invented += [f"{key} is no known line, given to {order}" for key, (order, _) in found.items() if order]
    return part


def _exceptions(
    connection: duckdb.DuckDBPyConnection, truth: Truth, faults: Sequence[Mapping[str, str]], mended: set[str]
) -> tuple[Part, Part, dict[str, dict[str, int]]]:
    rows = connection.execute(
        "select exception_id, exception_type, exception_class, order_key, settlement_line_key, settlement_key "
        "from marts.rec_exceptions where status = 'open'"
    ).fetchall()
    by_type: dict[str, list[tuple[str, frozenset[str]]]] = defaultdict(list)
    technical: set[str] = set()
    for exception_id, exception_type, exception_class, *subjects in rows:
        about = exception_id.partition(":")[2]
        by_type[exception_type].append((exception_id, frozenset(filter(None, (about, *subjects)))))
        if exception_class == "technical":
            technical.add(exception_id)
    part = Part(expected=len(truth.exceptions))
    cases: dict[str, dict[str, int]] = {}
    for true in truth.exceptions:
        counts = cases.setdefault(true.case, {"planted": 0, "found": 0, "missed": 0})
        counts["planted"] += 1
        position = _find(by_type[true.exception_type], true)
        if position is None and true.subject in mended:
            # Its stock was written since, and the next build has closed it.
            counts["planted"] -= 1
            part.expected -= 1
        elif position is None:
            counts["missed"] += 1
            part.missed.append(f"{true.exception_type} of {true.subject}")
        else:
            counts["found"] += 1
            part.right += 1
            by_type[true.exception_type].pop(position)
    left = sorted(exception_id for candidates in by_type.values() for exception_id, _ in candidates)
    part.invented = [exception_id for exception_id in left if exception_id not in technical]
    # What no case explains must come from bad data.
    about_data = [exception_id for exception_id in left if exception_id in technical]
    bad_data = Part(expected=len(faults), right=min(len(faults), len(about_data)))
    bad_data.missed = [f"planted: {fault['what']}" for fault in faults[len(about_data) :]]
    bad_data.invented = about_data[len(faults) :]
    return part, bad_data, dict(sorted(cases.items()))


def _find(candidates: list[tuple[str, frozenset[str]]], true: TrueException) -> int | None:
    """The candidate that is about the subject itself, else one about its order or its line."""
    for key in (true.subject, true.settlement_line_key, true.order_key):
        for position, (_, subjects) in enumerate(candidates):
            if key is not None and key in subjects:
                return position
    return None


def _payouts(connection: duckdb.DuckDBPyConnection, truth: Truth) -> Part:
    rows = connection.execute(
        "select settlement_key, residual_amount, bank_line_key, settlement_status from marts.rec_settlements"
    ).fetchall()
    found = {key: rest for key, *rest in rows}
    part = Part(expected=len(truth.payouts))
    for payout in truth.payouts:
        key = payout.settlement_key
        true_line = payout.bank_line.key if payout.bank_line else None
        if key not in found:
            part.missed.append(f"{key} is not in rec_settlements")
            continue
        residual, bank_line, status = found.pop(key)
        if residual:
            part.wrong.append(f"{key} does not foot: {residual} left ({status})")
        elif bank_line != true_line:
            part.wrong.append(f"{key} is on bank line {true_line}, found {bank_line} ({status})")
        else:
            part.right += 1
    part.invented = sorted(found)
    return part


def _journals(connection: duckdb.DuckDBPyConnection, truth: Truth) -> tuple[Part, Part]:
    """Ready entries and held ones. A held entry may be left out of the desired ledger, but never be ready."""
    status: dict[str, tuple[date, str]] = {
        entry_id: (posting_date, posting_status)
        for entry_id, posting_date, posting_status in connection.execute(
            "select entry_id, posting_date, posting_status from marts.acc_journal_entries"
        ).fetchall()
    }
    lines: dict[str, dict[str, tuple[Decimal, Decimal]]] = defaultdict(dict)
    for entry_id, account, debit, credit in connection.execute(
        "select entry_id, account_code, sum(base_debit_amount), sum(base_credit_amount) "
        "from marts.acc_journal_lines group by entry_id, account_code"
    ).fetchall():
        lines[entry_id][account] = (debit, credit)
    journals, held = Part(), Part()
    for entry in truth.journals:
        entry_id = entry.entry_id
        part = held if entry.held else journals
        part.expected += 1
        if entry_id not in status:
            if entry.held:
                part.right += 1
            else:
                part.missed.append(entry_id)
            continue
        posting_date, posting_status = status.pop(entry_id)
        true_status = "held" if entry.held else "ready"
        true_lines = _by_account(entry.lines)
        if posting_status != true_status:
            part.wrong.append(f"{entry_id} should be {true_status}, is {posting_status}")
        elif posting_date != entry.posting_date:
            part.wrong.append(f"{entry_id} should be dated {entry.posting_date}, is dated {posting_date}")
        elif lines.get(entry_id, {}) != true_lines:
            part.wrong.append(f"{entry_id} should be {_shown(true_lines)}, is {_shown(lines.get(entry_id, {}))}")
        else:
            part.right += 1
    journals.invented = sorted(status)
    return journals, held


def _by_account(lines: Iterable[TrueLine]) -> dict[str, tuple[Decimal, Decimal]]:
    found: dict[str, tuple[Decimal, Decimal]] = {}
    for line in lines:
        debit, credit = found.get(line.account_code, (_ZERO, _ZERO))
        found[line.account_code] = (debit + line.debit, credit + line.credit)
    return found


def _shown(lines: Mapping[str, tuple[Decimal, Decimal]]) -> str:
    return ", ".join(f"{account} {debit - credit:f}" for account, (debit, credit) in sorted(lines.items())) or "nothing"


def _balances(connection: duckdb.DuckDBPyConnection, truth: Truth) -> Part:
    """Clearing by account; each simulated gateway is settled in its entity's base currency."""
    ledger: dict[tuple[str, str], Decimal] = {
        (entity, account): amount
        for entity, account, amount in connection.execute(
            "select entity_code, account_code, sum(base_debit_amount - base_credit_amount) "
            "from marts.acc_journal_lines where account_role = 'gateway_clearing' group by all"
        ).fetchall()
    }
    part = Part(expected=len(truth.balances))
    for balance in truth.balances:
        gateway_id, true = balance.gateway_id, balance.amount
        booked = ledger.get(clearing_account_of(gateway_id), _ZERO)
        if booked == true:
            part.right += 1
        else:
            part.wrong.append(f"{gateway_id} holds {true} {balance.currency_code}, clearing says {booked}")
    return part


#: The columns of the table of cases.
CASE_HEADINGS: Final = (
    "planted", "precision", "recall", "lines", "false matches", "false-match rate (95 %)", "auto-matched",
)  # fmt: skip


def _rate_cells(one: CaseScore) -> list[str]:
    low, high = one.false_match_rate.interval
    false = f"{float(one.false_match_rate.value):.3%} ({low:.3%} to {high:.3%})" if one.linked else "none linked"
    return [
        str(one.lines),
        str(one.false_matches),
        false,
        f"{float(one.auto_match_rate.value):.2%}" if one.lines else "",
    ]


def _share(part: int, whole: int) -> Decimal:
    return Decimal(1) if whole == 0 else (Decimal(part) / Decimal(whole)).quantize(Decimal("0.000001"))
