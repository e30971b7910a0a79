"""Depths of the queues in the operations store."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, insert

from retail_assets.ops import queues
from retail_assets.ops.models import webhook_inbox
from retail_assets.ops.quarantine import Rejection, record
from retail_assets.ops.store import writing

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)


def test_what_waits_is_counted_with_the_age_of_the_oldest(store: Engine) -> None:
    """A backlog that grows behind a closed door is found when the month is."""
    for minutes, key in ((0, "1"), (5, "2")):
        rejection = Rejection(key, "total", "x", "is no amount", "page 1", key.encode())
        at = NOW + timedelta(minutes=minutes)
        record(store, system="stripe", instance_id="stripe_us", table_name="charges", rejections=[rejection], now=at)
    with writing(store) as connection:
        for number, state in enumerate(("received", "received", "done", "dead")):
            identity = {"identity": bytes([number]), "body_sha256": "0" * 64, "trace_id": "0" * 32}
            event = {**identity, "body": b"", "attempts": 0}
            at = NOW - timedelta(minutes=number)
            connection.execute(insert(webhook_inbox).values(source="cedar_us", state=state, received_at=at, **event))
    assert [tuple(row.values()) for row in queues.depths(store)] == [
        ("webhook_inbox", "cedar_us", "dead", 1, NOW - timedelta(minutes=3)),
        ("webhook_inbox", "cedar_us", "received", 2, NOW - timedelta(minutes=1)),
        ("quarantine", "stripe_us", "open", 2, NOW),
    ]
