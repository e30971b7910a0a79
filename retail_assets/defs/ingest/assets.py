"""Raw assets, made by dlt."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from typing import Any

import dagster as dg
import dlt
from dagster_dlt import DagsterDltResource, DagsterDltTranslator, build_dlt_asset_specs
from dagster_dlt.translator import DltResourceTranslatorData

from retail_assets import keys
from retail_assets.contracts import Table, table
from retail_assets.defs.ingest import webhooks
from retail_assets.defs.ingest.checks import check_results, check_specs
from retail_assets.defs.ingest.events import events_answered
from retail_assets.defs.ingest.instances import SourceInstance, source_instances
from retail_assets.defs.ingest.polling import fresh_for
from retail_assets.defs.ingest.progress import reporter
from retail_assets.settings import Settings
from retail_assets.sources.intake import Counts, Intake
from retail_assets.sources.warehouse import create_raw_tables, loading, pipeline_for, portions
from retail_assets.warehouse_file import opened


class RawTranslator(DagsterDltTranslator):
    """Keys ``raw_<system>/<instance>/<table>``, one group per instance, description and owner from the contract."""

    def __init__(self, instance: SourceInstance, fresh_for: timedelta) -> None:
        self._instance = instance
        self._fresh_for = fresh_for

    def get_asset_spec(self, data: DltResourceTranslatorData) -> dg.AssetSpec:
        """The spec of one resource of the instance; it has no upstream assets."""
        contract = table(self._instance.system, data.resource.name)
        return dg.AssetSpec(
            key=keys.raw_asset_path(self._instance.system, self._instance.instance, contract.name),
            description=f"{contract.description} From {self._instance.title}, as sent.",
            group_name=keys.source_group(self._instance.instance),
            owners=[contract.owner],
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=self._fresh_for),
            kinds={"dlt", self._instance.system, "duckdb"},
            tags={"layer": "raw", "system": self._instance.system, "instance": self._instance.instance},
            metadata={"dagster/table_name": f"warehouse.{contract.schema}.{contract.name}"},
        )


def ingest_definitions(settings: Settings) -> dg.Definitions:
    """Raw assets of every configured instance."""
    return dg.Definitions(
        assets=[_raw_assets(settings, instance) for instance in source_instances(settings)],
        resources={"dlt": DagsterDltResource()},
    )


def _raw_assets(settings: Settings, instance: SourceInstance) -> dg.AssetsDefinition:
    def pipeline() -> dlt.Pipeline:
        return pipeline_for(
            instance.system, instance.instance, warehouse=settings.warehouse_path, state=settings.dlt_path
        )

    specs = build_dlt_asset_specs(
        # Only names the resources: nothing is read, and the operations store not opened, before a run.
        dlt_source=instance.build(instance.intake(settings)),
        dlt_pipeline=pipeline(),
        dagster_dlt_translator=RawTranslator(instance, fresh_for(settings, instance)),
    )

    store = webhooks.watched_store(instance)
    orders = dg.AssetKey(keys.raw_asset_path(instance.system, instance.instance, "orders"))
    checks = [spec for asset in specs for spec in check_specs(asset.key)]
    if store is not None:
        checks.append(webhooks.check_spec(orders))

    @dg.multi_asset(
        name=f"load_{instance.instance}",
        specs=specs,
        check_specs=checks,
        can_subset=True,
        pool=keys.WAREHOUSE_POOL,
    )
    def load(context: dg.AssetExecutionContext, dlt: DagsterDltResource) -> Iterator[Any]:
        create_raw_tables(settings.warehouse_path)
        tags = context.run.tags
        complete = instance.completeness(by_hand=tags.get(keys.RUNNER_TAG) == keys.COMMAND_RUNNER)
        thorough = keys.THOROUGH_TAG in tags
        with (
            complete.required(),
            events_answered(context, settings, instance) as asked,
            closing(instance.intake(settings, reporter(context), thorough=thorough, asked=asked)) as intake,
        ):
            by_key: dict[Any, dg.MaterializeResult] = {}
            with intake.traffic.watching():
                for source in portions(intake, lambda: instance.build(intake)):
                    target = pipeline()
                    with loading(target):
                        run = dlt.run(
                            context=context, dlt_source=source, dlt_pipeline=target, loader_file_format="parquet"
                        )
                        done = [result for result in run if isinstance(result, dg.MaterializeResult)]
                    by_key |= {result.asset_key: result for result in done}
                    # After every portion: what was committed is counted, also if the next one fails.
                    intake.log(context.run.run_id)
            results = list(by_key.values())
            if intake.traffic.requests:
                context.log.info(f"{instance.instance}: {intake.traffic.requests} HTTP requests")
            rows = _row_counts(settings, instance, results)
            for result in results:
                yield _with_counts(context, result, intake, rows)
                yield from check_results(context, result.asset_key, intake, settings)
            if store is not None and dg.AssetCheckKey(orders, keys.WEBHOOKS_CHECK) in context.selected_asset_check_keys:
                found = webhooks.check_result(context, orders, store)
                if found is not None:
                    yield found

    return load


def _with_counts(
    context: dg.AssetExecutionContext, result: dg.MaterializeResult, intake: Intake, rows: Mapping[str, int]
) -> dg.MaterializeResult:
    name = dg.AssetKey.from_coercible(result.asset_key).path[-1]  # pyright: ignore[reportArgumentType]
    counts = intake.counts.get(name, Counts())
    for note in counts.notes:
        context.log.warning(f"{intake.instance} {name}: {note}")
    if counts.quarantined:
        context.log.warning(
            f"{intake.instance} {name}: {counts.quarantined} of {counts.received} records broke their contract and are "
            "in quarantine; see them with: retail quarantine list"
        )
    return result._replace(
        metadata={
            "dagster/row_count": rows[name],
            "received": counts.received,
            "loaded": counts.loaded,
            "quarantined": counts.quarantined,
            **({"requests": intake.traffic.requests} if intake.traffic.requests else {}),
            **({"notes": dg.MetadataValue.md("\n".join(counts.notes))} if counts.notes else {}),
        }
    )


def _row_counts(settings: Settings, instance: SourceInstance, results: list[dg.MaterializeResult]) -> dict[str, int]:
    """Rows that each raw table holds of this instance."""
    counts = {}
    with opened(settings.warehouse_path) as connection:
        for result in results:
            name = dg.AssetKey.from_coercible(result.asset_key).path[-1]  # pyright: ignore[reportArgumentType]
            contract: Table = table(instance.system, name)
            query = f'select count(*) from "{contract.schema}"."{name}" where "{contract.instance_column}" = ?'  # noqa: S608
            row = connection.execute(query, [instance.instance]).fetchone()
            counts[name] = row[0] if row else 0
    return counts
