"""Payouts and bank lines that add up: what the models find, against every combination tried one by one."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import combinations
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dbt.compiled import Compiled

pytestmark = pytest.mark.slow

_MODELS = (
    "int_bank_pass_2_amount",
    "int_bank_parts",
    "int_bank_compositions",
    "int_payouts_matched_to_bank",
    "int_bank_undecided",
)
_GRACE = 3
_MOST_PARTS = 12
_START = date(2026, 11, 2)

#: Name, amount in whole units, day.
Record = tuple[str, int, int]
#: One way to add up: the payouts and the bank lines in it.
Way = tuple[frozenset[str], frozenset[str]]


@dataclass(frozen=True)
class Bank:
    payouts: list[Record]
    lines: list[Record]


class Models:
    """The models' own SQL, on tables that hold nothing but one account."""

    def __init__(self, project: Compiled, path: Path) -> None:
        manifest = json.loads((project.warehouse.home / "dbt" / "manifest.json").read_text(encoding="utf-8"))
        self._queries = {name: manifest["nodes"][f"model.retail.{name}"]["compiled_code"] for name in _MODELS}
        self._connection = duckdb.connect(str(path))
        self._connection.execute("""
            create schema if not exists staging;
            create schema if not exists intermediate;
            create table intermediate.int_bank_payouts (
                settlement_key varchar, bank_id varchar, payout_status varchar, currency_code varchar,
                payout_amount decimal(18, 4), arrival_date date, expected_until date
            );
            create table staging.stg_bank__entries (
                bank_line_key varchar, bank_id varchar, currency_code varchar, bank_amount decimal(18, 4),
                is_reversal boolean, value_date date
            );
            create table intermediate.int_bank_pass_0_key (
                settlement_key varchar, bank_line_key varchar, match_rule varchar, matched_amount decimal(18, 4)
            );
            create table intermediate.int_bank_pass_1_reference as from intermediate.int_bank_pass_0_key;
            create table intermediate.int_bank_pass_manual as from intermediate.int_bank_pass_0_key;
            create table intermediate.int_bank_named (
                settlement_key varchar, bank_line_key varchar, payout_amount decimal(18, 4),
                bank_amount decimal(18, 4), payouts_of_line bigint
            );
        """)

    def close(self) -> None:
        self._connection.close()

    def run(self, bank: Bank) -> None:
        self._connection.execute("delete from intermediate.int_bank_payouts; delete from staging.stg_bank__entries")
        for key, amount, day in bank.payouts:
            arrival = _START + timedelta(days=day)
            self._connection.execute(
                "insert into intermediate.int_bank_payouts values (?, 'b', 'paid', 'USD', ?, ?, ?)",
                [key, amount, arrival, arrival + timedelta(days=_GRACE)],
            )
        for key, amount, day in bank.lines:
            self._connection.execute(
                "insert into staging.stg_bank__entries values (?, 'b', 'USD', ?, false, ?)",
                [key, amount, _START + timedelta(days=day)],
            )
        for name in _MODELS:
            self._connection.execute(f"create or replace table intermediate.{name} as ({self._queries[name]})")

    def pairs(self) -> set[tuple[str, str]]:
        return set(self._rows("select settlement_key, bank_line_key from intermediate.int_payouts_matched_to_bank"))

    def ways(self) -> set[Way]:
        rows = self._rows("""
            select list(settlement_key), list(bank_line_key)
            from intermediate.int_bank_compositions
            group by solution_key
        """)
        return {(frozenset(payouts), frozenset(lines)) for payouts, lines in rows}

    def undecided(self) -> dict[str, tuple[str, int]]:
        rows = self._rows("select subject_key, match_status, rival_count from intermediate.int_bank_undecided")
        return {key: (status, count) for key, status, count in rows}

    def amounts(self) -> set[tuple[int, int]]:
        """What the pairs hold of each payout, beside the payout's amount."""
        return set(
            self._rows("""
                select sum(pairs.matched_amount), min(payouts.payout_amount)
                from intermediate.int_payouts_matched_to_bank as pairs
                inner join intermediate.int_bank_payouts as payouts using (settlement_key)
                group by pairs.settlement_key
            """)
        )

    def _rows(self, query: str) -> list[tuple]:
        return self._connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def models(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    made = Models(project, tmp_path_factory.mktemp("retail_home") / project.warehouse.path.name)
    yield made
    made.close()


_AMOUNTS = st.integers(min_value=-6, max_value=30).filter(bool)
_DAYS = st.integers(min_value=0, max_value=6)


@st.composite
def banks(draw: st.DrawFn) -> Bank:
    """Small amounts, so that sums collide; with deposits and splits planted among strangers."""
    payouts = [(f"p{n}", draw(_AMOUNTS), draw(_DAYS)) for n in range(draw(st.integers(0, 6)))]
    lines = [(f"l{n}", draw(_AMOUNTS), draw(_DAYS)) for n in range(draw(st.integers(0, 5)))]
    if len(payouts) > 1 and draw(st.booleans()):
        lines.append(("deposit", sum(amount for _, amount, _ in payouts[:2]) or 1, payouts[0][2]))
    if len(lines) > 1 and draw(st.booleans()):
        payouts.append(("split", sum(amount for _, amount, _ in lines[:2]) or 1, lines[0][2]))
    return Bank(payouts, lines)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bank=banks())
