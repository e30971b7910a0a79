"""The gate: what is posted was checked, on the very data that is there now."""

from collections.abc import Iterator

import dagster as dg
import pytest

from retail_assets import keys
from retail_assets.defs.checks.gate import gate_check_keys, gate_state
from retail_assets.defs.checks.invariants import INVARIANTS
from retail_assets.defs.export.sensors import MAX_ATTEMPTS, request_export

ENTITY = "US"
JOB = keys.export_job_name(ENTITY)
MARTS = sorted({invariant.mart for invariant in INVARIANTS})


class World:
    """The gated marts and their checks as Dagster sees them, with results that a test decides."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.failing: set[str] = set()

        @dg.multi_asset(specs=[dg.AssetSpec(keys.mart_asset_path(mart)) for mart in MARTS], can_subset=True)
        def marts(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
            for key in sorted(context.selected_asset_keys):
                yield dg.MaterializeResult(asset_key=key)

        specs = [dg.AssetCheckSpec(key.name, asset=key.asset_key, blocking=True) for key in gate_check_keys(ENTITY)]

        @dg.multi_asset_check(specs=specs)
        def checks() -> Iterator[dg.AssetCheckResult]:
            for spec in sorted(specs, key=lambda spec: spec.name in self.failing):
                yield dg.AssetCheckResult(
                    passed=spec.name not in self.failing, check_name=spec.name, asset_key=spec.asset_key
                )

        self.definitions = dg.Definitions(assets=[marts], asset_checks=[checks])
        self.marts = marts
        self.checks = checks

    def build(self) -> None:
        dg.materialize([self.marts], instance=self.instance)

    def check(self, *failing: str) -> None:
        self.failing = set(failing)
        job = dg.define_asset_job("checks", selection=dg.AssetSelection.checks(*gate_check_keys(ENTITY)))
        definitions = dg.Definitions.merge(self.definitions, dg.Definitions(jobs=[job]))
        definitions.resolve_job_def("checks").execute_in_process(instance=self.instance, raise_on_error=False)

    def request(self, approved: str = "none") -> dg.RunRequest | dg.SkipReason:
        return request_export(self.instance, ENTITY, JOB, approved)

    def ran(self, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
        """Record a run of the export job as the daemon would have started it."""

        @dg.op
        def export() -> None:
            if status is dg.DagsterRunStatus.FAILURE:
                raise RuntimeError("the ERP is down")

        @dg.job(name=JOB)
        def job() -> None:
            export()

        if status is dg.DagsterRunStatus.CANCELED:
            run = self.instance.create_run_for_job(job, tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED)
            self.instance.report_run_canceled(run)
        else:
            job.execute_in_process(instance=self.instance, tags=dict(request.tags), raise_on_error=False)


@pytest.fixture
def world() -> Iterator[World]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield World(instance)


def test_nothing_is_posted_before_the_marts_exist(world: World) -> None:
    """A gate that takes 'no evidence' for 'no objection' would post from nothing."""
    state = gate_state(world.instance, ENTITY)
    assert state.batch_id is None
    assert "never materialized" in str(state.reason)


def test_nothing_is_posted_before_the_checks_ran(world: World) -> None:
    """Marts without checks are unproven: the automation conditions of the framework alone would let some through."""
    world.build()
    request = world.request()
    assert isinstance(request, dg.SkipReason)
    assert "has not run" in str(request.skip_message)


def test_passed_checks_request_one_export(world: World) -> None:
    """The chain must reach the ERP without a hand, and only once for one set of data."""
    world.build()
    world.check()
    first, again = world.request(), world.request()
    assert isinstance(first, dg.RunRequest)
    assert isinstance(again, dg.RunRequest)
    assert first.run_key == again.run_key, "Dagster de-duplicates by run key, so it must not change between ticks"
    world.ran(first, dg.DagsterRunStatus.SUCCESS)
    assert isinstance(world.request(), dg.SkipReason)


def test_what_was_approved_since_waits_for_no_build(world: World) -> None:
    """An approval took effect with the next build only: on a quiet Friday that is Monday."""
    world.build()
    world.check()
    first = world.request()
    assert isinstance(first, dg.RunRequest)
    world.ran(first, dg.DagsterRunStatus.SUCCESS)
    assert isinstance(world.request(), dg.SkipReason)
    second = world.request("one more")
    assert isinstance(second, dg.RunRequest)
    assert second.run_key != first.run_key
    world.ran(second, dg.DagsterRunStatus.SUCCESS)
    assert isinstance(world.request("one more"), dg.SkipReason)


@pytest.mark.parametrize("invariant", [invariant.name for invariant in INVARIANTS])
def test_any_failed_check_holds_the_entity(world: World, invariant: str) -> None:
    """One broken invariant must be enough to hold the entity, whichever it is."""
    world.build()
    name = keys.gate_check_name(invariant, ENTITY)
    world.check(name)
    request = world.request()
    assert isinstance(request, dg.SkipReason)
    assert name in str(request.skip_message)


def test_a_pass_on_older_data_holds_the_entity(world: World) -> None:
    """Marts rebuilt without their checks carry the old pass; trusting it would post unchecked data."""
    world.build()
    world.check()
    world.build()
    request = world.request()
    assert isinstance(request, dg.SkipReason)
    assert "older data" in str(request.skip_message)


def test_mended_data_is_a_new_batch(world: World) -> None:
    """After a failure is mended the export must be requested anew, not taken for the batch already posted."""
    world.build()
    world.check()
    first = world.request()
    assert isinstance(first, dg.RunRequest)
    world.ran(first, dg.DagsterRunStatus.SUCCESS)
    world.build()
    world.check()
    second = world.request()
    assert isinstance(second, dg.RunRequest)
    assert first.run_key != second.run_key


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED])
def test_a_failed_export_is_tried_again_but_not_for_ever(world: World, status: dg.DagsterRunStatus) -> None:
    """Dagster never reuses a run key, so a retry needs its own; an export that cannot work must not run for ever.

    One that was cancelled was taken for posted.
    """
    world.build()
    world.check()
    tried = set()
    for _ in range(MAX_ATTEMPTS):
        request = world.request()
        assert isinstance(request, dg.RunRequest)
        tried.add(request.run_key)
        world.ran(request, status)
    assert len(tried) == MAX_ATTEMPTS
    last = world.request()
    assert isinstance(last, dg.SkipReason)
    assert "by hand" in str(last.skip_message)
