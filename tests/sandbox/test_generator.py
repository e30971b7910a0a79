"""The generated world: the same bytes every time, the cases that were asked for, and nothing that looks like more."""

import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retail_assets.sandbox.generator import DEFAULT_AS_OF, generate, read_world
from retail_assets.sandbox.plan import AccountCase, Case, Evidence, StockCase, share_cases, share_orders
from retail_assets.sandbox.profiles import GATEWAYS, STORES
from tests.sandbox.conftest import State
from tests.sandbox.reconciler import candidates_of, find_exceptions


def digest(home: Path) -> dict[str, str]:
    """The hash of every generated file below ``home``; the ERP's database belongs to the server."""
    files = sorted(path for path in home.rglob("*") if path.is_file() and not path.name.startswith("erp.sqlite"))
    return {str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_parameters_give_the_same_bytes(world_home: Path, tmp_path: Path) -> None:
    """A clock, a hash or a set's order that slips into the generator makes every comparison between runs worthless."""
    (tmp_path / "inbox" / "bank_us").mkdir(parents=True)
    stale = tmp_path / "inbox" / "bank_us" / "bank_us_20200101_00001.xml"
    stale.write_text("an earlier world's statement")
    generate(tmp_path, orders=450)
    assert digest(tmp_path) == digest(world_home)


def test_another_seed_gives_another_world(world_home: Path, tmp_path: Path) -> None:
    """A seed that is ignored would make a hundred test worlds one."""
    generate(tmp_path, orders=450, seed=8)
    assert digest(tmp_path)["sandbox/truth.json"] != digest(world_home)["sandbox/truth.json"]


def test_a_new_world_starts_with_an_empty_erp(tmp_path: Path) -> None:
    """Postings of an earlier world must not survive into a new one; foreign files in the inbox must."""
    generate(tmp_path, orders=60, days=30)
    (tmp_path / "sandbox" / "erp.sqlite").write_text("posted")
    foreign = tmp_path / "inbox" / "bank_us" / "from_the_bank.xml"
    foreign.write_text("kept")
    generate(tmp_path, orders=60, days=30, seed=2)
    assert not (tmp_path / "sandbox" / "erp.sqlite").exists()
    assert foreign.read_text() == "kept"


def test_orders_and_cases_are_as_many_as_asked_for(world: State) -> None:
    """Too few planted cases would leave a model untested, too few orders would make the load test lie."""
    parameters = read_world(world.home)
    assert parameters is not None
    orders = {store_id: len(world.rows(store_id, "orders")) for store_id in STORES}
    assert sum(orders.values()) == 450
    assert orders == share_orders(450)
    planted = Counter(case["case"] for case in world.truth["cases"])
    of_accounts = {case.value: planted.pop(case.value) for case in AccountCase}
    assert [planted.pop(case.value) for case in StockCase] == [2, 2]
    assert planted == {case.value: 2 for case in Case if case is not Case.NONE} | {Case.TAX_DIFFERS.value: 1}
    # As many as there are payouts that reach the bank on one day.
    assert of_accounts.pop("several_payouts_in_one_deposit") in (2, 4, 6)
    # Each account has its loan with four repayments, its reserve and its top-up; one pays out less than nothing.
    assert of_accounts == {
        "negative_payout": 2, "payout_failed": 1, "reserve_held_and_released": 6, "topup": 3, "gateway_loan": 15,
        "donation": 3, "fees_and_their_tax": 6, "fees_on_refunds": 3, "unknown_line_type": 3,
        "payout_in_several_deposits": 1,
    }  # fmt: skip


def test_small_worlds_hold_one_of_each_case() -> None:
    """The quick tests of other parts use small worlds and still need every case."""
    for orders, each in ((60, 1), (299, 1), (300, 2), (200_000, 600)):
        counts = Counter(case for cases in share_cases(orders).values() for case in cases)
        assert counts == {case: each for case in Case if case is not Case.NONE} | {Case.TAX_DIFFERS: 1}, orders


def test_exceptions_of_the_world_are_the_planted_ones(world: State) -> None:
    """An accident that looks like a planted case would be reported as a model's mistake."""
    planted = {(found["exception_type"], found["subject"]) for found in world.truth["exceptions"]}
    assert find_exceptions(world) == planted


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), orders=st.integers(3, 150), days=st.integers(28, 80))
def test_no_seed_makes_an_unplanted_exception(
    tmp_path_factory: pytest.TempPathFactory, seed: int, orders: int, days: int
) -> None:
    """A rare collision (equal amounts, reused numbers) would show only for some seeds."""
    home = tmp_path_factory.mktemp("seeds")
    generate(home, seed=seed, orders=orders, days=days, as_of=DEFAULT_AS_OF + timedelta(days=seed % 40))
    state = State(home)
    planted = {(found["exception_type"], found["subject"]) for found in state.truth["exceptions"]}
    assert find_exceptions(state) == planted


def test_cases_that_must_be_found_are_older_than_the_grace(world: State) -> None:
    """Inside the grace days a model must wait, so that a younger case could be neither found nor missed."""
    as_of = int(DEFAULT_AS_OF.timestamp())
    for found in world.truth["exceptions"]:
        if found["case"] in set(StockCase):
            continue  # They are of now: what the second reconciliation finds is old enough.
        gateway_id = (found["settlement_line_key"] or "").partition(":")[0]
        if found["settlement_line_key"]:
            line_id = found["settlement_line_key"].partition(":")[2]
            ((created,),) = world.table(gateway_id, f"select created from balance_transactions where id = '{line_id}'")
        else:
            store_id, _, order_id = found["order_key"].partition(":")
            ((created,),) = world.table(store_id, f"select created from orders where id = {order_id}")
        assert created < as_of - 3 * 86_400, found


