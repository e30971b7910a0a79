"""dbt models as assets, with dbt's data tests as asset checks."""

import importlib.metadata
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any, Final

import dagster as dg
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliEventMessage,
    DbtCliResource,
    DbtProject,
    dbt_assets,
)
from packaging.version import Version

from retail_assets import keys
from retail_assets.contracts import SYSTEMS, table
from retail_assets.defs.ingest.instances import SourceInstance, source_instances
from retail_assets.defs.transform.manifest import dbt_environment, dbt_executable, manifest_path
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings
from retail_assets.sources.ops import ops_source
from retail_assets.sources.warehouse import create_raw_tables, load, pipeline_for

#: The daily build, and time for it.
_FRESH_FOR: Final = timedelta(hours=26)


class ModelTranslator(DagsterDbtTranslator):
    """Keys ``<schema>/<model>``, and lineage from each source instance's own raw assets."""

    def __init__(self, loaded: Sequence[tuple[SourceInstance, frozenset[str]]]) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=False))
        self._loaded = loaded

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """The spec of one model, seed or source table."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        properties = self.get_resource_props(manifest, unique_id)
        if properties["resource_type"] == "source":
            return spec
        _, layer, *path = properties["fqn"]
        if layer == "staging":
            # A source system's models form a group of their own, owned by whoever owns the system.
            spec = spec.replace_attributes(group_name=f"staging_{path[0]}", owners=[SYSTEMS[path[0]].owner])
        if layer == "marts":
            spec = spec.replace_attributes(freshness_policy=dg.FreshnessPolicy.time_window(fail_window=_FRESH_FOR))
        return spec.replace_attributes(
            key=_key(properties),
            deps=self._dependencies(manifest, properties),
            kinds={"dbt", "duckdb"} if properties["resource_type"] == "model" else {"dbt", "csv"},
            tags={"layer": _key(properties)[0]},
        )

    def _dependencies(self, manifest: Mapping[str, Any], properties: Mapping[str, Any]) -> list[dg.AssetKey]:
        """dbt knows one raw table; here it comes from one asset for each instance that fills it."""
        upstream: list[dg.AssetKey] = []
        for unique_id in properties.get("depends_on", {}).get("nodes", []):
            if unique_id.startswith("source."):
                source = manifest["sources"][unique_id]
                upstream.extend(self._raw_assets(source["schema"].removeprefix("raw_"), source["name"]))
            elif unique_id in manifest["nodes"]:
                upstream.append(dg.AssetKey(_key(manifest["nodes"][unique_id])))
        return list(dict.fromkeys(upstream))

    def _raw_assets(self, system: str, name: str) -> Iterator[dg.AssetKey]:
        contract = table(system, name)
        if system == "ops":
            yield dg.AssetKey(OPS_ASSET)
        for instance, resources in self._loaded:
            if instance.system == system and contract.resource in resources:
                yield dg.AssetKey(keys.raw_asset_path(system, instance.instance, contract.resource))


class DbtCommand(DbtCliResource):
    """dbt's command line without two seconds of start-up that serve features not used here.

    dagster-dbt asks ``dbt --version`` in a process of its own, and opens an adapter to fetch row counts and columns;
    that adapter would keep the warehouse open in this process. Both are private there, and dagster-dbt is pinned.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return Version(importlib.metadata.version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return None


OPS_ASSET = keys.raw_asset_path("ops", "operations", "records")


def transform_definitions(settings: Settings) -> dg.Definitions:
    """The dbt models as assets and the asset that hands our own records to them."""
    loaded = [(instance, instance.resources(settings)) for instance in source_instances(settings)]
    translator = ModelTranslator(loaded)
    manifest = manifest_path(settings)
    project = DbtProject(
        project_dir=settings.dbt_project_path,
        target_path=settings.dbt_target_path,
        profiles_dir=settings.dbt_project_path,
    )

    @dg.asset(
        key=OPS_ASSET,
        group_name=keys.source_group("operations"),
        description="Configuration, clock, quarantine, load log and postings, as the models read them.",
        owners=["team:platform"],
        kinds={"dlt", "duckdb"},
        tags={"layer": "raw", "system": "ops", "instance": "operations"},
        pool=keys.WAREHOUSE_POOL,
    )
    def operations_records() -> dg.MaterializeResult:
        create_raw_tables(settings.warehouse_path)
        operations = open_store(settings.operations_url)
        try:
            pipeline = pipeline_for("ops", "operations", warehouse=settings.warehouse_path, state=settings.dlt_path)
            rows = load(ops_source(settings, operations), pipeline)
        finally:
            operations.dispose()
        return dg.MaterializeResult(metadata={"dagster/row_count": rows})

    @dbt_assets(
        manifest=manifest,
        project=project,
        name="dbt_models",
        dagster_dbt_translator=translator,
        pool=keys.WAREHOUSE_POOL,
    )
    def dbt_models(context: dg.AssetExecutionContext, dbt: DbtCommand) -> Iterator[Any]:
        # Unit tests check the rules, not the data: they run in the test suite.
        arguments = ["build", "--exclude-resource-type", "unit_test"]
        # A build that is killed must not leave the last one's results to speak for what it made.
        settings.run_results_path.unlink(missing_ok=True)
        invocation = dbt.cli(
            arguments, context=context, target_path=settings.run_results_path.parent, raise_on_error=False
        )
        for told in invocation.stream_raw_events():
            for event in told.to_default_asset_events(
                manifest=invocation.manifest,
                dagster_dbt_translator=translator,
                context=context,
                target_path=invocation.target_path,
                project=project,
            ):
                yield _with_row_count(event, told)
        if error := invocation.get_error():
            raise error

    os.environ.update(dbt_environment(settings))
    return dg.Definitions(
        assets=[operations_records, dbt_models],
        resources={
            "dbt": DbtCommand(
                project_dir=str(settings.dbt_project_path),
                profiles_dir=str(settings.dbt_project_path),
                dbt_executable=dbt_executable(),
            )
        },
    )


def _key(properties: Mapping[str, Any]) -> list[str]:
    return [properties["schema"], properties["name"]]


def _with_row_count(event: Any, told: DbtCliEventMessage) -> Any:
    """dbt's event for a table or a mart, with the rows that it now has (``tell_row_count`` in the macros)."""
    command, _, count = str(told.raw_event["data"].get("status", "")).partition(" ")
    if not isinstance(event, dg.Output) or command != "SELECT":
        return event
    return event.with_metadata({**event.metadata, "dagster/row_count": int(count)})
