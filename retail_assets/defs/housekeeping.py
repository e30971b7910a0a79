"""What must not grow for ever: the events of runs, some two megabytes a build, which Dagster keeps until told."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from retail_assets import keys
from retail_assets.settings import Settings

HOUSEKEEPING_SENSOR: Final = "old_runs_deleted"
_INTERVAL_SECONDS: Final = 600
#: A tick has a minute.
_MOST_AT_A_TIME: Final = 50
_FINISHED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
#: They come by the thousand, and what they did is in the warehouse, the log of loads or the operations store. Runs that
#: post or read back are few, and stay.
_JOBS: Final = (keys.INGEST_JOB, keys.BUILD_JOB, keys.PUBLISH_JOB, keys.CANARY_JOB)


def housekeeping_definitions(settings: Settings) -> dg.Definitions:
    """The sensor that deletes old runs."""
    keep = timedelta(days=settings.configuration.schedules.keep_runs_days)
    stores = [store.id for store in settings.configuration.stores]

    @dg.sensor(
        name=HOUSEKEEPING_SENSOR,
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        target=None,
        description=f"Deletes runs that neither post nor read back, and their events, after {keep.days} days.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return dg.SkipReason(f"{delete_old_runs(context.instance, stores, datetime.now(UTC) - keep)} runs deleted")

    return dg.Definitions(sensors=[sensor])


def delete_old_runs(instance: dg.DagsterInstance, stores: Iterable[str], before: datetime) -> int:
    """Delete finished runs of before then that neither post nor read back, some at a time; the last good ones stay.

    An asset whose last materialization is deleted looks as if it had never been made, and a gate shuts on that: so
    nothing is deleted of a job that did not succeed since.

    Returns:
        How many were deleted.
    """
    deleted = 0
    for job_name in (*_JOBS, *map(keys.stock_job_name, stores)):
        latest = instance.get_run_records(
            dg.RunsFilter(job_name=job_name, statuses=[dg.DagsterRunStatus.SUCCESS]), limit=1
        )
        if not latest or latest[0].create_timestamp.astimezone(UTC) < before:
            continue
        old = dg.RunsFilter(job_name=job_name, statuses=_FINISHED, created_before=before)
        for record in instance.get_run_records(old, limit=_MOST_AT_A_TIME, ascending=True):
            instance.delete_run(record.dagster_run.run_id)
            deleted += 1
    return deleted
