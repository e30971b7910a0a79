"""The ground truth must be consistent in itself before anything is measured against it."""

from collections import Counter, defaultdict
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from retail_assets.sandbox import paypal
from retail_assets.sandbox.generator import DEFAULT_AS_OF, generate
from retail_assets.sandbox.ledgers import GatewayLedger
from retail_assets.sandbox.profiles import CHANNELS, GATEWAYS, STORES, clearing_account_of
from tests.sandbox.conftest import State


def test_every_true_entry_balances(world: State) -> None:
    """An unbalanced truth would ask the models for an unbalanced ledger."""
    for entry in world.truth["journals"]:
        debit = sum(Decimal(line["debit"]) for line in entry["lines"])
        credit = sum(Decimal(line["credit"]) for line in entry["lines"])
        assert debit == credit > 0, entry["entry_id"]
        assert all((Decimal(line["debit"]) > 0) != (Decimal(line["credit"]) > 0) for line in entry["lines"])


def test_true_entries_are_unique(world: State) -> None:
    """Two entries of one id would hide one of them in every comparison."""
    counts = Counter(entry["entry_id"] for entry in world.truth["journals"])
    assert max(counts.values()) == 1
    # The key that an ERP keeps, 140 characters at most, is this and a revision.
    assert all(len(entry_id) <= 120 for entry_id in counts)


def test_clearing_is_what_the_gateway_holds(world: State) -> None:
    """Promise of the design: the clearing account equals the gateway's balance."""
    moved: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for entry in world.truth["journals"]:
        for line in entry["lines"]:
            moved[entry["entity_code"], line["account_code"]] += Decimal(line["debit"]) - Decimal(line["credit"])
    assert {balance["gateway_id"] for balance in world.truth["balances"]} == {*GATEWAYS, *CHANNELS}
    for balance in world.truth["balances"]:
        assert moved[clearing_account_of(balance["gateway_id"])] == Decimal(balance["amount"])


def test_receivables_are_open_only_for_money_that_cannot_be_explained(world: State) -> None:
    """A normal order must close to zero; what is left over belongs to planted cases."""
    # A refund that one side alone knows leaves the customer's account at what that side says.
    open_cases = ("amount_mismatch", "order_edited_after_payment", "refund_missing_in_gateway", "refund_failed")
    mismatched = {case["order_key"] for case in world.truth["cases"] if case["case"] in open_cases}
    lines = {link["settlement_line_key"]: link["order_key"] for link in world.truth["links"]}
    refunds = {}
    for store_id in STORES:
        refunds |= {
            f"{store_id}:{one['id']}": f"{store_id}:{one['parent_id']}" for one in world.rows(store_id, "refunds")
        }
    open_amounts: defaultdict[str | None, Decimal] = defaultdict(Decimal)
    together: defaultdict[str, Decimal] = defaultdict(Decimal)
    for entry in world.truth["journals"]:
        kind, _, key = entry["entry_id"].partition("/")
        order_key = {"sale": key, "line": lines.get(key), "refund": refunds.get(key)}.get(kind)
        for line in entry["lines"]:
            if line["account_code"] == "1100":
                open_amounts[order_key] += Decimal(line["debit"]) - Decimal(line["credit"])
                if order_key not in mismatched:
                    together[entry["entity_code"]] += Decimal(line["debit"]) - Decimal(line["credit"])
    still_open = {key for key, amount in open_amounts.items() if amount}
    assert mismatched <= still_open
    # A charge for several orders belongs to none of them alone: they close together.
    several = [case for case in world.truth["cases"] if case["case"] == "several_orders_in_one_charge"]
    assert len(still_open - mismatched - {None}) == 2 * len(several)
    assert not any(together.values())


def test_unexplained_money_is_parked_one_entry_per_line(world: State) -> None:
    """Suspense holds exactly the lines that no order explains."""
    parked = {
        entry["entry_id"].removeprefix("line/")
        for entry in world.truth["journals"]
        if any(line["account_code"] == "1290" for line in entry["lines"])
    }
    unexplained = (
        "refund_missing_in_store",
        "order_missing",
        "duplicate_payment",
        "amount_mismatch",
        "order_edited_after_payment",
        "unknown_line_type",
    )
    known = {case["settlement_line_key"] for case in world.truth["cases"] if case["case"] in unexplained}
    # A refund that failed went and came back, and nobody has the money yet.
    failed = {case["order_key"] for case in world.truth["cases"] if case["case"] == "refund_failed"}
    known |= {
        link["settlement_line_key"]
        for link in world.truth["links"]
        if link["order_key"] in failed and link["line_type"] in ("refund", "refund_failure")
    }
    assert parked == known


def test_every_line_of_the_ledger_is_linked(world: State) -> None:
    """A line without a true answer could not be scored."""
    links = {
        link["settlement_line_key"]
        for link in world.truth["links"]
        if link["settlement_line_key"].partition(":")[0] in GATEWAYS
    }
    lines = {
        f"{gateway_id}:{line['id']}"
        for gateway_id in GATEWAYS
        for line in world.rows(gateway_id, "balance_transactions")
        if line["type"] != "payout"
    }
    assert links == lines


def test_sales_wait_only_where_something_is_doubtful(world: State) -> None:
    """A dispute does not undo a sale; a wrong amount or a double payment makes it doubtful."""
    held = {entry["entry_id"] for entry in world.truth["journals"] if entry["held"]}
    doubtful = {"amount_mismatch", "duplicate_payment", "order_edited_after_payment"}
    one_sided = {"refund_missing_in_store", "refund_missing_in_gateway", "refund_failed"}
    cases = [case for case in world.truth["cases"] if case["case"] in doubtful | one_sided]
    assert {key for key in held if key.startswith("sale/")} == {f"sale/{case['order_key']}" for case in cases}
    # A credit note waits where nobody has paid it.
    unpaid = [case for case in cases if case["case"] in ("refund_missing_in_gateway", "refund_failed")]
    assert sum(key.startswith("refund/") for key in held) == len(unpaid)


def test_rounding_appears_only_where_currencies_meet(world: State) -> None:
    """In base currency an order adds up to the cent, so a rounding line elsewhere would be a plug."""
    converted = {case["order_key"] for case in world.truth["cases"] if case["case"].startswith("fx_")}
    for entry in world.truth["journals"]:
        if any(line["account_code"] == "6910" for line in entry["lines"]):
            assert entry["entry_id"].removeprefix("sale/") in converted


def test_the_truth_holds_only_what_a_provider_already_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PayPal's reports are hours behind: what nobody can have loaded yet must not be asked for."""
    monkeypatch.setattr(paypal, "LAG", timedelta(days=9))
    generate(tmp_path, orders=450)
    told = (tmp_path / "sandbox" / "paypal_us.ledger.json").read_bytes()
    ledger = msgspec.json.decode(told, type=GatewayLedger)
    horizon = (DEFAULT_AS_OF - paypal.LAG).timestamp()
    late = {f"paypal_us:{paypal.line_id_of(one)}" for one in ledger.movements if one.at > horizon}
    assert late
    truth = State(tmp_path).truth
    assert not late & {link["settlement_line_key"] for link in truth["links"]}
    assert not late & {entry["entry_id"].removeprefix("line/") for entry in truth["journals"]}
    assert all(payout.at <= horizon for payout in ledger.payouts)
