"""The score must be perfect for perfect marts, and every kind of mistake must cost it."""

import json
from collections.abc import Callable
from decimal import Decimal
from io import StringIO
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from retail_assets.sandbox.datafaults import corrupt_bank_file
from retail_assets.sandbox.generator import generate
from retail_assets.sandbox.profiles import CHANNELS, STRIPE_CLEARING
from retail_assets.sandbox.score import Rate, WarehouseNotReadyError, score
from retail_assets.sandbox.storage import change_state, encode
from tests.sandbox.conftest import State

CLEARING = {STRIPE_CLEARING, *(channel.clearing_account for channel in CHANNELS.values())}
TABLES = """
create schema marts;
create table marts.rec_settlement_lines (settlement_line_key text, order_key text, match_status text);
create table marts.rec_exceptions (
  exception_id text, exception_type text, exception_class text, order_key text, settlement_line_key text,
  settlement_key text, status text
);
create table marts.rec_settlements (
  settlement_key text, residual_amount decimal(18, 4), bank_line_key text, settlement_status text
);
create table marts.acc_journal_entries (entry_id text, posting_date date, posting_status text);
create table marts.acc_journal_lines (
  entry_id text, entity_code text, account_code text, account_role text, base_debit_amount decimal(18, 4),
  base_credit_amount decimal(18, 4)
);
"""


def perfect_marts(home: Path) -> None:
    """Marts that say exactly what is true."""
    truth = State(home).truth
    with duckdb.connect(str(home / "warehouse.duckdb")) as warehouse:
        warehouse.execute(TABLES)
        warehouse.executemany(
            "insert into marts.rec_settlement_lines values (?, ?, 'matched')",
            [(link["settlement_line_key"], link["order_key"]) for link in truth["links"]],
        )
        warehouse.executemany(
            "insert into marts.rec_exceptions values (?, ?, 'business', ?, ?, null, 'open')",
            [
                (f"{one['exception_type']}:{one['subject']}", one["exception_type"], one["order_key"],
                 one["settlement_line_key"])
                for one in truth["exceptions"]
            ],
        )  # fmt: skip
        for payout in truth["payouts"]:
            line = payout["bank_line"]
            key = f"{line['bank_id']}:{line['statement_id']}:{line['entry_number']}" if line else None
            values = (payout["settlement_key"], key)
            warehouse.execute("insert into marts.rec_settlements values (?, 0, ?, 'reconciled')", values)
        entries, lines = [], []
        for entry in truth["journals"]:
            entries.append((entry["entry_id"], entry["posting_date"], "held" if entry["held"] else "ready"))
            for line in entry["lines"]:
                role = "gateway_clearing" if line["account_code"] in CLEARING else "other"
                lines.append(
                    (entry["entry_id"], entry["entity_code"], line["account_code"], role, line["debit"], line["credit"])
                )
        warehouse.executemany("insert into marts.acc_journal_entries values (?, ?, ?)", entries)
        warehouse.executemany("insert into marts.acc_journal_lines values (?, ?, ?, ?, ?, ?)", lines)


