"""The door of a source: what comes in is loaded or quarantined, and both is counted."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from retail_assets.contracts import table
from retail_assets.ops.load_log import CountMismatchError
from retail_assets.sources.intake import Intake, merge_item
from retail_assets.sources.records import convert
from retail_assets.sources.textrows import convert_text
from tests.sources.loading import NOW, Home

LEDGER = table("stripe", "balance_transactions")


@pytest.fixture
def intake(home: Home) -> Iterator[Intake]:
    """An intake that is closed afterwards."""
    made = Intake("stripe", "stripe_us", NOW, home.operations_url)
    yield made
    made.close()


def line(**changes: object) -> bytes:
    return json.dumps(
        {
            "id": "txn_1",
            "amount": 1,
            "fee": 0,
            "net": 1,
            "currency": "usd",
            "type": "charge",
            "reporting_category": "charge",
            "created": 1,
            **changes,
        }
    ).encode()


def test_rejections_are_stored_before_the_rest_is_handed_on(home: Home, intake: Intake) -> None:
    """A crash between load and quarantine lost the records that the load had left out."""
    batch = convert(LEDGER, [line(), line(id="txn_2", net="x")], instance="stripe_us", loaded_at=NOW, origin="o")
    items = intake.take(batch, "balance_transactions")
    next(items)
    assert [row["record_key"] for row in home.quarantined()] == ["txn_2"]
    assert intake.counts["balance_transactions"].received == 2
    list(items)
    intake.log("run 1")
    assert home.logged() == {"balance_transactions": (2, 1, 1)}


def test_the_same_rejection_is_one_rejection(home: Home, intake: Intake) -> None:
    """Every run added the same bad record again, and the open alarms could no longer be counted."""
    for _ in range(3):
        batch = convert(LEDGER, [line(net="x")], instance="stripe_us", loaded_at=NOW, origin="o")
        list(intake.take(batch, "balance_transactions"))
        intake.now += timedelta(hours=1)
    (row,) = home.quarantined()
    assert (row["first_seen_at"], row["last_seen_at"]) == (NOW, NOW + timedelta(hours=2))


def test_only_a_load_that_read_everything_is_logged_as_such(home: Home, intake: Intake) -> None:
    """One order that a webhook told of, or a portion of a backfill, counted as a load of all orders."""
    intake.asked = {"charges": [1]}
    intake.counts_of("charges").received = intake.counts_of("charges").loaded = 1
    intake.log("webhook")
    assert home.logged() == {}
    intake.counts_of("charges").received = 2
    with pytest.raises(CountMismatchError, match="1 unaccounted for"):
        intake.log("webhook")
    intake.asked = {}
    intake.counts_of("charges").loaded = intake.counts_of("refunds").received = intake.counts_of("refunds").loaded = 2
    intake.more("charges")
    intake.log("first portion")
    assert home.logged() == {"refunds": (2, 2, 0)}
    intake.unfinished.clear()
    intake.log("last portion")
    assert home.logged() == {"charges": (2, 2, 0), "refunds": (2, 2, 0)}


def test_a_record_lost_in_our_own_hands_stops_the_load(intake: Intake) -> None:
    """Counts that do not add up were logged as if they did."""
    intake.counts_of("refunds").received = 3
    intake.counts_of("refunds").loaded = 2
    with pytest.raises(CountMismatchError, match="1 unaccounted for"):
        intake.log()


def test_the_operations_store_is_opened_when_it_is_needed(tmp_path: Path) -> None:
    """Naming the assets opened, and so created, the operations store."""
    made = Intake("stripe", "stripe_us", NOW, f"sqlite:///{tmp_path / 'operations.sqlite'}")
    made.counts_of("refunds")
    made.close()
    assert not list(tmp_path.iterdir())


def test_children_replace_by_their_parent() -> None:
    """Without the parent's key as merge key a removed line stays for ever."""
    child = table("woocommerce", "order_lines")
    batch = convert(table("woocommerce", "orders"), [], instance="cedar_us", loaded_at=NOW, origin="o")
    assert batch.loaded == 0
    hints = merge_item(child, None).meta.hints
    assert hints["merge_key"] == ["store_id", "order_id"]
    assert hints["primary_key"] == ["store_id", "order_id", "id"]
    assert hints["columns"]["_deleted"]["hard_delete"] is True


def test_a_column_that_comes_or_goes_is_drift(home: Home) -> None:
    """An acquirer renamed a column of its files, and the models went on with nothing in its place."""

    def loaded(hours: int, *headers: str) -> list[str]:
        now = NOW + timedelta(hours=hours)
        with closing(Intake("adyen", "adyen_eu", now, home.operations_url)) as intake:
            contract = table("adyen", "accounting_entries")
            raw = pa.table({header: ["x"] for header in headers})
            batch = convert_text(contract, {}, instance="adyen_eu", loaded_at=now, origin="o", raw=raw, row_numbers=[2])
            list(intake.take(batch, contract.name))
            intake.log()
            return [str(drift) for drift in intake.drifts]

    assert loaded(0, "Type", "Order No.", "Fee") == []
    assert loaded(1, "Fee", "Type", "Order No.") == []
    assert loaded(2, "Type", "Cost", "Fee") == [
        "accounting_entries: new field Cost (text)",
        "accounting_entries: field Order No. (text) is in no record any more",
    ]
    assert loaded(3, "Type", "Cost", "Fee") == []
