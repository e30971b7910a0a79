"""Jobs of the chain: load everything, then build everything; and what starts them: schedules, files, one another."""

from typing import Any, Final

import dagster as dg

from retail_assets import keys
from retail_assets.defs.ingest.drops import files_sensor
from retail_assets.defs.ingest.events import events_sensor
from retail_assets.defs.ingest.instances import source_instances
from retail_assets.defs.ingest.polling import polling_schedules
from retail_assets.settings import Settings

DAILY_BUILD: Final = "build_daily"
#: What a webhook tells of is to be in the marts within a minute.
_INTERVAL_SECONDS: Final = 5


def _sources(settings: Settings) -> dg.AssetSelection:
    return dg.AssetSelection.groups(*(keys.source_group(instance.instance) for instance in source_instances(settings)))


def ingest_job(settings: Settings) -> Any:
    """The load job; it needs no more than the raw assets."""
    return dg.define_asset_job(
        keys.INGEST_JOB,
        selection=_sources(settings),
        description="Loads every store, gateway, bank account and ERP. One that fails does not stop the others.",
    )


def job_definitions(settings: Settings) -> dg.Definitions:
    """The load and build jobs. They are apart because a source that fails must not keep the others from the marts."""
    sources, ingest = _sources(settings), ingest_job(settings)
    build = dg.define_asset_job(
        keys.BUILD_JOB,
        selection=dg.AssetSelection.all()
        - sources
        - dg.AssetSelection.groups(keys.EXPORT_GROUP, keys.PUBLISH_GROUP, keys.STOCK_GROUP, keys.CANARY_GROUP),
        description="Builds every model and evaluates every check, the posting gate among them.",
    )

    def build_after(status: dg.DagsterRunStatus, name: str) -> dg.SensorDefinition:
        @dg.run_status_sensor(
            run_status=status,
            name=name,
            monitored_jobs=[ingest],
            request_job=build,
            minimum_interval_seconds=_INTERVAL_SECONDS,
            default_status=dg.DefaultSensorStatus.RUNNING,
            description=f"Builds the marts after a load that ended in {status.value}: what was loaded must not wait.",
        )
        def sensor(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
            return request_build(context.instance, context.dagster_run.run_id)

        return sensor

    schedules = settings.configuration.schedules
    daily = dg.ScheduleDefinition(
        name=DAILY_BUILD,
        job=build,
        cron_schedule=schedules.daily_build,
        execution_timezone=schedules.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Builds the marts also if nothing was loaded: exceptions age, fall due and are escalated.",
    )
    return dg.Definitions(
        jobs=[ingest, build],
        schedules=[*polling_schedules(settings), daily],
        sensors=[
            build_after(dg.DagsterRunStatus.SUCCESS, "build_after_load"),
            build_after(dg.DagsterRunStatus.FAILURE, "build_after_partial_load"),
            files_sensor(settings),
            events_sensor(settings),
        ],
    )


def request_build(instance: dg.DagsterInstance, load_run_id: str) -> dg.RunRequest | dg.SkipReason:
    """The build that follows a load; none if one waits in the queue, since that will see what was loaded."""
    waiting = dg.RunsFilter(job_name=keys.BUILD_JOB, statuses=[dg.DagsterRunStatus.QUEUED])
    if instance.get_runs(waiting, limit=1):
        return dg.SkipReason("a build that has not begun will see what was loaded")
    return dg.RunRequest(run_key=f"build-{load_run_id}", tags={keys.PRIORITY_TAG: keys.BUILD_PRIORITY})