def test_sums_are_those_of_trying_everything(models: Models, bank: Bank) -> None:
    """A sum that is missed, one that is not there, a rival that is not counted, or a guess among rivals."""
    models.run(bank)
    certain, ways, decided = _by_trying(bank)
    assert models.ways() == ways
    assert models.pairs() == certain | {(payout, line) for way in decided for payout in way[0] for line in way[1]}
    assert all(held == paid for held, paid in models.amounts())
    uses = Counter(key for payouts, lines in ways - decided for key in payouts | lines)
    assert models.undecided() == {key: ("ambiguous", count) for key, count in uses.items()}


def test_too_many_candidates_are_not_walked_and_say_so(models: Models) -> None:
    """A line with more candidates than can be walked that is matched all the same, or passed over in silence."""
    many = [(f"p{n:02}", 100 + n, 0) for n in range(_MOST_PARTS + 1)]
    models.run(Bank(many, [("line", 100 + 101, 1)]))
    assert models.pairs() == set()
    assert models.undecided() == {"line": ("ambiguous", _MOST_PARTS + 1)}
    models.run(Bank(many[:-1], [("line", 100 + 101, 1)]))
    assert models.pairs() == {("p00", "line"), ("p01", "line")}


def _by_trying(bank: Bank) -> tuple[set[tuple[str, str]], set[Way], set[Way]]:
    """The pairs of one amount, all ways to add up what is left, and those of them that are certain."""
    equal = [(p[0], line[0]) for p in bank.payouts for line in bank.lines if p[1] == line[1] and _in_time(p, line)]
    payout_uses, line_uses = (Counter(pair[side] for pair in equal) for side in (0, 1))
    certain = {(p, line) for p, line in equal if payout_uses[p] == line_uses[line] == 1}
    payouts = [p for p in bank.payouts if p[0] not in {pair[0] for pair in certain}]
    lines = [line for line in bank.lines if line[0] not in {pair[1] for pair in certain}]
    ways: set[Way] = set()
    for line in lines:
        near = [p for p in payouts if _in_time(p, line) and p[1] * line[1] > 0]
        ways |= {(chosen, frozenset([line[0]])) for chosen in _sums(near, line[1], least=1)}
    for payout in payouts:
        near = [line for line in lines if _in_time(payout, line) and payout[1] * line[1] > 0]
        ways |= {(frozenset([payout[0]]), chosen) for chosen in _sums(near, payout[1], least=2)}
    uses = Counter(key for way in ways for key in way[0] | way[1])
    return certain, ways, {way for way in ways if all(uses[key] == 1 for key in way[0] | way[1])}


def _sums(records: list[Record], amount: int, *, least: int) -> Iterator[frozenset[str]]:
    for size in range(least, len(records) + 1):
        for chosen in combinations(records, size):
            if sum(record[1] for record in chosen) == amount:
                yield frozenset(record[0] for record in chosen)


def _in_time(payout: Record, line: Record) -> bool:
    return payout[2] <= line[2] <= payout[2] + _GRACE
