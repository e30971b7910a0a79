"""Changes in the shape of records: noticed once, by field, and not invented."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from retail_assets.contracts import table
from retail_assets.ops import drift
from retail_assets.sources.observed import Observation

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
ORDER: dict[str, Any] = {"id": 1, "total": "9.50", "billing": {"email": "a@b.example"}, "line_items": [{"sku": "A"}]}


def seen(engine: Engine, *records: dict[str, Any], at: datetime = NOW) -> list[str]:
    """What a load of these orders notices."""
    observation = Observation()
    observation.look_at(table("woocommerce", "orders"), [json.dumps(record).encode() for record in records])
    found = drift.record(
        engine, system="woocommerce", instance_id="cedar_us", observations={"orders": observation}, now=at
    )
    return [str(one) for one in found]


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ORDER.items() if key != name}


def test_the_first_load_is_the_measure(store: Engine) -> None:
    """A new store reports a hundred new fields."""
    assert seen(store, *[ORDER] * 12) == []
    assert seen(store, *[ORDER] * 12, at=NOW + timedelta(hours=1)) == []


def test_a_new_field_is_reported_once(store: Engine) -> None:
    """A plugin's field goes unnoticed, or is reported on every run for ever."""
    seen(store, *[ORDER] * 12)
    changed = {**ORDER, "gift_cards": [{"code": "X"}], "billing": {"email": "x", "vat": "DE1"}}
    assert seen(store, changed) == [
        "orders: new field billing.vat (text)",
        "orders: new field gift_cards (list)",
        "orders: new field gift_cards[].code (text)",
    ]
    assert seen(store, changed) == []
    assert [row["kind"] for row in drift.rows(store)] == ["added"] * 3


def test_a_dropped_field_is_reported_once_and_its_return_is_news(store: Engine) -> None:
    """A field that a plugin took away turns to null in silence."""
    seen(store, *[ORDER] * 12)
    assert seen(store, *[without("total")] * 9) == []  # too few to tell
    seen(store, *[ORDER] * 12, at=NOW + timedelta(hours=1))
    assert seen(store, *[without("billing")] * 12) == ["orders: field billing (object) is in no record any more"]
    assert seen(store, *[without("billing")] * 12) == []
    assert "orders: new field billing (object)" in seen(store, *[ORDER] * 12)


def test_a_field_that_only_some_records_have_is_not_dropped(store: Engine) -> None:
    """Optional fields raise an alarm on each quiet day."""
    seen(store, *[ORDER] * 6, *[without("total")] * 6)
    assert seen(store, *[without("total")] * 12) == []


def test_a_type_that_flips_is_reported(store: Engine) -> None:
    """Amounts that become numbers reach the books through a float."""
    seen(store, *[ORDER] * 12)
    assert seen(store, {**ORDER, "total": 9.5}) == ["orders: field total was text, is now number"]
    assert seen(store, {**ORDER, "total": 9.5}) == []


def test_empty_and_null_are_no_type(store: Engine) -> None:
    """PHP writes [] for an empty object, and null for what is not set yet."""
    seen(store, *[ORDER] * 12)
    assert seen(store, {**ORDER, "billing": [], "line_items": [], "total": None}) == []


def test_instances_have_shapes_of_their_own(store: Engine) -> None:
    """One shop's plugin is another shop's alarm."""
    seen(store, *[ORDER] * 12)
    observation = Observation()
    observation.look_at(table("woocommerce", "orders"), [b'{"id": 1, "other": true}'])
    observations = {"orders": observation}
    assert drift.record(store, system="woocommerce", instance_id="aoi_jp", observations=observations, now=NOW) == []


def test_long_pages_are_sampled_and_broken_records_skipped(store: Engine) -> None:
    """Looking at every record of a backfill costs more than loading it; a broken one ends the load."""
    observation = Observation()
    observation.look_at(table("woocommerce", "orders"), [b'{"id": 1}'] * 100)
    assert observation.records <= 6
    observation.look_at(table("woocommerce", "orders"), [b"{", b"[1]", b'{"id": \xff}', b'{"id": 2}'])
    assert observation.fields["id"].count == observation.records
