"""From a change in a store to its webhook, the inbox, and the load of just that record."""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from sqlalchemy import select

from retail_assets import keys
from retail_assets.commands import CommandError
from retail_assets.commands.webhooks import enable, senders_of, status
from retail_assets.definitions import build_ingest_definitions
from retail_assets.defs.alerts.causes import of_run
from retail_assets.defs.ingest.events import events_sensor
from retail_assets.ops import audit, inbox
from retail_assets.ops.models import load_log
from retail_assets.ops.store import reading, writing
from retail_assets.sandbox.datafaults import disabled_webhooks
from retail_assets.sandbox.generator import generate
from retail_assets.sandbox.profiles import STORES
from retail_assets.sandbox.server import RunningServer, running_server
from retail_assets.sandbox.woo_changes import Shop
from retail_assets.sandbox.woo_webhooks import StoreWebhooks
from retail_assets.settings import Settings, load_settings, sandbox_credentials
from retail_assets.sources.woocommerce import source as woocommerce
from tests.support.chain import AS_OF, environment
from tests.webhooks.service import NOW, RunningIntake, running_intake

LATER = NOW + timedelta(minutes=1)
ORDERS = dg.AssetKey(keys.raw_asset_path("woocommerce", "cedar_us", "orders"))


@dataclass
class Line:
    """One store, its webhooks, the intake they go to, and the sensor that looks into its inbox."""

    settings: Settings
    server: RunningServer
    intake: RunningIntake
    instance: dg.DagsterInstance
    shop: Shop
    webhooks: StoreWebhooks

    def tick(self) -> list[dg.RunRequest]:
        with dg.build_sensor_context(self.instance) as context:
            result: Any = events_sensor(self.settings)(context)
        return list(result.run_requests or [])

    def load(self, request: dg.RunRequest | None = None) -> dg.ExecuteInProcessResult:
        """The run that was asked for; without one, all orders of the store."""
        job = build_ingest_definitions(self.settings).resolve_job_def(keys.INGEST_JOB)
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=request.asset_selection if request else [ORDERS],
            tags=dict(request.tags) if request else {},
            raise_on_error=False,
        )

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.settings.warehouse_path), read_only=True) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A store whose orders are loaded, before anything changed in it."""
    home: Path = tmp_path_factory.mktemp("events")
    generate(home, seed=11, orders=60)
    with running_server(home, sandbox_credentials()) as server:
        values = {
            "RETAIL_HOME": str(home),
            "RETAIL_AS_OF": AS_OF,
            "SANDBOX_URL": server.url,
            "DAGSTER_HOME": str(home / "dagster"),
        }
        settings = load_settings(values)
        with (
            environment(values),
            dg.DagsterInstance.ephemeral() as instance,
            running_intake(home, senders_of(settings)) as intake,
        ):
            secret = sandbox_credentials()["CEDAR_US_WEBHOOK_SECRET"]
            state = home / "sandbox" / "cedar_us.sqlite"
            webhooks = StoreWebhooks(state, f"{intake.url}/webhooks/cedar_us", secret)
            shop = Shop(state, STORES["cedar_us"], tell=webhooks.tell)
            made = Line(settings, server, intake, instance, shop, webhooks)
            assert made.load().success
            yield made


def test_a_change_in_a_store_is_loaded_by_its_webhook(line: Line) -> None:
    """An order changed and refunded waited for the next poll; or its webhook had the whole store read again."""
    untouched = """select id from raw_woocommerce.orders where total > 5 and _payload like '%"refunds":[]%' limit 2"""
    (one, other) = (row[0] for row in line.query(untouched))
    assert line.webhooks.ping() == 200
    line.shop.set_status(one, "cancelled", LATER)
    refund = line.shop.refund(other, "1.00", LATER)
    # A storm: each event again and in another order, with the same content and another delivery id.
    for order_id in (other, one, other):
        line.webhooks.tell("order.created", order_id)
    assert line.webhooks.deliver() == [200] * 4
    assert len(line.intake.events()) == 2

    (request,) = line.tick()
    assert list(request.asset_selection or ()) == [ORDERS]
    assert set(request.tags[keys.TRACE_TAG].split(",")) == {event["trace_id"] for event in line.intake.events()}
    # Behind a queue of file drops it would wait for minutes.
    assert int(request.tags[keys.PRIORITY_TAG]) > 0
    run = line.load(request)
    assert run.success
    events = line.intake.events()
    assert {(event["state"], event["subject"], event["run_id"]) for event in events} == {
        ("done", f"orders/{one}", run.run_id),
        ("done", f"orders/{other}", run.run_id),
    }
    assert line.query(f"select status from raw_woocommerce.orders where id = {one}") == [("cancelled",)]
    assert line.query(f"select parent_id from raw_woocommerce.refunds where id = {refund}") == [(other,)]
    with reading(line.intake.engine) as connection:
        logged = connection.execute(select(load_log).where(load_log.c.run_id == run.run_id)).all()
    assert {(row.resource, row.received, row.is_complete) for row in logged} == {("refunds", 1, False)}
    assert line.tick() == []
    # The cursors are where they were: the next ordinary load reads the same changes once more, and nothing doubles.
    counts = line.query("select count(*), count(distinct id) from raw_woocommerce.orders")
    assert line.load().success
    assert line.query("select count(*), count(distinct id) from raw_woocommerce.orders") == counts


def test_a_load_that_fails_is_tried_again_and_given_up(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that was down lost its events, or was asked at every tick; and nobody could have them loaded again."""
    ((order_id,),) = line.query("select id from raw_woocommerce.orders order by id desc limit 1")
    line.shop.set_status(order_id, "on-hold", LATER)
    assert line.webhooks.deliver() == [200]
    (request,) = line.tick()
    assert line.tick() == [request]

    def down(*_: Any) -> None:
        raise ConnectionError("the store is down")

    with monkeypatch.context() as patch:
        patch.setattr(woocommerce, "orders_by_id", down)
        assert not line.load(request).success
        event = line.intake.events()[-1]
        assert (event["state"], event["attempts"]) == ("received", 1)
        assert event["reason"] == "ConnectionError: the store is down"
        # Its time has not come yet; the clock of this test stands still.
        assert line.tick() == []
    for attempt in range(1, inbox.MAX_ATTEMPTS):
        due = NOW + timedelta(hours=attempt)
        waiting = inbox.begin(line.intake.engine, "cedar_us", up_to=event["event_id"], run_id="again", now=due)
        inbox.fail(line.intake.engine, waiting, "the store is down", now=NOW)
    event = line.intake.events()[-1]
    assert event["state"] == "dead"
    assert line.query(f"select status from raw_woocommerce.orders where id = {order_id}") != [("on-hold",)]

    with writing(line.intake.engine) as connection:
        inbox.requeue(connection, [event["event_id"]], "ada", "the store is up again", now=NOW)
    (again,) = line.tick()
    assert line.load(again).success
    assert line.query(f"select status from raw_woocommerce.orders where id = {order_id}") == [("on-hold",)]
    assert line.intake.events()[-1]["state"] == "done"


