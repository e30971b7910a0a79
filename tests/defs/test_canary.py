"""Canaries: placed over real HTTP in a small simulated store, seen in hand-made marts."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import msgspec
import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette

from retail_assets import keys
from retail_assets.defs.canary import canary_definitions
from retail_assets.defs.canary.placing import META_KEY, CanaryError, missing, note_arrivals, place
from retail_assets.defs.checks.gate import gate_check_keys
from retail_assets.defs.checks.invariants import INVARIANTS
from retail_assets.http import HttpStatusError, HttpUnavailableError
from retail_assets.ops import canaries
from retail_assets.ops.store import open_store
from retail_assets.sandbox.profiles import STORES
from retail_assets.sandbox.storage import store_file
from retail_assets.sandbox.woocommerce import create_app
from retail_assets.settings import Canary, Settings, load_settings
from retail_assets.sources.woocommerce.client import StoreClient
from retail_assets.sources.woocommerce.pages import body_of
from tests.support.server import running

STORE = "cedar_us"
NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
_NAMES = ("CEDAR_US", "LINDEN_DE", "AOI_JP")
_SECRETS = {f"{name}_CONSUMER_{part}": "secret" for name in _NAMES for part in ("KEY", "SECRET")}


@pytest.fixture(params=[True])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """A retailer whose American store takes canaries; by ``param`` its key may write."""
    with store_file(tmp_path / "store.sqlite"):
        pass
    app = create_app(tmp_path / "store.sqlite", STORES[STORE], "secret", "secret", may_write=request.param)
    outer = Starlette()
    outer.mount(f"/{STORE}", app)
    with running(outer) as url:
        found = load_settings(
            {"RETAIL_HOME": str(tmp_path), "RETAIL_AS_OF": NOW.isoformat(), "SANDBOX_URL": url} | _SECRETS
        )
        canary = Canary(stores=(STORE,))  # pyright: ignore[reportCallIssue]
        yield replace(found, configuration=found.configuration.model_copy(update={"canary": canary}))
    app.state.connection.close()


@pytest.fixture
def operations(settings: Settings) -> Iterator[Engine]:
    engine = open_store(settings.operations_url)
    yield engine
    engine.dispose()


def order(settings: Settings, order_id: int | None) -> dict[str, Any]:
    with closing(StoreClient(next(one for one in settings.configuration.stores if one.id == STORE))) as client:
        body = client.order(order_id or 0)
    assert body is not None
    return msgspec.json.decode(body)


def test_a_canary_has_no_money_and_makes_way_for_the_next(settings: Settings, operations: Engine) -> None:
    """A synthetic order that was paid, shipped or counted; or a shop full of them."""
    first = place(settings, operations, STORE)
    made = order(settings, first.order_id)
    assert {(entry["key"], entry["value"]) for entry in made["meta_data"]} == {(META_KEY, first.token)}
    assert (made["status"], Decimal(made["total"]), made["date_paid_gmt"]) == ("pending", 0, None)
    assert (made["transaction_id"], made["line_items"]) == ("", [])
    second = place(settings, operations, STORE)
    assert order(settings, first.order_id)["status"] == "pending", "nobody has seen it yet"
    canaries.seen(operations, first.token, first.order_id or 0, loaded_at=NOW, now=NOW)
    place(settings, operations, STORE)
    assert [order(settings, one.order_id)["status"] for one in (first, second)] == ["trash", "pending"]


@pytest.mark.parametrize("settings", [False], indirect=True)
def test_a_store_that_does_not_take_it_is_told(settings: Settings, operations: Engine) -> None:
    """A key that may only read was found out by a canary that stayed under way for ever."""
    with pytest.raises(CanaryError, match=r"cedar_us has not taken the order .* write permissions"):
        place(settings, operations, STORE)
    (noted,) = canaries.all_of(operations)
    assert (noted.state, noted.order_id, noted.answered_at) == ("refused", None, NOW)
    with pytest.raises(CanaryError, match=r"linden_de is not one of canary\.stores"):
        place(settings, operations, "linden_de")


@pytest.mark.parametrize("ended", ["time-out", "gateway", "killed"])
def test_one_whose_answer_was_lost_is_taken_away_once_it_came(
    settings: Settings, operations: Engine, monkeypatch: pytest.MonkeyPatch, ended: str
) -> None:
    """The store had it, and it was reported refused: its order stayed in the shop for ever."""

    class Killed(BaseException):
        pass

    troubles = {
        "time-out": HttpUnavailableError("no answer"),
        "gateway": HttpStatusError(504, "orders", b"", {}),
        "killed": Killed(),
    }
    sent, post = [], StoreClient.post

    def lost(client: StoreClient, path: str, body: Any) -> Any:
        sent.append(msgspec.json.decode(body_of(post(client, path, body)))["id"])
        raise troubles[ended]

    with monkeypatch.context() as patched:
        patched.setattr(StoreClient, "post", lost)
        with pytest.raises((CanaryError, Killed)):
            place(settings, operations, STORE)
    (noted,) = canaries.all_of(operations)
    assert (noted.state, noted.order_id) == ("placing" if ended == "killed" else "unanswered", None)
    with duckdb.connect() as connection:
        connection.execute("create schema marts")
        connection.execute(
            "create table marts.mon_canaries as select $1 as canary_id, 'cedar_us:' || $2 as canary_order_key, "
            "'arrived' as canary_status, timestamp '2026-11-05 12:00:00' as loaded_at, null as seen_at",
            [noted.token, sent[0]],
        )
        assert note_arrivals(settings, operations, connection) == 1
    place(settings, operations, STORE)
    assert order(settings, sent[0])["status"] == "trash"


def test_what_the_marts_show_is_noted_and_what_is_late_is_told(settings: Settings, operations: Engine) -> None:
    """Each build set the time of arrival anew, or a lost canary passed the check."""
    with duckdb.connect(str(settings.warehouse_path)) as connection:
        connection.execute("create schema marts")
        connection.execute(
            "create table marts.mon_canaries (canary_id varchar, canary_order_key varchar, store_id varchar, "
            "canary_status varchar, placed_at timestamp, measured_at timestamp, loaded_at timestamp, "
            "seen_at timestamp, total_seconds bigint)"
        )
        token = canaries.begin(operations, STORE, now=NOW - timedelta(minutes=9))
        row = (
            "insert into marts.mon_canaries "
            "values (?, 'cedar_us:7', 'cedar_us', ?, ?, '2026-11-05 12:00:00', ?, null, 7260)"
        )
        connection.execute(row, [token, "arrived", "2026-11-05 11:51:00", "2026-11-05 11:55:00"])
        assert (note_arrivals(settings, operations, connection), missing(connection)) == (1, [])
        connection.execute(row, ["lost1", "lost", "2026-11-03 09:00:00", None])
        connection.execute(row, ["old", "lost", "2026-10-20 09:00:00", None])
    (noted,) = canaries.all_of(operations)
    assert (noted.state, noted.order_id, noted.loaded_at) == ("seen", 7, NOW - timedelta(minutes=5))
    assert noted.seen_at == NOW

    definitions = canary_definitions(settings)
    check = next(iter(definitions.asset_checks or ()))
    assert isinstance(check, dg.AssetChecksDefinition)
    with dg.DagsterInstance.ephemeral() as instance:
        mart = dg.AssetSpec(dg.AssetKey(keys.mart_asset_path("mon_canaries")))
        job = dg.Definitions(
            assets=[mart],
            asset_checks=[check],
            jobs=[dg.define_asset_job("j", selection=dg.AssetSelection.checks(check))],
        ).resolve_job_def("j")
        (evaluation,) = job.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert not evaluation.passed
    assert evaluation.description == "lost1 of cedar_us is lost, placed 121 minutes ago"


_BOOKS = """
    create schema marts;
    create table marts.mon_canaries (canary_order_key varchar);
    create table marts.acc_journal_entries (
        entry_id varchar, entity_code varchar, order_key varchar, base_total_amount decimal(18, 4)
    );
    create table marts.acc_events (entry_id varchar, order_key varchar);
    create table marts.acc_journal_line_sources (entry_id varchar, source_key varchar);
    insert into marts.mon_canaries values ('cedar_us:7'), (null);
    insert into marts.acc_journal_entries values
        ('sale/cedar_us:1', 'US', 'cedar_us:1', 10), ('summary:US:1', 'US', null, 20),
        ('sale/aoi_jp:7', 'JP', null, 30);
    insert into marts.acc_events values ('sale/cedar_us:1', 'cedar_us:1'), ('summary:US:1', 'cedar_us:2');
    insert into marts.acc_journal_line_sources values ('sale/cedar_us:1', 'cedar_us:1'), ('sale/aoi_jp:7', 'aoi_jp:7');
