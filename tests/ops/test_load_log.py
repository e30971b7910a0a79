"""The log of loads."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from retail_assets.contracts import table
from retail_assets.ops import load_log

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)


def log(
    store: Engine, resource: str, loaded: int, quarantined: int = 0, at: datetime = NOW, is_complete: bool = True
) -> None:
    load_log.record(
        store,
        system="woocommerce",
        instance_id="cedar_us",
        resource=resource,
        received=loaded + quarantined,
        loaded=loaded,
        quarantined=quarantined,
        loaded_at=at,
        run_id="run",
        is_complete=is_complete,
    )


def test_status_is_the_last_load_of_each_resource(store: Engine) -> None:
    """An older load must not hide that the newest one brought bad records."""
    log(store, "orders", 10)
    log(store, "orders", 3, 2, at=NOW + timedelta(hours=1))
    log(store, "orders", 9, at=NOW - timedelta(hours=1))
    log(store, "refunds", 1)
    rows = list(load_log.status_rows(store))
    assert [list(row) for row in rows] == [[column.name for column in table("ops", "load_status").columns]] * 2
    assert [(row["resource"], row["received"], row["loaded"], row["quarantined"]) for row in rows] == [
        ("orders", 5, 3, 2),
        ("refunds", 1, 1, 0),
    ]
    assert rows[0]["loaded_at"] == NOW + timedelta(hours=1)


def test_a_load_of_certain_records_does_not_tell_that_a_source_was_read(store: Engine) -> None:
    """One webhook hid that nobody had polled the store for days, and stock that was sold meanwhile was offered."""
    later = NOW + timedelta(days=4)
    log(store, "orders", 10)
    log(store, "orders", 1, 1, at=later, is_complete=False)
    log(store, "products", 1, at=later, is_complete=False)
    # With a fixed clock: what was asked for after a complete read takes nothing of it.
    log(store, "orders", 1, is_complete=False)
    assert [(row["resource"], row["loaded_at"], row["loaded"]) for row in load_log.status_rows(store)] == [
        ("orders", NOW, 10)
    ]
    assert load_log.last_loads(store) == {"cedar_us": NOW}
    (orders, products) = load_log.totals(store, ["cedar_us"], since=NOW, until=later)
    assert (orders["received"], orders["quarantined"], orders["last_complete_at"]) == (12, 1, NOW)
    assert (products["last_loaded_at"], products["last_complete_at"]) == (later, None)


def test_the_same_load_again_changes_nothing(store: Engine) -> None:
    """With a fixed clock a re-run must give the same log."""
    log(store, "orders", 10)
    log(store, "orders", 10)
    assert [row["loaded"] for row in load_log.status_rows(store)] == [10]


def test_counts_in_are_counts_out(store: Engine) -> None:
    """A record that is neither loaded nor in quarantine is lost."""
    with pytest.raises(load_log.CountMismatchError, match="1 unaccounted for"):
        load_log.record(
            store, system="a", instance_id="b", resource="c", received=10, loaded=8, quarantined=1, loaded_at=NOW
        )
