"""Providers' records from one ledger, loaded and staged: every name and sum must come back as the ledger has it."""

import csv
from contextlib import ExitStack
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pytest

from retail_assets.money import exponents
from retail_assets.sandbox import adyen, klarna, mollie
from retail_assets.sandbox.ledgers import GatewayLedger, LedgerPayout, Movement
from retail_assets.settings import instance_of
from retail_assets.sources import adyen as adyen_source
from retail_assets.sources import klarna as klarna_source
from retail_assets.sources import mollie as mollie_source
from tests.dbt.compiled import Compiled
from tests.sources.loading import Home
from tests.support.server import running

NOW = datetime(2026, 4, 1, tzinfo=UTC)
START = int(datetime(2026, 3, 2, 10, tzinfo=UTC).timestamp())
DAY = 86_400


def _movement(serial: int, kind: Any, after: int, amount: int, fee: int = 0, **more: Any) -> Movement:
    order = more.pop("order", serial)
    number = None if order is None else str(1000 + order)
    return Movement(serial, kind, START + after, amount, fee, order, number, country="DE", description="…", **more)


LEDGER = GatewayLedger(
    "shop_eu",
    "EUR",
    "Europe/Berlin",
    "WC-",
    (
        _movement(1, "sale", 0, 12_000, 320, payout=1),
        _movement(2, "sale", 60, 5_000, 100, payout=1),
        _movement(3, "refund", 7_200, -2_000, order=1, refund_of=1, payout=1),
        _movement(4, "fee", 7_300, -150, order=None, payout=1),
        _movement(5, "chargeback", DAY, -5_000, 1_500, order=2, refund_of=2, payout=2),
        _movement(6, "chargeback_reversal", 2 * DAY, 5_000, order=2, refund_of=2, payout=2),
        _movement(7, "sale", 2 * DAY + 60, 30_000, 600, payout=2),
    ),
    (
        LedgerPayout(1, START + 80_000, date(2026, 3, 4), 14_430),
        LedgerPayout(2, START + 300_000, date(2026, 3, 7), 27_900),
    ),
)
PROVIDERS: dict[str, ModuleType] = {"adyen": adyen, "mollie": mollie, "klarna": klarna}
pytestmark = pytest.mark.slow
every_provider = pytest.mark.parametrize("system", PROVIDERS)