def test_one_load_at_a_time_for_each_source(line: Line) -> None:
    """Each tick asked for another load of the same events while one was under way, or one that died blocked all."""
    ((order_id,),) = line.query("select id from raw_woocommerce.orders order by id desc limit 1 offset 1")
    line.shop.set_status(order_id, "on-hold", LATER)
    line.webhooks.deliver()
    (request,) = line.tick()
    job = build_ingest_definitions(line.settings).resolve_job_def(keys.INGEST_JOB)
    run = line.instance.create_run_for_job(job, tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED)
    assert line.tick() == []
    line.instance.delete_run(run.run_id)
    assert line.tick() == [request]


def test_what_nobody_understands_is_buried_and_stops_no_other(line: Line) -> None:
    """One event that is no JSON stopped all that came after it."""
    secret = sandbox_credentials()["CEDAR_US_WEBHOOK_SECRET"]
    ((order_id,),) = line.query("select min(id) from raw_woocommerce.orders")
    assert line.intake.send(b"[" * 10_000, key=secret).status_code == 200
    assert line.intake.send(b'{"id": 5}', key=secret, X_WC_Webhook_Topic="coupon.updated").status_code == 200
    assert line.intake.send(b'{"id": %d}' % order_id, key=secret).status_code == 200
    (request,) = line.tick()
    assert line.load(request).success
    states = [(event["state"], event["subject"]) for event in line.intake.events()[-3:]]
    assert states == [("dead", None), ("done", None), ("done", f"orders/{order_id}")]
    assert "does not say" in line.intake.events()[-3]["reason"]


