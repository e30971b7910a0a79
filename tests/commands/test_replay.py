"""Replaying: a source is read again, a record corrected and loaded; who did it, why and what came of it is kept."""

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from rich.console import Console

from retail_assets.cli import _print_replayed  # pyright: ignore[reportPrivateUsage]
from retail_assets.commands import CommandError
from retail_assets.commands.replay import (
    edited,
    replay_inbox,
    replay_order,
    replay_quarantined,
    replay_rows,
    replay_source,
)
from retail_assets.contracts import table
from retail_assets.ops import audit, inbox, quarantine
from retail_assets.ops.store import open_store, writing
from retail_assets.sandbox.datafaults import impossible_order
from tests.support.chain import Retailer, retailer

pytestmark = pytest.mark.slow

QUIET = Console(file=io.StringIO())


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retailer]:
    with retailer(tmp_path_factory.mktemp("home"), orders=60) as shop:
        yield shop


def test_what_was_refused_is_corrected_and_what_was_read_is_read_again(
    shop: Retailer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay that reads nothing again, loads what still breaks its contract, or leaves no trace of who did it."""
    monkeypatch.setenv("DAGSTER_HOME", str(shop.home / "dagster"))
    settings = shop.settings()
    order = impossible_order(shop.home, "cedar_us")
    first = replay_source(settings, QUIET, "cedar_us", since=None, reason="never loaded", build=False)
    again = replay_source(settings, QUIET, "cedar_us", since=None, reason="an outage", build=False)
    assert first["quarantined"] == again["quarantined"] == 1
    assert again["received"] >= first["received"] > 20
    loaded = {row["id"] for row in shop.rows("select id from raw_woocommerce.orders where store_id = 'cedar_us'")}

    one = replay_order(settings, QUIET, f"cedar_us:{min(loaded)}", reason="the hook was lost", build=False)
    assert 1 <= one["loaded"] < 5
    with pytest.raises(CommandError, match="cedar_us has no order 999999 any more"):
        replay_order(settings, QUIET, "cedar_us:999999", reason="gone?", build=False)

    with pytest.raises(CommandError, match="say --yes to replay them all"):
        replay_quarantined(settings, QUIET, [], everything=True, reason="try")
    with pytest.raises(CommandError, match=r"nothing was loaded: .* total is not an amount"):
        replay_quarantined(settings, QUIET, [], everything=True, sure=True, reason="as it was", build=False)
    operations = open_store(settings.operations_url)
    (refused,) = quarantine.rows(operations, status="open")
    record = json.loads(quarantine.payload(operations, refused["quarantine_id"]))
    corrected = tmp_path / "corrected.json"
    other = min(loaded)
    as_it_is = f"select _payload from raw_woocommerce.orders where id = {other}"
    payload = shop.rows(as_it_is)[0]["_payload"]
    corrected.write_text(json.dumps(json.loads(payload) | {"total": "99.00"}), encoding="utf-8")
    with pytest.raises(CommandError, match=f"the corrected record is {other} of orders, but .* is {order}: "):
        replay_quarantined(
            settings, QUIET, [refused["quarantine_id"]], corrected=corrected, reason="a typing error", build=False
        )
    assert [row["record_key"] for row in quarantine.rows(operations, status="open")] == [str(order)]
    assert shop.rows(as_it_is) == [{"_payload": payload}]

    # Of two, one keeps its contract by now.
    good = quarantine.Rejection(str(other), "total", None, "was refused once", "page 1", payload.encode())
    quarantine.record(
        operations, system="woocommerce", instance_id="cedar_us", table_name="orders", rejections=[good],
        now=settings.now(),
    )  # fmt: skip
    some = replay_quarantined(settings, QUIET, [], everything=True, sure=True, reason="the contract", build=False)
    assert (some["result"], some["loaded"], some["quarantined"]) == ("partly", 1, 1)
    assert some["detail"].startswith("1 of 2 loaded")
    with pytest.raises(typer.Exit) as ended:
        _print_replayed(some, True)
    assert ended.value.exit_code == 1
    corrected.write_text(json.dumps(record | {"total": "12.50"}), encoding="utf-8")
    done = replay_quarantined(
        settings,
        QUIET,
        [refused["quarantine_id"][:10]],
        corrected=corrected,
        reason="the store says 12.50",
        build=False,
    )
    assert (done["received"], done["loaded"], done["result"]) == (1, 1, "succeeded")
    (told,) = list(audit.entries(operations, action="replay.finished"))[-1:]
    assert 'total was "' in told.content()["detail"]
    assert 'is "12.50"' in told.content()["detail"]
    assert list(quarantine.rows(operations, status="open")) == []
    found = shop.rows("select id, total from raw_woocommerce.orders where store_id = 'cedar_us'")
    assert {row["id"] for row in found} - loaded == {order}
    assert [str(row["total"]) for row in found if row["id"] == order] == ["12.5000"]

    assert [(row["kind"], row["result"], row["reason"]) for row in reversed(replay_rows(settings))] == [
        ("source", "succeeded", "never loaded"),
        ("source", "succeeded", "an outage"),
        ("order", "succeeded", "the hook was lost"),
        ("order", "failed", "gone?"),
        ("quarantine", "failed", "as it was"),
        ("quarantine", "partly", "the contract"),
        ("quarantine", "succeeded", "the store says 12.50"),
    ]
    assert len(list(audit.entries(operations, action="replay.finished"))) == 7
    assert audit.verify(operations, settings.audit_anchor_path) == []
    operations.dispose()


def test_what_was_changed_by_hand_is_told_but_no_name_of_a_person() -> None:
    """A changed amount that no one can see later; or a customer's name in a chain that can never forget it."""
    before = {"id": 7, "total": "1o.00", "billing": {"first_name": "Ada"}, "line_items": [{"id": 1, "total": "4.00"}]}
    after = {"id": 7, "total": "10.00", "billing": {"first_name": "Eva"}, "line_items": [{"id": 1, "total": "5.00"}]}
    contract = table("woocommerce", "orders")
    assert edited(contract, json.dumps(before).encode(), json.dumps(after).encode()) == [
        "billing.first_name was changed",
        'line_items[0].total was "4.00", is "5.00"',
        'total was "1o.00", is "10.00"',
    ]


def test_a_replay_that_cannot_be_is_refused_and_says_why(shop: Retailer) -> None:
    """A typing error that reads every source again, or a replay without a reason."""
    settings = shop.settings()
    with pytest.raises(CommandError, match="there is no source 'cedar'; there are cedar_us"):
        replay_source(settings, QUIET, "cedar", since=None, reason="why not")
    with pytest.raises(CommandError, match="'cedar_us-5' is no order's key"):
        replay_order(settings, QUIET, "cedar_us-5", reason="why not")
    with pytest.raises(CommandError, match="a replay needs a reason"):
        replay_source(settings, QUIET, "cedar_us", since=None, reason=" ")
    with pytest.raises(CommandError, match="no single open rejection is 'ffff'"):
        replay_quarantined(settings, QUIET, ["ffff"], reason="why not")
    with pytest.raises(CommandError, match="no event was given up"):
        replay_inbox(settings, QUIET, [], reason="why not")


def test_an_event_that_was_given_up_waits_again(shop: Retailer) -> None:
    """A webhook that was given up while the store was down would never be looked at again, or by nobody's order."""
    settings = shop.settings()
    operations = open_store(settings.operations_url)
    body = b'{"id": 1}'
    digest = hashlib.sha256(body)
    name = inbox.identity("cedar_us", None, digest.digest())
    event = inbox.NewEvent("cedar_us", name, "d", digest.hexdigest(), "order.updated", settings.now(), "0" * 32, body)
    with writing(operations) as connection:
        inbox.put(connection, [event])
    (event_id,) = [row["event_id"] for row in inbox.rows(operations)]
    inbox.bury(operations, {event_id: "the store was down"}, now=settings.now())
    with pytest.raises(CommandError, match="that would be 1 events: say --yes"):
        replay_inbox(settings, QUIET, [], source="cedar_us", reason="the store is back")
    done = replay_inbox(settings, QUIET, [], source="cedar_us", sure=True, reason="the store is back")
    assert (done["received"], done["detail"]) == (1, "1 wait for their load")
    assert [row["state"] for row in inbox.rows(operations)] == ["received"]
    assert replay_rows(settings)[0]["reason"] == "the store is back"
    operations.dispose()
