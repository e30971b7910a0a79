"""One asset per store with a stock block: what it shows is what may be promised."""

from collections.abc import Iterator
from typing import Any, Final

import dagster as dg

from retail_assets import keys
from retail_assets.defs.inventory.planning import StockError, stock_problems
from retail_assets.defs.inventory.pushing import PushResult, TooManyChangesError, push_stock
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings, Store
from retail_assets.warehouse_file import opened

_SHOWN: Final = 50
_ACTOR: Final = "retail-assets"
_INTERVAL_SECONDS: Final = 10
_REC_INVENTORY: Final = dg.AssetKey(keys.mart_asset_path("rec_inventory"))


def inventory_definitions(settings: Settings) -> dg.Definitions:
    """For each store whose stock is configured the asset, its gate check and its job; a sensor that starts the jobs."""
    stores = [store for store in settings.configuration.stores if store.stock]
    if not stores:
        return dg.Definitions()
    assets = [_stock(settings, store) for store in stores]
    jobs = [
        dg.define_asset_job(
            keys.stock_job_name(store.id),
            selection=dg.AssetSelection.assets(asset),
            description=f"Writes what {store.name} may promise into its stock, where it shows something else.",
        )
        for store, asset in zip(stores, assets, strict=True)
    ]
    return dg.Definitions(
        assets=assets, jobs=jobs, asset_checks=[_gate(settings, stores)], sensors=[_after_build(stores, jobs)]
    )


def _after_build(stores: list[Store], jobs: list[Any]) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="write_stock_after_build",
        request_jobs=jobs,
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Writes the stores' stock after each build that went well.",
    )
    def sensor(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if context.dagster_run.job_name != keys.BUILD_JOB:
            yield dg.SkipReason("not a build")
            return
        for store in stores:
            yield dg.RunRequest(
                run_key=f"stock-{store.id}-{context.dagster_run.run_id}", job_name=keys.stock_job_name(store.id)
            )

    return sensor


def _gate(settings: Settings, stores: list[Store]) -> dg.AssetChecksDefinition:
    by_name = {keys.stock_check_name(store.id): store for store in stores}
    specs = [
        dg.AssetCheckSpec(
            name=name,
            asset=_REC_INVENTORY,
            description=f"The stock of {store.name} is fresh and plausible. Gates its write-back.",
        )
        for name, store in by_name.items()
    ]

    @dg.multi_asset_check(name="stock_gate", specs=specs, can_subset=True, pool=keys.WAREHOUSE_POOL)
    def stock_gate(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        with opened(settings.warehouse_path) as connection:
            results = [
                _checked(name, stock_problems(connection, settings, store))
                for name, store in by_name.items()
                if dg.AssetCheckKey(_REC_INVENTORY, name) in context.selected_asset_check_keys
            ]
        yield from results

    return stock_gate


def _checked(name: str, problems: list[str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=_REC_INVENTORY,
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(problems) or "fresh and plausible",
    )


def _stock(settings: Settings, store: Store) -> dg.AssetsDefinition:
    @dg.asset(
        key=keys.stock_asset_path(store.id),
        deps=[_REC_INVENTORY],
        group_name=keys.STOCK_GROUP,
        description=(
            f"Stock of {store.name} as its shop shows it: available-to-promise, written where it differs, read back. "
            "Its gate is asked again right before anything is sent."
        ),
        owners=["team:commerce"],
        kinds={store.system, "python"},
        tags={"layer": "export", "store": store.id},
        pool=keys.WAREHOUSE_POOL,
    )
    def stock(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        operations = open_store(settings.operations_url)
        try:
            result = push_stock(
                settings, operations, store.id, run_id=context.run.run_id, actor=_ACTOR, progress=context.log.info
            )
        except TooManyChangesError as error:
            raise dg.Failure(
                description=str(error), metadata={keys.NEEDS_DECISION: True}, allow_retries=False
            ) from error
        except StockError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        finally:
            operations.dispose()
        metadata = _metadata(result)
        if not result.ok:
            context.log_event(dg.AssetObservation(asset_key=context.asset_key, metadata=metadata))
            first = result.problems[0]
            raise dg.Failure(
                description=(
                    f"{store.id}: {len(result.problems)} of {len(result.settled)} articles do not show what was sent; "
                    f"first {first.write.sku}: {first.state}: {first.message}"
                ),
                metadata=metadata,
                allow_retries=False,
            )
        return dg.MaterializeResult(metadata=metadata)

    return stock


def _metadata(result: PushResult) -> dict[str, Any]:
    lines = [
        f"- {one.write.sku}: {one.write.before:f} → {one.write.target:f}: {one.state}"
        + (f": {one.message}" if one.message else "")
        for one in result.settled[:_SHOWN]
    ]
    if len(result.settled) > _SHOWN:
        lines.append(f"- … and {len(result.settled) - _SHOWN} more")
    return {
        "articles": result.plan.articles,
        "written": len(result.settled),
        "in_step": len(result.plan.right),
        "left_alone": len(result.plan.left),
        "resumed": len(result.resumed),
        "problems": len(result.problems),
        "writes": dg.MetadataValue.md("\n".join(lines) or "none"),
    }
