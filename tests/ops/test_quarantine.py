"""Records that broke their contract."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from retail_assets.contracts import table
from retail_assets.ops import quarantine
from retail_assets.ops.quarantine import Rejection

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def rejection(key: str = "1001", payload: bytes = b'{"id": 1001}', **changes: str) -> Rejection:
    values = {"field": "total", "value": "abc", "reason": "is not a number", "origin": "page 1"} | changes
    return Rejection(record_key=key, payload=payload, **values)


def put(store: Engine, *rejections: Rejection, now: datetime = NOW) -> int:
    return quarantine.record(
        store, system="woocommerce", instance_id="cedar_us", table_name="orders", rejections=rejections, now=now
    )


def test_rows_have_the_columns_of_the_contract(store: Engine) -> None:
    """The warehouse reads these rows by the names of the contract."""
    put(store, rejection())
    (row,) = quarantine.rows(store)
    assert list(row) == [column.name for column in table("ops", "quarantine").columns]
    assert (row["status"], row["first_seen_at"], row["last_seen_at"]) == ("open", NOW, NOW)


def test_the_record_is_kept_byte_for_byte(store: Engine) -> None:
    """Nothing is lost: a refused record must be there to be replayed, even if it is no text at all."""
    broken = b'\xff\xfe{"total": "1,5\x00"'
    put(store, rejection(payload=broken))
    (row,) = quarantine.rows(store)
    assert quarantine.payload(store, row["quarantine_id"]) == broken


def test_the_same_record_again_only_moves_the_last_seen(store: Engine) -> None:
    """Overlapping loads refuse a record many times; each would otherwise count as a new failure."""
    put(store, rejection())
    assert put(store, rejection(), rejection(), now=LATER) == 1
    (row,) = quarantine.rows(store)
    assert (row["first_seen_at"], row["last_seen_at"]) == (NOW, LATER)


def test_ids_depend_on_what_was_refused_and_why(store: Engine) -> None:
    """One id for two faults would hide one of them."""
    put(store, rejection(), rejection(field="status"), rejection(reason="is negative"), rejection(payload=b"{}"))
    put(store, rejection(origin="page 2"))
    assert len(list(quarantine.rows(store))) == 4


def test_a_good_version_supersedes(store: Engine) -> None:
    """A mended record must leave the open list, and only that record."""
    put(store, rejection("1001"), rejection("1001", field="status"), rejection("1002", payload=b"2"))
    keys = ["999", "1001"]
    assert quarantine.supersede(store, "woocommerce", "linden_de", "orders", keys, LATER) == 0
    assert quarantine.supersede(store, "woocommerce", "cedar_us", "orders", keys, LATER) == 2
    assert quarantine.supersede(store, "woocommerce", "cedar_us", "orders", keys, LATER) == 0
    assert [row["record_key"] for row in quarantine.rows(store, status="open")] == ["1002"]


def test_a_record_that_turns_bad_again_is_open_again(store: Engine) -> None:
    """The same bad version, sent again after a good one, would pass unseen, or as what somebody resolved long ago."""
    put(store, rejection())
    quarantine.supersede(store, "woocommerce", "cedar_us", "orders", ["1001"], NOW)
    put(store, rejection(), now=LATER)
    assert [(row["status"], row["first_seen_at"]) for row in quarantine.rows(store)] == [("open", LATER)]


def test_texts_no_database_takes_are_taken(store: Engine) -> None:
    """Broken records hold NUL characters and lone surrogates, which must not break their quarantine."""
    put(store, rejection(value="a\x00b\ud800" + "x" * 500, reason="holds \x00"))
    (row,) = quarantine.rows(store)
    assert row["value"].startswith("a\\x00b\\ud800xx")
    assert len(row["value"]) == 200


def test_unknown_id(store: Engine) -> None:
    """An empty payload for an unknown id would be replayed as an empty record."""
    with pytest.raises(KeyError):
        quarantine.payload(store, "nothing")