"""


@pytest.mark.parametrize(
    ("edited", "entry"),
    [
        ("insert into marts.acc_journal_entries values ('sale/cedar_us:7', 'US', 'cedar_us:7', 0)", "sale/cedar_us:7"),
        ("insert into marts.acc_events values ('summary:US:1', 'cedar_us:7')", "summary:US:1"),
        ("insert into marts.acc_journal_line_sources values ('summary:US:1', 'cedar_us:7')", "summary:US:1"),
        ("insert into marts.acc_events values ('sale/nobody', 'cedar_us:7')", "sale/nobody"),
    ],
)
def test_a_canary_in_the_books_holds_its_entity(edited: str, entry: str) -> None:
    """Somebody edits a model and its test, and a synthetic order is posted: the gate looks at the rows themselves."""
    (fence,) = [one for one in INVARIANTS if one.name == "no_canary"]
    assert "acc_journal_entries" in {key.asset_key.path[-1] for key in gate_check_keys("US") if "no_canary" in key.name}
    with duckdb.connect() as connection:
        connection.execute(_BOOKS)
        assert connection.execute(fence.offenders, {"entity": "US"}).fetchall() == []
        connection.execute(edited)
        ((found, _),) = connection.execute(fence.offenders, {"entity": "US"}).fetchall()
        assert found == f"{entry} of cedar_us:7"
        elsewhere = connection.execute(fence.offenders, {"entity": "JP"}).fetchall()
        assert len(elsewhere) == (entry == "sale/nobody"), "an entry of nobody's holds everybody"
