"""The Stripe ledger must obey Stripe's own arithmetic, or no model built on it can be trusted."""

from collections import defaultdict
from datetime import date
from decimal import Decimal

import pytest

from retail_assets.sandbox.generator import DEFAULT_AS_OF
from retail_assets.sandbox.profiles import CHANNELS, GATEWAYS
from tests.sandbox.conftest import State

AS_OF = int(DEFAULT_AS_OF.timestamp())
every_gateway = pytest.mark.parametrize("gateway_id", list(GATEWAYS))


@every_gateway
def test_net_is_amount_less_fee(world: State, gateway_id: str) -> None:
    """A line that does not foot cannot be booked."""
    for line in world.rows(gateway_id, "balance_transactions"):
        assert line["net"] == line["amount"] - line["fee"]
        assert line["fee"] == sum(part["amount"] for part in line["fee_details"])
        assert line["available_on"] >= line["created"]
        assert line["status"] == ("pending" if line["available_on"] > AS_OF else "available")
        assert line["currency"] == GATEWAYS[gateway_id].currency.lower()


@every_gateway
def test_lines_of_a_payout_add_up_to_it(world: State, gateway_id: str) -> None:
    """A payout that is not the sum of its lines would be a residual nobody planted."""
    lines = {line["id"]: line for line in world.rows(gateway_id, "balance_transactions")}
    nets: defaultdict[str, int] = defaultdict(int)
    for line_id, payout_id in world.table(
        gateway_id, "select id, payout from balance_transactions where payout is not null and type <> 'payout'"
    ):
        nets[payout_id] += lines[line_id]["net"]
    payouts = world.rows(gateway_id, "payouts")
    assert len(payouts) >= 4
    for payout in payouts:
        own = lines[payout["balance_transaction"]]
        assert nets.pop(payout["id"]) == payout["amount"]
        assert payout["amount"] > 0 or GATEWAYS[gateway_id].debits_bank
        assert (own["net"], own["fee"], own["type"], own["source"]) == (-payout["amount"], 0, "payout", payout["id"])
    assert not nets


@every_gateway
def test_activity_less_payouts_is_the_balance(world: State, gateway_id: str) -> None:
    """The clearing account is compared with the balance, so that the balance must follow from the lines."""
    lines = world.rows(gateway_id, "balance_transactions")
    activity = sum(line["net"] for line in lines if line["type"] != "payout")
    paid_out = sum(payout["amount"] for payout in world.rows(gateway_id, "payouts"))
    digits = 0 if GATEWAYS[gateway_id].currency == "JPY" else 2
    (balance,) = [one for one in world.truth["balances"] if one["gateway_id"] == gateway_id]
    assert Decimal(balance["amount"]) == Decimal(activity - paid_out).scaleb(-digits)


@every_gateway
def test_every_line_has_its_source(world: State, gateway_id: str) -> None:
    """A line whose object cannot be fetched breaks the way back to the order."""
    known = {"charge": "charges", "refund": "refunds", "adjustment": "disputes", "payout": "payouts"}
    known |= {"payout_failure": "payouts", "refund_failure": "refunds"}
    ids = {table: {one["id"]: one for one in world.rows(gateway_id, table)} for table in known.values()}
    for line in world.rows(gateway_id, "balance_transactions"):
        if line["type"] not in known:
            assert line["source"] is None
            continue
        source = ids[known[line["type"]]][line["source"]]
        if line["type"] in ("payout_failure", "refund_failure"):
            assert line["id"] == source["failure_balance_transaction"]
            continue
        if line["type"] == "charge" and line["id"] != source["balance_transaction"]:
            # A later capture: the charge names the first alone.
            assert line["created"] > source["created"]
            continue
        assert line["id"] in (source.get("balance_transaction"), *(source.get("balance_transactions") or []))
    for charge in ids["charges"].values():
        # Neither an authorisation nor a charge made for a test moves anything.
        moves = charge["status"] == "succeeded" and charge["captured"] and charge["livemode"]
        assert moves == (charge["balance_transaction"] is not None)


