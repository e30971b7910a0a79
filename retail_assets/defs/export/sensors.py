"""The gate sensor: post an entity once its checks have passed on the latest marts."""

from collections.abc import Iterator
from typing import Final

import dagster as dg

from retail_assets import keys
from retail_assets.defs.checks.gate import gate_state
from retail_assets.ops import approvals
from retail_assets.ops.canonical import sha256_hex
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings

#: A failed export is tried again by the sensor this often; posting is idempotent, so that is safe.
MAX_ATTEMPTS: Final = 3
_INTERVAL_SECONDS: Final = 30
_IN_VAIN: Final = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def gate_sensor(settings: Settings, entity_code: str, job_name: str) -> dg.SensorDefinition:
    """A sensor that requests an export run for each set of materializations that passed all gate checks.

    What was approved since is posted by another run for the same set: it waits for no build.
    """

    @dg.sensor(
        name=keys.gate_sensor_name(entity_code),
        job_name=job_name,
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Posts the journals of {entity_code} once every gate check has passed on the latest marts; "
            "a check that is missing, failed or stale holds them."
        ),
    )
    def sensor(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        yield request_export(context.instance, entity_code, job_name, approved_so_far(settings, entity_code))

    return sensor


def approved_so_far(settings: Settings, entity_code: str) -> str:
    """What a second person has approved for an entity, as one hash: another one, and there may be more to post."""
    operations = open_store(settings.operations_url)
    try:
        decided = approvals.decisions(operations, entity_code).values()
    finally:
        operations.dispose()
    approved = sorted(each.approval_id for each in decided if each.decision == "approved")
    return sha256_hex("|".join(approved))[:16]


def request_export(
    instance: dg.DagsterInstance, entity_code: str, job_name: str, approved: str
) -> dg.RunRequest | dg.SkipReason:
    """The run that posts what the gate and second persons have let through, or why there is none.

    One batch is requested once for what is ``approved_so_far``. One whose runs all failed, or were cancelled, is
    requested again, at most ``MAX_ATTEMPTS`` times: under a key of its own, as Dagster starts no second run for a key.
    """
    state = gate_state(instance, entity_code)
    if state.batch_id is None:
        return dg.SkipReason(f"{entity_code} is held: {state.reason}")
    tags = {keys.BATCH_TAG: state.batch_id, keys.APPROVED_TAG: approved}
    runs = instance.get_runs(dg.RunsFilter(job_name=job_name, tags=tags))
    if any(run.status not in _IN_VAIN for run in runs):
        return dg.SkipReason(f"{entity_code}: batch {state.batch_id} was posted or is being posted")
    if len(runs) >= MAX_ATTEMPTS:
        return dg.SkipReason(
            f"{entity_code}: batch {state.batch_id} failed or was cancelled {len(runs)} times; mend the cause "
            f"and start {job_name} by hand"
        )
    return dg.RunRequest(
        run_key=f"{entity_code}-{state.batch_id}-{approved}-{len(runs) + 1}",
        tags={**tags, keys.ENTITY_TAG: entity_code},
    )