def test_an_event_of_a_gateway_loads_what_changed_there(line: Line) -> None:
    """A payment's event asked the store, or had every gateway loaded."""
    body = b'{"id": "evt_1", "object": "event", "type": "payout.paid", "data": {"object": {"object": "payout"}}}'
    secret = sandbox_credentials()["STRIPE_US_WEBHOOK_SECRET"].encode()
    at = int(NOW.timestamp())
    signature = hmac.digest(secret, b"%d.%b" % (at, body), "sha256").hex()
    answer = line.intake.send(body, source="stripe_us", Stripe_Signature=f"t={at},v1={signature}")
    assert answer.status_code == 200
    (request,) = line.tick()
    assert {key.path[1] for key in request.asset_selection or ()} == {"stripe_us"}
    assert len(request.asset_selection or ()) > 5
    assert line.load(request).success
    assert line.intake.events()[-1]["state"] == "done"
    assert line.query("select count(*) > 0 from raw_stripe.payouts where gateway_id = 'stripe_us'") == [(True,)]


def test_webhooks_that_were_switched_off_are_told(line: Line) -> None:
    """WooCommerce ended its webhooks without a word, and events came with the polls for weeks; the load never fails."""
    disabled_webhooks(line.settings.home, "cedar_us")
    run = line.load()
    assert run.success
    (check,) = [one for one in run.get_asset_check_evaluations() if one.check_name == keys.WEBHOOKS_CHECK]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "webhook 2 (order.updated) is disabled" in (check.description or "")
    (cause,), _ = of_run(line.settings, line.instance, line.instance.get_runs(limit=1)[0])
    assert cause.cause == f"check:{ORDERS.to_user_string()}:{keys.WEBHOOKS_CHECK}"
    assert "retail webhooks enable cedar_us" in cause.what_to_do

    enabled = enable(line.settings, "cedar_us")
    assert [(one["webhook_id"], one["status"]) for one in enabled] == [(number, "disabled") for number in range(1, 5)]
    noted = audit.entries(line.intake.engine, action="webhook_enabled")
    assert {entry.subject for entry in noted} == {f"webhook:cedar_us:{number}" for number in range(1, 5)}
    assert enable(line.settings, "cedar_us") == []
    run = line.load()
    _, gone = of_run(line.settings, line.instance, line.instance.get_runs(limit=1)[0])
    assert cause.cause in gone


def test_a_key_that_may_not_write_is_told_so(line: Line) -> None:
    """Webhooks were said to be on again, and the store had refused it; or the stack trace of a 401 was shown."""
    disabled_webhooks(line.settings.home, "linden_de")
    with pytest.raises(CommandError, match="needs read/write permission"):
        enable(line.settings, "linden_de")
    with pytest.raises(CommandError, match="is no WooCommerce store"):
        enable(line.settings, "stripe_us")
    seen = {store["store_id"]: store for store in status(line.settings)["stores"]}
    assert len(seen["linden_de"]["trouble"]) == 4
    assert seen["aoi_jp"]["said"] == "4 webhooks for us, all active"