@pytest.fixture(scope="module")
def staged(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One warehouse with the ledger as each provider tells it, staged."""
    path = tmp_path_factory.mktemp("home")
    home = Home(path)
    block = {"entity": "DE", "bank": "bank_de", "stores": [{"store": "shop_de"}]}
    inbox = path / "inbox"
    inbox.mkdir()
    adyen.write_files(LEDGER, inbox)
    with ExitStack() as stack:
        urls = {
            "mollie": stack.enter_context(running(mollie.create_app(LEDGER, "key", NOW))),
            "klarna": stack.enter_context(running(klarna.create_app(LEDGER, "user", "key", NOW))),
        }
        keys = {"mollie": {"api_key": "key"}, "klarna": {"username": "user", "password": "key"}}
        sources: dict[str, ModuleType] = {"adyen": adyen_source, "mollie": mollie_source, "klarna": klarna_source}
        for system, source in sources.items():
            own = {"base_url": urls[system], **keys[system]} if system in urls else {"folder": "adyen"}
            configured = instance_of("gateways", {"id": system, "system": system, **block, **own})
            home.load(system, system, lambda intake, s=source, c=configured: s.build(c, intake, inbox))
    with duckdb.connect(str(home.warehouse)) as connection:
        statement = "insert into raw_ops.currency_exponents (provider, currency_code, exponent) values (?, ?, ?)"
        connection.executemany(statement, [list(one) for one in exponents() if one[1] == "EUR"])
    made = project.of_loaded(home.warehouse, path / "staged")
    made.execute(";\n".join(one for one in project.statements if '."staging".' in one.split(" as ")[0]))
    return Home(made.home)


def cents(minor: int) -> Decimal:
    return Decimal(minor) / 100


@every_provider
def test_lines_have_the_ledger_s_names_and_amounts(staged: Home, system: str) -> None:
    """The truth named lines that the models call otherwise, or an amount changed on its way."""
    provider = PROVIDERS[system]
    found = {
        line: amounts
        for line, *amounts in staged.query(
            f"select line_id, gross_amount, fee_amount, net_amount, epoch(booked_at)::bigint "
            f"from staging.stg_{system}__settlement_lines"
        )
    }
    for movement in LEDGER.movements:
        if movement.kind in ("sale", "refund"):
            expected = [cents(movement.amount), cents(movement.fee), cents(movement.net), movement.at]
            assert found[provider.line_id_of(movement)] == expected
    moved = staged.one(f"select sum(net_amount) from staging.stg_{system}__settlement_lines")
    assert moved == 0, "everything was paid out"


@every_provider
def test_payouts_have_the_ledger_s_names_and_foot(staged: Home, system: str) -> None:
    """A payout that does not add up, or that the truth calls otherwise."""
    found = staged.query(
        f"select p.payout_id, p.payout_amount, (select sum(l.net_amount) from staging.stg_{system}__payout_lines m "
        f"join staging.stg_{system}__settlement_lines l using (settlement_line_key) "
        f"where m.settlement_key = p.settlement_key) from staging.stg_{system}__payouts p order by p.created_at"
    )
    assert found == [
        (PROVIDERS[system].payout_id_of(payout), cents(payout.amount), cents(payout.amount))
        for payout in LEDGER.payouts
    ]


@every_provider
def test_payments_refunds_and_disputes_are_tied_together(staged: Home, system: str) -> None:
    """A refund or dispute that names another payment than the order's."""
    provider = PROVIDERS[system]
    sales = [movement for movement in LEDGER.movements if movement.kind == "sale"]
    payments = dict(staged.query(f"select payment_id, captured_amount from staging.stg_{system}__payments"))
    assert payments == {provider.payment_id_of(sale): cents(sale.amount) for sale in sales}
    (refund,) = staged.query(
        f"select gateway_refund_id, payment_id, refund_amount, refund_status from staging.stg_{system}__refunds"
    )
    given_back = LEDGER.movements[2]
    expected = (provider.refund_id_of(given_back), provider.payment_id_of(sales[0]), Decimal(20), "succeeded")
    assert refund == expected
    disputes = staged.query(f"select payment_id, dispute_amount, dispute_status from staging.stg_{system}__disputes")
    assert disputes == [(provider.payment_id_of(sales[1]), Decimal(50), "won")]


def test_fees_of_adyen_are_named_within_their_account(staged: Home) -> None:
    """A fee without a payment could not be found again."""
    fee = LEDGER.movements[3]
    line = adyen.fee_line_id_of(LEDGER, fee)
    found = staged.query("select net_amount from staging.stg_adyen__settlement_lines where line_id = ?", line)
    assert found == [(Decimal("-1.50"),)]
    with pytest.raises(ValueError, match="no line of its own name"):
        adyen.line_id_of(fee)


@pytest.mark.parametrize("columns", [adyen.CLASSIC_COLUMNS, adyen.LATER_COLUMNS])
def test_reports_of_adyen_foot_and_are_the_same_each_time(tmp_path: Path, columns: tuple[str, ...]) -> None:
    """A batch that does not add up to zero would be an exception in the demo that nobody planted."""
    first = [path.read_bytes() for path in adyen.write_files(LEDGER, tmp_path, columns)]
    again = adyen.write_files(LEDGER, tmp_path, columns)
    assert [path.read_bytes() for path in again] == first
    assert [path.name for path in again] == [f"settlement_detail_report_batch_{n}.csv" for n in (1, 2)]
    for path in again:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert tuple(rows[0]) == columns
        credit, debit = (sum(Decimal(row[f"Net {side} (NC)"] or 0) for row in rows) for side in ("Credit", "Debit"))
        assert credit == debit
        assert {row["TimeZone"] for row in rows} == {"CET"}
