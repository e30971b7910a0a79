"""Claims of fees: what a gateway charged more than its contract says, and nothing else."""

import csv
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from retail_assets.cli import app
from tests.support.chain import environment

_FEES = (
    "settlement_line_key varchar, settlement_key varchar, gateway_id varchar, order_key varchar, "
    "fee_rule_id varchar, fee_status varchar, payment_method_type varchar, card_brand varchar, card_country varchar, "
    "card_region varchar, currency_code varchar, basis_amount decimal(18, 4), expected_fee_amount decimal(18, 4), "
    "actual_fee_amount decimal(18, 4), difference_amount decimal(18, 4), accounting_date date, booked_at timestamp"
)
_LINES = [
    # line, gateway, status, expected, actual, difference, day
    ("a", "stripe_us", "fee_variance", "3.20", "3.70", "0.50", "2026-10-31"),
    ("b", "stripe_us", "fee_variance", "3.20", "3.00", "-0.20", "2026-10-31"),
    ("c", "stripe_us", "matched_tolerance", "3.20", "3.21", "0.01", "2026-10-31"),
    ("d", "stripe_us", "fee_variance", "3.20", "4.20", "1.00", "2026-11-01"),
    ("e", "stripe_de", "fee_variance", "3.20", "9.20", "6.00", "2026-10-31"),
]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A warehouse with the marts that the claim reads."""
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("create schema marts")
        connection.execute(f"create table marts.rec_fees ({_FEES})")
        connection.execute(
            "create table marts.fct_settlement_lines (settlement_line_key varchar, line_id varchar, source_id varchar)"
        )
        for line, gateway, status, expected, actual, difference, day in _LINES:
            connection.execute(
                "insert into marts.rec_fees values (?, 'po', ?, '=1+1', 'home', ?, 'card', 'visa', 'US', 'domestic', "
                "'USD', 100, ?, ?, ?, ?, ?)",
                [line, gateway, status, expected, actual, difference, day, f"{day} 10:00:00"],
            )
            connection.execute("insert into marts.fct_settlement_lines values (?, ?, ?)", [line, line, f"ch_{line}"])
    with environment({"RETAIL_HOME": str(tmp_path)}):
        yield tmp_path


def test_a_claim_holds_what_was_overcharged_and_nothing_else(home: Path) -> None:
    """A claim with a line that agrees, or one of another acquirer, is refused whole."""
    shown = CliRunner().invoke(app, ["fees", "claim", "stripe_us"])
    assert shown.exit_code == 0
    assert "1.50 USD in 2 lines" in shown.output
    with (home / "exports" / "fee_claim_stripe_us_all.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["line_id"], row["payment_id"], row["difference_amount"]) for row in found] == [
        ("a", "ch_a", "0.5000"),
        ("d", "ch_d", "1.0000"),
    ]
    # What comes from outside must not run as a formula in the spreadsheet of whoever reads the claim.
    assert found[0]["order_key"] == "'=1+1"
    assert [path.name for path in (home / "exports").iterdir()] == ["fee_claim_stripe_us_all.csv"]


def test_a_claim_of_one_month(home: Path) -> None:
    """Acquirers settle claims by month; a line of another one would be claimed twice."""
    shown = CliRunner().invoke(app, ["fees", "claim", "stripe_us", "--month", "2026-11", "--json"])
    assert shown.exit_code == 0
    with (home / "exports" / "fee_claim_stripe_us_2026-11.csv").open(encoding="utf-8", newline="") as file:
        assert [row["line_id"] for row in csv.DictReader(file)] == ["d"]


def test_nothing_to_claim_writes_no_file(home: Path) -> None:
    """An empty claim would be sent."""
    shown = CliRunner().invoke(app, ["fees", "claim", "stripe_jp"])
    assert shown.exit_code == 0
    assert "nothing more" in shown.output
    assert not (home / "exports").exists()


@pytest.mark.parametrize("arguments", [["stripe_xx"], ["stripe_us", "--month", "2026-13"]])
def test_an_unknown_gateway_or_month_is_refused(home: Path, arguments: list[str]) -> None:
    """A mistyped gateway looked like one that charges what it should."""
    assert CliRunner().invoke(app, ["fees", "claim", *arguments]).exit_code == 2
