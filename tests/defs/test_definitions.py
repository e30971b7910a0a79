"""The code location as a whole: what people see in the UI."""

from collections.abc import Iterator
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
        "build_after_load", "build_after_partial_load",
        *(keys.gate_sensor_name(entity) for entity in ("US", "DE", "JP")),
    }  # fmt: skip
    assert all(sensor.default_status is dg.DefaultSensorStatus.RUNNING for sensor in sensors.values())


def test_what_was_posted_is_read_back_every_night(definitions: dg.Definitions) -> None:
    """Changes at the ERP that nobody looks for are found by the auditor."""
    (schedule,) = definitions.schedules or []
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.job_name == keys.ATTEST_JOB
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


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
