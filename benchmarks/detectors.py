"""Which faults the chain notices, and when: planted at a known rate, loaded, modelled, and looked for as exceptions.

Writes its part of ``docs/accuracy.md``. It holds business time only, so the same code writes the same text; the seconds
from the start of a load to the exception are among the results.
"""

import csv
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.injected import LEAST, RATE, Fault, Injector, changed_orders, lose_between
from benchmarks.measure import Result
from benchmarks.models import build
from retail_assets.accounting.attestation import attest
from retail_assets.accounting.posting import apply
from retail_assets.commands.ledger import prepare_erps
from retail_assets.commands.run import load_sources
from retail_assets.defs.export.planning import plan_for
from retail_assets.erp.factory import poster_for
from retail_assets.ops import canaries, drift, periods
from retail_assets.ops.periods import Period
from retail_assets.ops.store import open_store, writing
from retail_assets.sandbox.generator import generate
from retail_assets.sandbox.score import Rate
from retail_assets.sandbox.server import running_server
from retail_assets.sandbox.truth import read_truth
from retail_assets.settings import Settings, load_settings, sandbox_credentials
from retail_assets.sources.ops import ops_source
from retail_assets.sources.warehouse import load, pipeline_for

_ORDERS: Final = int(os.environ.get("BENCH_DETECTORS_ORDERS", "3000"))
_SEED: Final = int(os.environ.get("BENCH_DETECTORS_SEED", "7"))
AS_OF: Final = datetime(2026, 11, 5, 12, tzinfo=UTC)
_ROOT: Final = Path(__file__).resolve().parents[1]
_SHIPPED: Final = _ROOT / "data"
_TARGET: Final = _ROOT / "docs" / "accuracy.md"
_ALERTS: Final = (
    "silent sources, failed steps and runs | alerts and no exceptions; [running.md](running.md) names their tests"
)
TYPES: Final = _ROOT / "dbt_project" / "seeds" / "exception_types.csv"
#: Where the part of the page begins that this writes; what stands before it is the bench ``accuracy``'s.
HEADING: Final = "## What is noticed, and when\n"
_LATE_AFTER: Final = 90
#: Canaries that never arrive, by how many minutes ago each was placed.
_LOST_FOR: Final = (30, 85, 95, 120, 600, 2000)
_BOOKS: Final = "JP"
_CHANGED: Final = 4
#: Types of exceptions for which nothing is planted here, and why.
NOT_INJECTED: Final = {
    "tax_engine_vs_ledger": "it takes an entry of ours that books another tax than the store charged",
}
_EXCEPTIONS: Final = """
    select exception_id, exception_type, order_key, settlement_key, settlement_line_key, bank_line_key, store_id,
        gateway_id, opened_at, evidence
    from marts.rec_exceptions
    where status = 'open'
    order by exception_id
"""


