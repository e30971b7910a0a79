"""The code location as a whole: what people see in the UI."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from retail_assets import keys
from retail_assets.definitions import build_definitions
from retail_assets.defs.checks.invariants import INVARIANTS
from retail_assets.settings import Settings, load_settings
from tests.support.chain import environment


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("home")
    values = {"RETAIL_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
    with environment(values):
        yield load_settings(values)


@pytest.fixture(scope="module")
def definitions(settings: Settings) -> dg.Definitions:
    return build_definitions(settings)


def _specs(definitions: dg.Definitions) -> dict[dg.AssetKey, dg.AssetSpec]:
    return {spec.key: spec for spec in definitions.resolve_all_asset_specs()}


def test_every_asset_has_description_owner_kinds_and_group(definitions: dg.Definitions) -> None:
    """An asset without owner or description is one that nobody answers for when it fails."""
    lacking = [
        key.to_user_string()
        for key, spec in _specs(definitions).items()
        if not (spec.description and spec.owners and spec.kinds and spec.group_name not in (None, "default"))
    ]
    assert lacking == []


def test_each_source_instance_is_a_group_of_its_own(definitions: dg.Definitions, settings: Settings) -> None:
    """Two stores in one group, or in one step, fail together."""
    found = settings.configuration
    instances = [item.id for group in (found.stores, found.gateways, found.banks, found.erps) for item in group]
    groups = {spec.group_name for spec in _specs(definitions).values()}
    assert {keys.source_group(instance) for instance in instances} <= groups


def test_lineage_goes_from_each_store_to_the_export(definitions: dg.Definitions) -> None:
    """A staging model that hangs on a phantom source asset breaks the drill-back in the graph."""
    specs = _specs(definitions)
    named = {dep.asset_key for spec in specs.values() for dep in spec.deps}
    assert named - specs.keys() == set()
    orders = specs[dg.AssetKey(["staging", "stg_woocommerce__orders"])]
    upstream = {dep.asset_key.to_user_string() for dep in orders.deps}
    assert {f"raw_woocommerce/{store}/orders" for store in ("cedar_us", "linden_de", "aoi_jp")} <= upstream


def test_every_step_that_opens_the_warehouse_waits_for_its_slot(definitions: dg.Definitions) -> None:
    """DuckDB takes one writer: a step without the pool fails with a lock error as soon as two runs overlap."""
    steps = {node.name: node.definition for job in definitions.resolve_all_job_defs() for node in job.nodes}
    assert {"load_cedar_us", "dbt_models", "posting_gate", "erp_export__journals_us"} <= steps.keys()
    pools = {name: step.pool for name, step in steps.items() if isinstance(step, dg.OpDefinition)}
    elsewhere = {f"erp_export__attestation_{entity}" for entity in ("us", "de", "jp")}
    assert pools == {name: None if name in elsewhere else keys.WAREHOUSE_POOL for name in steps}


def test_the_sensors_are_on(definitions: dg.Definitions) -> None:
    """A gate sensor that has to be switched on by hand is off on the day it matters."""
    sensors = {sensor.name: sensor for sensor in definitions.sensors or []}
    assert set(sensors) == {
        "build_after_load", "build_after_partial_load", "events_received", "files_dropped", "publish_after_build",
        "alerts", "old_runs_deleted", "write_stock_after_build",
        *(keys.gate_sensor_name(entity) for entity in ("US", "DE", "JP")),
    }  # fmt: skip
    assert all(sensor.default_status is dg.DefaultSensorStatus.RUNNING for sensor in sensors.values())


def test_what_was_posted_is_read_back_every_night(definitions: dg.Definitions) -> None:
    """Changes at the ERP that nobody looks for are found by the auditor."""
    (schedule,) = [one for one in definitions.schedules or [] if one.name == "attest_nightly"]
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.job_name == keys.ATTEST_JOB


def test_the_chain_is_started_by_the_clock(definitions: dg.Definitions) -> None:
    """A schedule that has to be switched on by hand is off on the day it matters."""
    schedules = {one.name: one for one in definitions.schedules or [] if isinstance(one, dg.ScheduleDefinition)}
    assert {name: one.cron_schedule for name, one in schedules.items()} == {
        "poll_every_10_minutes": "*/10 * * * *",
        "poll_every_30_minutes": "*/30 * * * *",
        "poll_every_hour": "0 * * * *",
        "load_everything_nightly": "30 1 * * *",
        "build_daily": "0 5 * * *",
        "attest_nightly": "0 3 * * *",
    }
    assert all(one.default_status is dg.DefaultScheduleStatus.RUNNING for one in schedules.values())


def test_a_poll_loads_its_sources_with_their_checks(definitions: dg.Definitions, tmp_path: Path) -> None:
    """A poll that loads everything breaks quotas; one that leaves the checks out loads what nobody counted."""
    schedule = next(one for one in definitions.schedules or [] if one.name == "poll_every_10_minutes")
    assert isinstance(schedule, dg.ScheduleDefinition)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        context = dg.build_schedule_context(instance, scheduled_execution_time=datetime(2026, 11, 5, tzinfo=UTC))
        request = schedule(context)
        assert isinstance(request, dg.RunRequest)
        assets = set(request.asset_selection or ())
        chosen = definitions.resolve_job_def(keys.INGEST_JOB).get_subset(asset_selection=assets)
        assert {node.name for node in chosen.nodes} == {"load_cedar_us", "load_linden_de", "load_aoi_jp"}
        checked = {key.asset_key for key in chosen.asset_layer.asset_graph.asset_check_keys}
        assert checked >= assets
        # While that load is at work, the next tick asks for nothing.
        instance.create_run_for_job(chosen, status=dg.DagsterRunStatus.STARTED, tags=request.tags)
        assert isinstance(schedule(context), dg.SkipReason)


def test_whatever_is_loaded_or_built_has_a_freshness_policy(definitions: dg.Definitions) -> None:
    """A source that went silent, or marts that nobody rebuilt, look like a quiet day."""
    specs = _specs(definitions)
    silent = [
        key.to_user_string()
        for key, spec in specs.items()
        if ((key.path[0].startswith("raw_") and key.path[0] != "raw_ops") or key.path[0] == "marts")
        and spec.freshness_policy is None
    ]
    assert silent == []
    polled = specs[dg.AssetKey(["raw_woocommerce", "cedar_us", "orders"])].freshness_policy
    assert polled == dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=2, minutes=10))


def test_the_export_depends_on_every_gated_mart(definitions: dg.Definitions) -> None:
    """Dagster's own conditions look one step up only: a gate further away would not be seen."""
    specs = _specs(definitions)
    for entity in ("US", "DE", "JP"):
        upstream = {dep.asset_key.path[-1] for dep in specs[dg.AssetKey(keys.export_asset_path(entity))].deps}
        assert {invariant.mart for invariant in INVARIANTS} <= upstream


def test_the_shipped_dagster_configuration_gives_the_warehouse_one_slot(settings: Settings) -> None:
    """Without a limit of one the pool is a name and nothing more."""
    text = (Path(settings.checkout) / "dagster.yaml").read_text(encoding="utf-8")
    assert "default_limit: 1" in text
    assert "granularity: op" in text
