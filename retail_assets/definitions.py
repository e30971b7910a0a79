"""The one Definitions object of the code location: merges, nothing else."""

import dagster as dg

from retail_assets.defs.alerts import alert_definitions
from retail_assets.defs.canary import canary_definitions
from retail_assets.defs.checks import check_definitions, work_definitions
from retail_assets.defs.export import attestation_definitions, export_definitions
from retail_assets.defs.housekeeping import housekeeping_definitions
from retail_assets.defs.ingest import ingest_definitions
from retail_assets.defs.inventory import inventory_definitions
from retail_assets.defs.jobs import ingest_job, job_definitions
from retail_assets.defs.publish import publish_definitions
from retail_assets.defs.transform import transform_definitions
from retail_assets.settings import Settings, load_settings


def build_definitions(settings: Settings) -> dg.Definitions:
    """Every asset, check, job and sensor of the configured retailer."""
    return dg.Definitions.merge(
        ingest_definitions(settings),
        transform_definitions(settings),
        check_definitions(settings),
        work_definitions(settings),
        export_definitions(settings),
        attestation_definitions(settings),
        inventory_definitions(settings),
        canary_definitions(settings),
        publish_definitions(settings),
        alert_definitions(settings),
        housekeeping_definitions(settings),
        job_definitions(settings),
        # One process: DuckDB takes one writer, and a step of its own would cost its imports each time.
        dg.Definitions(executor=dg.in_process_executor),
    )


def build_ingest_definitions(settings: Settings) -> dg.Definitions:
    """The raw assets and the job that loads them: all that can be known before the models are parsed."""
    return dg.Definitions.merge(
        ingest_definitions(settings),
        dg.Definitions(jobs=[ingest_job(settings)], executor=dg.in_process_executor),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What ``workspace.yaml`` loads."""
    return build_definitions(load_settings())