@dataclass(slots=True)
class Noticed:
    """What became of one class of faults; ages are those of the fault at the build that showed it, in hours."""

    fault_class: str
    exception_type: str
    cycle: int
    planted: int = 0
    due: int = 0
    found: int = 0
    missed: list[str] = field(default_factory=list)
    youngest: float | None = None
    waiting: int = 0
    oldest_waiting: float | None = None
    seconds: float = 0

    @property
    def recall(self) -> Rate:
        return Rate(self.found, self.due)

    def cells(self) -> list[str]:
        """The row of the page."""
        low = self.recall.interval[0]
        return [
            self.fault_class, f"`{self.exception_type}`", str(self.planted), str(self.due), str(self.found),
            f"{float(self.recall.value):.2%} (≥ {low:.0%})" if self.due else "", str(self.cycle), _age(self.youngest),
            f"{self.waiting}, up to {_age(self.oldest_waiting)}" if self.waiting else "",
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception of the marts, with everything that it may be known by."""

    exception_id: str
    exception_type: str
    names: frozenset[str]
    anywhere: frozenset[str]
    opened_at: datetime
    #: Of how many facts it tells: one exception names all fees of a month, for one.
    facts: int


def detectors() -> Iterator[Result]:
    """Faults of each class, what of them is found in the cycle in which it is due, and false alarms."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        bench = _Bench(Path(folder), stack)
        noticed = [*bench.first_cycle(), *bench.second_cycle(), *bench.third_cycle()]
    _TARGET.write_text(
        with_section(_TARGET.read_text(encoding="utf-8"), section(noticed, bench.false_alarms, bench.consequences)),
        encoding="utf-8",
    )
    _show(noticed, bench.false_alarms)
    due, found = sum(one.due for one in noticed), sum(one.found for one in noticed)
    yield Result("detectors_recall", 100 * found / due, "%", f"{due} planted faults that are due", found / due)
    alarms = sum(bench.false_alarms.values())
    yield Result("detectors_false_alarms", alarms, "alarms", f"{bench.raised} exceptions raised", alarms / bench.raised)
    for cycle, seconds in bench.seconds.items():
        name = f"detectors_cycle_{cycle}_from_load_to_exception"
        yield Result(name, seconds, "s", "a poll every 10 minutes", seconds / 600)
    for one in noticed:
        share = float(one.recall.value)
        yield Result(f"detectors: {one.fault_class}", 100 * share, "%", f"{one.due} due", share)


class _Bench:
    """One simulated retailer with planted faults, and two cycles of the chain over it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._home = folder / "home"
        generate(self._home, seed=_SEED, orders=_ORDERS, as_of=AS_OF)
        configuration = _configured(folder)
        environment = {
            "RETAIL_HOME": str(self._home), "RETAIL_AS_OF": AS_OF.isoformat(), "RETAIL_CONFIG": str(configuration)
        }  # fmt: skip
        grace = load_settings({**environment, "SANDBOX_URL": "http://127.0.0.1:1"}).configuration.policies.default
        self._injector = Injector(self._home, as_of=AS_OF, bank_grace_days=grace.bank_grace_days)
        self._faults = self._injector.plant()
        server = stack.enter_context(running_server(self._home, sandbox_credentials()))
        self._environment = environment | {"SANDBOX_URL": server.url}
        self._settings: Settings = load_settings(self._environment)
        prepare_erps(self._settings)
        self._operations = open_store(self._settings.operations_url)
        stack.callback(self._operations.dispose)
        self.seconds: dict[int, float] = {}
        self.false_alarms: dict[str, int] = {}
        self.consequences = 0
        self.raised = 0

    def first_cycle(self) -> Iterator[Noticed]:
        """Everything that was wrong before the first load."""
        self._faults += self._lost_canaries()
        started = time.perf_counter()
        load_sources(self._settings, Console(quiet=True))
        lost = lose_between(self._settings.warehouse_path, "cedar_us", "stripe_us", AS_OF)
        self._faults += lost
        found = self._built(started, 1)
        truth = read_truth(self._home)
        true = {(one.exception_type, one.subject) for one in truth.exceptions}
        self._count_alarms(found, true)
        yield from noticed_of(found, self._faults, 1, self.seconds[1])
        planted = [
            Fault(f"{one.case} of the simulated retailer", one.exception_type, one.subject, AS_OF, AS_OF)
            for one in truth.exceptions
        ]
        yield from noticed_of(found, planted, 1, self.seconds[1])

    def second_cycle(self) -> Iterator[Noticed]:
        """What goes wrong afterwards: in the ERP, in a closed month, and in stores that tell nothing of it."""
        documents = self._post()
        faults = [*self._changed_documents(documents), *self._late_statement()]
        later = AS_OF + timedelta(seconds=2)
        silent = changed_orders(self._home, "linden_de", _CHANGED, later, {"status": "cancelled"})
        reshaped = changed_orders(self._home, "aoi_jp", _CHANGED, later, {"status": "cancelled", "loyalty_tier": "A"})
        started = time.perf_counter()
        load_sources(self._settings, Console(quiet=True))
        with closing(poster_for(self._settings.configuration.erp("erp_main"))) as poster:
            attest(self._operations, poster, _BOOKS, now=AS_OF, actor="bench", run_id="bench")
        found = self._built(started, 2)
        yield from noticed_of(found, faults, 2, self.seconds[2])
        with duckdb.connect(str(self._settings.warehouse_path), read_only=True) as connection:
            cancelled = {
                row[0]
                for row in connection.execute(
                    "select order_key from marts.fct_orders where store_status = 'cancelled'"
                ).fetchall()
            }
        yield self._plainly("change of which no webhook tells", "found by the poll", silent, cancelled)
        fields = {(row["instance_id"], row["field"]) for row in drift.rows(self._operations)}
        told = {key for key in reshaped if ("aoi_jp", "loyalty_tier") in fields}
        yield self._plainly("field that a source adds", "check shape", reshaped, told)

    def third_cycle(self) -> Iterator[Noticed]:
        """The same data some days later: what rightly waited in the first one is due."""
        waited = [fault for fault in self._faults if fault.due > AS_OF]
        now = max(fault.due for fault in waited) + timedelta(hours=1)
        self._environment["RETAIL_AS_OF"] = now.isoformat()
        self._settings = load_settings(self._environment)
        found = self._built(time.perf_counter(), 3)
        yield from noticed_of(found, waited, 3, self.seconds[3], now)

    def _built(self, started: float, cycle: int) -> list[Raised]:
        ours = pipeline_for("ops", "operations", warehouse=self._settings.warehouse_path, state=self._settings.dlt_path)
        load(ops_source(self._settings, self._operations), ours)
        build(self._home, self._environment)
        self.seconds[cycle] = time.perf_counter() - started
        return _raised(self._settings.warehouse_path)

    def _lost_canaries(self) -> Iterator[Fault]:
        for number, minutes in enumerate(_LOST_FOR):
            at = AS_OF - timedelta(minutes=minutes)
            token = canaries.begin(self._operations, "cedar_us", now=at)
            canaries.placed(self._operations, token, 900_000 + number, now=at)
            due = at + timedelta(minutes=_LATE_AFTER, seconds=1)
            yield Fault("canary that never arrives", "canary_late", token, at, due)

    def _post(self) -> list[tuple[str, str]]:
        """Post the books of one entity; returns posting keys with their documents."""
        plan = plan_for(self._settings, self._operations, _BOOKS)
        with closing(poster_for(self._settings.configuration.erp("erp_main"))) as poster:
            result = apply(plan, self._operations, poster, now=AS_OF, actor="bench", run_id="bench")
        if result.problems:
            raise AssertionError(f"the simulated ERP did not take everything: {result.problems[0]}")
        return [(item.posting_key, item.document) for item in result.items if item.document]

    def _changed_documents(self, documents: Sequence[tuple[str, str]]) -> list[Fault]:
        """Documents that somebody dates otherwise or cancels in the ERP, behind our back."""
        chosen = documents[:: max(1, len(documents) // _CHANGED)][:_CHANGED]
        with closing(sqlite3.connect(self._home / "sandbox" / "erp.sqlite", timeout=30)) as erp, erp:
            for number, (_, document) in enumerate(chosen):
                change = "docstatus = 2" if number % 2 else "posting_date = '2020-01-01'"
                erp.execute(f'update "Journal Entry" set {change} where name = ?', (document,))
        return [
            Fault("posted document that is changed in the ERP", "posted_drift", key, AS_OF, AS_OF) for key, _ in chosen
        ]

    def _late_statement(self) -> list[Fault]:
        """The statement that was held back arrives when its month is closed."""
        if self._injector.late_statement is None:
            raise AssertionError("no statement was held back")
        month = Period.of(AS_OF.date().replace(day=1) - timedelta(days=1))
        with writing(self._operations) as connection:
            periods.close(connection, _BOOKS, month, closed_by="bench", closed_at=AS_OF, report_sha256="0" * 64)
        path, content = self._injector.late_statement
        path.write_bytes(content)
        held_back = next(one for one in self._faults if one.fault_class == "bank statement that is missing")
        return [
            Fault("bank line that comes after the close", "late_fact_in_closed_period", key, AS_OF, AS_OF)
            for key in sorted(held_back.touches)
        ]

    def _plainly(self, fault_class: str, noticed_as: str, planted: Sequence[str], found: set[str]) -> Noticed:
        """A class that no exception tells of, since nothing has gone wrong yet."""
        missed = [key for key in planted if key not in found]
        return Noticed(
            fault_class, noticed_as, 2, len(planted), len(planted), len(planted) - len(missed), missed, 0,
            seconds=self.seconds[2],
        )  # fmt: skip

    def _count_alarms(self, found: Sequence[Raised], true: set[tuple[str, str]]) -> None:
        self.raised = len(found)
        wrong = {name for fault in self._faults for name in (fault.subject, *fault.touches)}
        for one in found:
            said = any((one.exception_type, name) in true for name in one.names)
            if said or any(_is(one, fault) for fault in self._faults):
                continue
            if one.names & wrong:
                self.consequences += 1
            else:
                self.false_alarms[one.exception_type] = self.false_alarms.get(one.exception_type, 0) + 1


def noticed_of(
    found: Sequence[Raised], faults: Sequence[Fault], cycle: int, seconds: float, now: datetime = AS_OF
) -> list[Noticed]:
    """What became of each class of faults in a round whose exceptions are these."""
    classes: dict[str, Noticed] = {}
    left = {one.exception_id: one.facts for one in found}
    for fault in sorted(faults, key=lambda one: (one.fault_class, one.at)):
        noticed = classes.setdefault(
            fault.fault_class,
            Noticed(fault.fault_class, fault.exception_type, cycle, seconds=seconds),
        )
        noticed.planted += 1
        hit = next((one for one in found if _is(one, fault) and left[one.exception_id] > 0), None)
        if hit is not None:
            noticed.due += 1
            noticed.found += 1
            left[hit.exception_id] -= 1
            age = _hours(min(hit.opened_at, now), now)
            noticed.youngest = age if noticed.youngest is None else min(noticed.youngest, age)
        elif fault.due > now:
            noticed.waiting += 1
            noticed.oldest_waiting = max(noticed.oldest_waiting or 0, _hours(fault.at, now))
        else:
            noticed.due += 1
            noticed.missed.append(fault.subject)
    return list(classes.values())


def _configured(folder: Path) -> Path:
    """The shipped configuration with canaries, and with invoices that one entity's ERP writes."""
    document = yaml.safe_load((_SHIPPED / "retail.yaml").read_text(encoding="utf-8"))
    document["canary"] = {"stores": ["cedar_us"], "late_after_minutes": _LATE_AFTER}
    document["policies"]["entities"] = {_BOOKS: {"invoices": "erp"}}
    path = folder / "retail.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    path.with_suffix(".env").write_text((_SHIPPED / "retail.env").read_text(encoding="utf-8"), encoding="utf-8")
    return path


def _raised(warehouse: Path) -> list[Raised]:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        cursor = connection.execute(_EXCEPTIONS)
        columns = [column[0] for column in cursor.description or ()]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return [_raised_of(row) for row in rows]


def _raised_of(row: Mapping[str, Any]) -> Raised:
    evidence = json.loads(row["evidence"])
    subject = row["exception_id"].partition(":")[2]
    names = {subject, row["order_key"], row["settlement_key"], row["settlement_line_key"], row["bank_line_key"]}
    if "gateway_balance" in evidence:
        names.add(f"{row['gateway_id']}:*balance")
    instances = {f"{one}:*" for one in (row["store_id"], row["gateway_id"]) if one}
    return Raised(
        row["exception_id"],
        row["exception_type"],
        frozenset(name for name in names if name),
        frozenset(instances),
        row["opened_at"].replace(tzinfo=UTC),
        int(evidence.get("lines", 1)) if row["exception_type"] == "fee_variance" else 1,
    )


def _is(one: Raised, fault: Fault) -> bool:
    known = one.names | one.anywhere
    return one.exception_type == fault.exception_type and fault.subject in known


def _hours(at: datetime, now: datetime) -> float:
    return (now - at).total_seconds() / 3600


def _age(hours: float | None) -> str:
    if hours is None:
        return ""
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"


# --- the page ---

_INTRODUCTION: Final = """
`make bench ONLY=detectors` writes this part: a simulated retailer ({orders} orders, seed {seed}) in whose stores,
gateways, bank statements and ERP faults are planted, about one in {rate} orders of each class and at least {least}
where there are as many of its kind. *Due* are those that must be known by now: a payout may be on its way for some
days, a canary for {late} minutes. *Recall* stands with the lower end of its 95 % interval (Wilson). *Youngest found* is
how long before the build the youngest one that it showed had happened: no fault of that age or older waits longer than
for the next load and build. *Still waiting* are younger than what is due. Faults of *round* 1 were there before the
first load; those of round 2 came between it and the second, and are in the exceptions of that one; round 3 is the same
data an hour after the last of those that waited in round 1 was due. How many seconds lie between the start of a load
and the exception is among the results of the bench, as it is the machine's.
"""
_COLUMNS: Final = [
    "fault",
    "noticed as",
    "planted",
    "due",
    "found",
    "recall",
    "round",
    "youngest found",
    "still waiting",
]


def with_section(page: str, text: str) -> str:
    """The page with this part new, and everything before it as it is."""
    return page.partition(HEADING)[0].rstrip("\n") + "\n\n" + HEADING + text


def section(noticed: Sequence[Noticed], false_alarms: Mapping[str, int], consequences: int) -> str:
    """The part of the page below its heading."""
    ruled = [_COLUMNS, ["---", "---", *("---:" for _ in _COLUMNS[2:])], *(one.cells() for one in noticed)]
    with TYPES.open(encoding="utf-8") as seeds:
        types = [row["exception_type"] for row in csv.DictReader(seeds)]
    injected = {one.exception_type for one in noticed}
    left_out = [
        f"| `{name}` | {NOT_INJECTED.get(name, 'nobody has written one yet')} |\n"
        for name in types
        if name not in injected
    ]
    missed = [f"- {one.fault_class}: {key}\n" for one in noticed for key in one.missed]
    alarms = ", ".join(f"{count} `{name}`" for name, count in sorted(false_alarms.items())) or "none"
    return (
        _INTRODUCTION.format(orders=_ORDERS, seed=_SEED, rate=RATE, least=LEAST, late=_LATE_AFTER)
        + "\n"
        + "".join(f"| {' | '.join(row)} |\n" for row in ruled)
        + f"\nFalse alarms, exceptions about nothing that was planted: {alarms}. Further exceptions about something"
        + f" that was planted (a dispute of what was given back is an open dispute, too): {consequences}.\n"
        + ("\nMissed:\n\n" + "".join(missed) if missed else "")
        + "\nNot injected, and so measured by the tests of their models only:\n\n| type | why |\n| --- | --- |\n"
        + "".join(left_out)
        + f"| {_ALERTS} |\n"
    )


def _show(noticed: Sequence[Noticed], false_alarms: Mapping[str, int]) -> None:
    table = Table(*_COLUMNS, "false alarms of the type", "seconds")
    for one in noticed:
        alarms = false_alarms.get(one.exception_type, 0)
        table.add_row(*one.cells(), str(alarms), f"{one.seconds:.0f}")
    Console(width=200).print(table)
    for one in noticed:
        for key in one.missed:
            Console().print(f"missed: {one.fault_class}: {key}", highlight=False)