@every_gateway
def test_refunds_never_exceed_the_charge(world: State, gateway_id: str) -> None:
    """More refunded than captured is impossible at Stripe."""
    refunded: defaultdict[str, int] = defaultdict(int)
    for refund in world.rows(gateway_id, "refunds"):
        # What came back is not given.
        refunded[refund["charge"]] += refund["amount"] if refund["status"] == "succeeded" else 0
    for charge in world.rows(gateway_id, "charges"):
        assert charge["amount_refunded"] == refunded[charge["id"]] <= charge["amount_captured"]
        assert charge["refunded"] == (charge["amount_refunded"] == charge["amount"])


def test_fees_follow_each_account_s_own_model(world: State) -> None:
    """A wrong fee model would make fee checks pass against the wrong yardstick."""
    models = {"stripe_us": ("US", 290, 440, 30), "stripe_de": ("DE", 150, 325, 25), "stripe_jp": ("JP", 360, 360, 0)}
    for gateway_id, (home, near, far, fixed) in models.items():
        lines = {line["id"]: line for line in world.rows(gateway_id, "balance_transactions")}
        seen = set()
        for charge in world.rows(gateway_id, "charges"):
            if charge["balance_transaction"] is None:
                continue
            line = lines[charge["balance_transaction"]]
            at_home = charge["payment_method_details"]["card"]["country"] == home
            exact = Decimal(line["amount"] * (near if at_home else far)) / 10_000
            assert line["fee"] == int(exact.quantize(Decimal(1), rounding="ROUND_HALF_UP")) + fixed
            seen.add(at_home)
        assert seen == {True, False}


def test_pounds_are_settled_in_euros(world: State) -> None:
    """The converted amount is Stripe's; whoever recomputes it from the books' rate must find a difference."""
    charges = {charge["balance_transaction"]: charge for charge in world.rows("stripe_de", "charges")}
    converted = [line for line in world.rows("stripe_de", "balance_transactions") if line["exchange_rate"] is not None]
    refunds = {refund["balance_transaction"]: refund for refund in world.rows("stripe_de", "refunds")}
    # Two orders, and two that are refunded in part, at the rate of another day.
    assert [line["type"] for line in converted].count("charge") == 4
    assert [line["type"] for line in converted].count("refund") == 2
    for line in converted:
        source, sign = (charges[line["id"]], 1) if line["type"] == "charge" else (refunds[line["id"]], -1)
        assert (source["currency"], line["currency"]) == ("gbp", "eur")
        rate = Decimal(str(line["exchange_rate"]))
        assert sign * line["amount"] == int((source["amount"] * rate).quantize(Decimal(1), rounding="ROUND_HALF_UP"))
    fx_entries = [
        entry for entry in world.truth["journals"] if any(line["account_code"] == "6900" for line in entry["lines"])
    ]
    assert len(fx_entries) == 6


def test_payouts_keep_each_account_s_calendar(world: State) -> None:
    """Daily, weekly: the time between sale and cash is what cash-in-transit is about."""
    weekdays: dict[str, set[int]] = {}
    for payout in world.truth["payouts"]:
        gateway_id = payout["settlement_key"].partition(":")[0]
        created = date.fromisoformat(payout["created_on"])
        weekdays.setdefault(gateway_id, set()).add(created.weekday())
    stripe = {gateway_id: days for gateway_id, days in weekdays.items() if gateway_id in GATEWAYS}
    assert stripe == {"stripe_us": {0, 1, 2, 3, 4}, "stripe_de": {4}, "stripe_jp": {4}}
    for gateway_id in weekdays.keys() - stripe.keys():
        assert weekdays[gateway_id] <= CHANNELS[gateway_id].calendar.weekdays


def test_something_is_in_transit_and_something_pending(world: State) -> None:
    """The cut-off at the end of the simulated time needs money in every state."""
    assert any(payout["in_transit"] for payout in world.truth["payouts"])
    assert any(payout["bank_line"] is None and not payout["in_transit"] for payout in world.truth["payouts"])
    for gateway_id in GATEWAYS:
        statuses = {line["status"] for line in world.rows(gateway_id, "balance_transactions")}
        assert statuses == {"available", "pending"}


def test_failed_attempts_look_like_the_real_payment(world: State) -> None:
    """A failed attempt carries the same order in its metadata: only its status says that no money came."""
    failed = [charge for name in GATEWAYS for charge in world.rows(name, "charges") if charge["status"] == "failed"]
    assert len(failed) > 10
    for charge in failed:
        assert charge["metadata"]["order_id"]
        assert (charge["captured"], charge["amount_captured"], charge["balance_transaction"]) == (False, 0, None)
