"""One asset per store that canaries are placed in, their schedule, and the check that they come through."""

from typing import Final

import dagster as dg

from retail_assets import keys
from retail_assets.defs.canary.placing import CanaryError, missing, note_arrivals, place
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings, Store
from retail_assets.warehouse_file import opened

_MART: Final = dg.AssetKey(keys.mart_asset_path("mon_canaries"))
_SHOWN: Final = 5


def canary_definitions(settings: Settings) -> dg.Definitions:
    """The assets, the job ``canary`` with its schedule, and the check; nothing if no canaries are configured."""
    limits = settings.configuration.canary
    if limits is None:
        return dg.Definitions()
    assets = [_canary(settings, store) for store in settings.configuration.stores if store.id in limits.stores]
    job = dg.define_asset_job(
        keys.CANARY_JOB,
        selection=dg.AssetSelection.assets(*assets),
        description="Places a synthetic order without money in each store, to see whether it comes through.",
    )
    schedule = dg.ScheduleDefinition(
        name="canary_placed",
        job=job,
        cron_schedule=limits.schedule,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    return dg.Definitions(assets=assets, jobs=[job], schedules=[schedule], asset_checks=[_check(settings)])


def _canary(settings: Settings, store: Store) -> dg.AssetsDefinition:
    @dg.asset(
        key=keys.canary_asset_path(store.id),
        group_name=keys.CANARY_GROUP,
        description=f"The last synthetic order placed in {store.name}. It has no money, and no way to the books.",
        owners=["team:platform"],
        kinds={store.system, "python"},
        tags={"layer": "monitoring", "store": store.id},
    )
    def canary(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        operations = open_store(settings.operations_url)
        try:
            placed = place(settings, operations, store.id)
        except CanaryError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        finally:
            operations.dispose()
        return dg.MaterializeResult(metadata={"canary": placed.token, "order_id": placed.order_id or 0})

    return canary


def _check(settings: Settings) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=keys.CANARY_CHECK,
        asset=_MART,
        description="Every synthetic order of the last week came from its store to the marts in time.",
        pool=keys.WAREHOUSE_POOL,
    )
    def canaries_arrive(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        operations = open_store(settings.operations_url)
        try:
            with opened(settings.warehouse_path) as connection:
                arrived, late = note_arrivals(settings, operations, connection), missing(connection)
        finally:
            operations.dispose()
        return dg.AssetCheckResult(
            passed=not late,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(late[:_SHOWN]) or f"{arrived} came through since the last build, none is late",
            metadata={"arrived": arrived, "late": len(late)},
        )

    return canaries_arrive