@pytest.fixture(scope="module")
def scored_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world with perfect marts."""
    home = tmp_path_factory.mktemp("scored")
    generate(home, orders=60, days=30)
    perfect_marts(home)
    return home


def test_perfect_marts_have_a_perfect_score(scored_home: Path) -> None:
    """A yardstick that is off by itself measures nothing."""
    result = score(scored_home)
    assert result.ok, result.to_dict()
    assert result.false_matches == []
    assert all(part.precision == part.recall == 1 for part in result.parts().values())
    assert result.exceptions.expected == 20
    assert result.to_dict()["cases"]["amount_mismatch"] == {"planted": 1, "found": 1, "missed": 0}


def test_cases_have_rates_with_an_interval(scored_home: Path) -> None:
    """A rate of none in a few says little: its interval must say how little."""
    found = score(scored_home).to_dict()
    case = found["by_case"]["refund_later_full"]
    assert (case["planted"], case["precision"], case["recall"]) == (1, "1.000000", "1.000000")
    assert case["auto_matched"] == {"count": 2, "of": 2, "rate": "1.000000", "low": 0.34238023, "high": 1.0}
    assert case["false_matches"]["count"] == 0
    assert case["false_matches"]["high"] == pytest.approx(0.65762, abs=1e-5)
    assert found["false_match_rate"]["of"] == sum(one["false_matches"]["of"] for one in found["by_case"].values())
    assert found["false_match_rate"]["high"] < 0.1
    assert {"ordinary", "order_missing", "fx_settlement"} <= found["by_case"].keys()


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [(0, 0, 0, 1), (0, 10, 0, 0.27753), (10, 10, 0.72247, 1), (5, 10, 0.23659, 0.76341), (1, 1000, 0.00018, 0.00564)],
)
def test_intervals_are_wilson_s(hits: int, total: int, low: float, high: float) -> None:
    """Figures of the literature: an interval that is too narrow would promise too much."""
    assert Rate(hits, total).interval == pytest.approx((low, high), abs=1e-5)


def test_a_false_match_and_an_invented_exception_cost_their_case(scored_home: Path, tmp_path: Path) -> None:
    """A mistake that is booked under another case would hide where the chain is weak."""
    (tmp_path / "sandbox").mkdir()
    for name in ("sandbox/truth.json", "warehouse.duckdb"):
        (tmp_path / name).write_bytes((scored_home / name).read_bytes())
    converted = next(case["order_key"] for case in State(tmp_path).truth["cases"] if case["case"] == "fx_settlement")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute("use marts")
        warehouse.execute(f"update {LINES} set order_key = 'cedar_us:1' where order_key = '{converted}'")
        warehouse.execute(
            "insert into rec_exceptions values ('dispute_open:x', 'dispute_open', 'business', null, null, null, 'open')"
        )
        warehouse.execute(f"update {LINES} set match_status = 'ambiguous' where order_key is not null")
    by_case = score(tmp_path).by_case
    assert by_case["fx_settlement"].false_match_rate.value == 1
    assert by_case["fx_settlement"].recall == 0
    assert by_case["dispute_open"].precision == Decimal("0.5")
    assert by_case["refund_later_full"].false_matches == by_case["ordinary"].false_matches == 0
    assert by_case["ordinary"].auto_match_rate.hits == 0


def test_stock_that_was_written_since_needs_no_exception(scored_home: Path, tmp_path: Path) -> None:
    """The demo's stock is written as its page says, and from then on the demo disagrees with its truth."""
    (tmp_path / "sandbox").mkdir()
    for name in ("sandbox/truth.json", "sandbox/cedar_us.sqlite", "warehouse.duckdb"):
        (tmp_path / name).write_bytes((scored_home / name).read_bytes())
    late = [one for one in State(tmp_path).truth["exceptions"] if one["case"] == "stock_sync_delay"]
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute("delete from marts.rec_exceptions where exception_type = 'stock_sync_delay'")
    assert len(score(tmp_path).exceptions.missed) == len(late) == 2
    with change_state(tmp_path / "sandbox" / "cedar_us.sqlite") as store:
        for one in late:
            select = "select resource, body from documents where id = ? and resource in ('products', 'variations')"
            article = one["subject"].partition(":")[2]
            ((resource, body),) = store.execute(select, (article,)).fetchall()
            body = encode({**json.loads(body), "stock_quantity": one["shown"] - 3})
            store.execute("update documents set body = ? where resource = ? and id = ?", (body, resource, article))
    result = score(tmp_path)
    assert result.ok
    assert result.cases["stock_sync_delay"] == {"planted": 0, "found": 0, "missed": 0}


LINES, ENTRIES, SETTLEMENTS = "rec_settlement_lines", "acc_journal_entries", "rec_settlements"
LAST_ORDER = f"where order_key = (select max(order_key) from {LINES})"
LAST_ENTRY = f"where entry_id = (select max(entry_id) from {ENTRIES})"
LAST_PAYOUT = f"where settlement_key = (select max(settlement_key) from {SETTLEMENTS})"
EXCEPTION = "insert into rec_exceptions values ('x', '{}', '{}', null, null, null, 'open')"
AMOUNT = "update acc_journal_lines set base_debit_amount = base_debit_amount + 0.01 where"

