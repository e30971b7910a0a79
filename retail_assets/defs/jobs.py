"""Jobs of the chain: load everything, then build everything; and the sensors that let one follow the other."""

from typing import Any

import dagster as dg

from retail_assets import keys
from retail_assets.defs.ingest.instances import source_instances
from retail_assets.settings import Settings


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
        selection=dg.AssetSelection.all() - sources - dg.AssetSelection.groups(keys.EXPORT_GROUP),
        description="Builds every model and evaluates every check, the posting gate among them.",
    )

    def build_after(status: dg.DagsterRunStatus, name: str) -> dg.SensorDefinition:
        @dg.run_status_sensor(
            run_status=status,
            name=name,
            monitored_jobs=[ingest],
            request_job=build,
            default_status=dg.DefaultSensorStatus.RUNNING,
            description=f"Builds the marts after a load that ended in {status.value}: what was loaded must not wait.",
        )
        def sensor(context: dg.RunStatusSensorContext) -> dg.RunRequest:
            return dg.RunRequest(run_key=f"build-{context.dagster_run.run_id}")

        return sensor

    return dg.Definitions(
        jobs=[ingest, build],
        sensors=[
            build_after(dg.DagsterRunStatus.SUCCESS, "build_after_load"),
            build_after(dg.DagsterRunStatus.FAILURE, "build_after_partial_load"),
        ],
    )