def test_no_order_has_two_cases(world: State) -> None:
    """Two cases on one order would make it unclear which of them a model found."""
    keys = [case["order_key"] for case in world.truth["cases"] if case["order_key"]]
    assert len(keys) == len(set(keys))


def test_every_kind_of_evidence_is_needed(world: State) -> None:
    """If one column tied every charge to its order, the ladder below it would never be tested."""
    seen: Counter[str] = Counter()
    for gateway in GATEWAYS.values():
        orders = world.rows(gateway.store_id, "orders")
        by_key = {order["transaction_id"] for order in orders} - {""}
        metas = {meta["value"] for order in orders for meta in order["meta_data"] if meta["key"] == "_stripe_intent_id"}
        for charge in world.rows(gateway.gateway_id, "charges"):
            if charge["status"] != "succeeded" or not candidates_of(charge, orders, gateway):
                continue
            metadata = charge["metadata"]
            if charge["id"] in by_key:
                seen[Evidence.CHARGE_ID] += 1
            elif charge["payment_intent"] in by_key:
                seen[Evidence.INTENT_ID] += 1
            elif charge["payment_intent"] in metas:
                seen[Evidence.INTENT_META] += 1
            elif "order_key" in metadata:
                seen[Evidence.ORDER_KEY] += 1
            elif "order_id" in metadata:
                seen[Evidence.ORDER_NUMBER] += 1
            elif "merchant_reference" in metadata:
                seen[Evidence.REFERENCE] += 1
            else:
                seen[Evidence.DESCRIPTION] += 1
    assert set(seen) == set(Evidence)
    assert seen[Evidence.CHARGE_ID] > sum(seen.values()) / 2


def test_order_numbers_of_one_store_are_other_orders_ids(world: State) -> None:
    """Only then does a model that takes the number for the id find the wrong order."""
    orders = world.rows("aoi_jp", "orders")
    ids = {str(order["id"]) for order in orders}
    assert all(str(order["id"]) != order["number"] for order in orders)
    assert any(order["number"] in ids for order in orders)


def test_month_ends_and_the_end_of_summer_time_lie_inside(world: State) -> None:
    """These are the dates at which accounting dates go wrong."""
    for store in STORES.values():
        offsets = {
            datetime.fromisoformat(f"{order['date_created_gmt']}+00:00").astimezone(ZoneInfo(store.zone)).utcoffset()
            for order in world.rows(store.store_id, "orders")
        }
        assert len(offsets) == (1 if store.store_id == "aoi_jp" else 2)
    across = [payout for payout in world.truth["payouts"] if payout["bank_line"]]
    across = [payout for payout in across if payout["created_on"][:7] < payout["bank_line"]["value_date"][:7]]
    assert {payout["settlement_key"].partition(":")[0] for payout in across} >= set(GATEWAYS)
    assert {payout["created_on"][:7] for payout in across} >= {"2026-10"}


def test_refunds_fall_into_the_payout_they_were_planted_for(world: State) -> None:
    """A refund "in the same payout" that is in a later one would test nothing new."""
    payouts: dict[str, dict[str, str | None]] = {}
    for link in world.truth["links"]:
        payouts.setdefault(link["order_key"], {})[link["line_type"]] = link["payout_id"]
    for case in world.truth["cases"]:
        lines = payouts.get(case["order_key"], {})
        if case["case"] == "refund_same_payout":
            assert lines["charge"] == lines["refund"] is not None
        elif case["case"].startswith("refund_later"):
            assert lines["charge"] is not None
            assert lines["refund"] is not None
            assert lines["charge"] != lines["refund"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [({"days": 5}, "days"), ({"orders": 2}, "orders"), ({"as_of": datetime(2026, 11, 5)}, "time zone")],  # noqa: DTZ001
)
def test_parameters_out_of_range_are_refused(tmp_path: Path, parameters: dict[str, Any], words: str) -> None:
    """A world that cannot hold its cases must not be made silently without them."""
    with pytest.raises(ValueError, match=words):
        generate(tmp_path, **parameters)
    assert not (tmp_path / "sandbox").exists()


def test_progress_is_told(tmp_path: Path) -> None:
    """A large world takes a minute; without progress it looks hung."""
    told: list[tuple[str, int, int]] = []
    generate(tmp_path, orders=1500, progress=lambda *step: told.append(step))
    assert told[0] == ("orders", 1000, 1500)
    assert told[-1] == ("orders", 1500, 1500)


def test_a_zone_of_as_of_does_not_matter(tmp_path: Path) -> None:
    """The same moment written in another zone is the same world."""
    first, second = tmp_path / "first", tmp_path / "second"
    generate(first, orders=60, days=30, as_of=datetime(2026, 11, 5, 12, tzinfo=UTC))
    generate(second, orders=60, days=30, as_of=datetime(2026, 11, 5, 21, tzinfo=ZoneInfo("Asia/Tokyo")))
    assert digest(first) == digest(second)