SABOTAGE = [
    ("links", "wrong", f"update {LINES} set order_key = 'cedar_us:1' {LAST_ORDER}"),
    ("links", "missed", f"update {LINES} set order_key = null {LAST_ORDER}"),
    ("links", "missed", f"delete from {LINES} {LAST_ORDER}"),
    ("links", "invented", f"update {LINES} set order_key = 'cedar_us:1' where order_key is null"),
    ("links", "invented", f"insert into {LINES} values ('stripe_us:txn_none', 'cedar_us:1', 'matched')"),
    ("exceptions", "missed", "delete from rec_exceptions where exception_type = 'order_missing'"),
    ("exceptions", "missed", "update rec_exceptions set status = 'closed' where exception_type = 'dispute_open'"),
    ("exceptions", "invented", EXCEPTION.format("payout_residual", "business")),
    ("exceptions", "invented", "insert into rec_exceptions from rec_exceptions where exception_type = 'order_missing'"),
    ("technical", "invented", EXCEPTION.format("contract_violation", "technical")),
    ("payouts", "missed", f"delete from {SETTLEMENTS} {LAST_PAYOUT}"),
    ("payouts", "wrong", f"update {SETTLEMENTS} set residual_amount = 0.01 {LAST_PAYOUT}"),
    ("payouts", "wrong", f"update {SETTLEMENTS} set bank_line_key = 'bank_us:x:1' where bank_line_key is null"),
    ("payouts", "invented", f"insert into {SETTLEMENTS} values ('stripe_us:po_none', 0, null, 'in_transit')"),
    ("journals", "missed", f"delete from {ENTRIES} {LAST_ENTRY}"),
    ("journals", "wrong", f"update {ENTRIES} set posting_date = posting_date + 1 {LAST_ENTRY}"),
    ("journals", "wrong", f"update {ENTRIES} set posting_status = 'held' where entry_id like 'payout/%'"),
    ("journals", "wrong", "update acc_journal_lines set account_code = '1290' where account_code = '1100'"),
    ("journals", "wrong", f"{AMOUNT} account_code = '6100'"),
    ("journals", "invented", f"insert into {ENTRIES} values ('sale/cedar_us:none', '2026-10-01', 'held')"),
    ("held", "wrong", f"update {ENTRIES} set posting_status = 'ready' where posting_status = 'held'"),
    ("balances", "wrong", f"{AMOUNT} account_role = 'gateway_clearing' and base_debit_amount > 0"),
]


@pytest.mark.parametrize(("part", "kind", "statement"), SABOTAGE)
def test_every_mistake_costs(scored_home: Path, tmp_path: Path, part: str, kind: str, statement: str) -> None:
    """A mistake that the score does not see would be shipped as accuracy."""
    (tmp_path / "sandbox").mkdir()
    for name in ("sandbox/truth.json", "warehouse.duckdb"):
        (tmp_path / name).write_bytes((scored_home / name).read_bytes())
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute("use marts")
        warehouse.execute(statement)
    result = score(tmp_path)
    assert not result.ok
    assert getattr(result.parts()[part], kind), result.to_dict()


def test_held_entries_may_be_left_out(scored_home: Path, tmp_path: Path) -> None:
    """What must not be posted need not be in the desired ledger at all."""
    (tmp_path / "sandbox").mkdir()
    for name in ("sandbox/truth.json", "warehouse.duckdb"):
        (tmp_path / name).write_bytes((scored_home / name).read_bytes())
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute("delete from marts.acc_journal_entries where posting_status = 'held'")
    assert score(tmp_path).ok


def test_planted_data_faults_are_expected(scored_home: Path, tmp_path: Path) -> None:
    """A broken file must be reported as a technical exception, and only once it was planted."""
    generate(tmp_path, orders=60, days=30)
    (tmp_path / "warehouse.duckdb").write_bytes((scored_home / "warehouse.duckdb").read_bytes())
    assert score(tmp_path).ok
    corrupt_bank_file(tmp_path, "bank_us")
    assert score(tmp_path).technical.missed
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute(
            "insert into marts.rec_exceptions values ('x', 'contract_violation', 'technical', null, null, null, 'open')"
        )
    assert score(tmp_path).ok


def drop_a_mart(path: Path) -> None:
    with duckdb.connect(str(path)) as warehouse:
        warehouse.execute("drop table marts.rec_exceptions")


@pytest.mark.parametrize("spoil", [Path.unlink, drop_a_mart])
def test_missing_marts_are_named(scored_home: Path, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """Before the first run the message says what to run."""
    (tmp_path / "sandbox").mkdir()
    for name in ("sandbox/truth.json", "warehouse.duckdb"):
        (tmp_path / name).write_bytes((scored_home / name).read_bytes())
    spoil(tmp_path / "warehouse.duckdb")
    with pytest.raises(WarehouseNotReadyError, match="retail run"):
        score(tmp_path)


def test_without_a_world_there_is_nothing_to_score(tmp_path: Path) -> None:
    """The message says what to run."""
    with pytest.raises(FileNotFoundError, match="generate"):
        score(tmp_path)


def test_the_table_names_every_part(scored_home: Path) -> None:
    """What people read must show each comparison."""
    result = score(scored_home)
    written = StringIO()
    Console(width=200, file=written).print(result.table())
    for name in (*result.parts(), "amount_mismatch"):
        assert name in written.getvalue()
