"""dbt models as assets, with dbt's data tests as asset checks."""

import importlib.metadata
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import dagster as dg
import duckdb
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, DbtProject, dbt_assets
from packaging.version import Version

from retail_assets import keys
from retail_assets.contracts import SYSTEMS, table
from retail_assets.defs.ingest.instances import SourceInstance, source_instances
from retail_assets.defs.transform.manifest import dbt_environment, dbt_executable, manifest_path
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings
from retail_assets.sources.ops import ops_source
from retail_assets.sources.warehouse import create_raw_tables, load, pipeline_for


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
        dagster_dbt_translator=ModelTranslator(loaded),
        pool=keys.WAREHOUSE_POOL,
    )
    def dbt_models(context: dg.AssetExecutionContext, dbt: DbtCommand) -> Iterator[Any]:
        # Unit tests check the rules, not the data: they run in the test suite.
        arguments = ["build", "--exclude-resource-type", "unit_test"]
        invocation = dbt.cli(
            arguments, context=context, target_path=settings.dbt_target_path / "run", raise_on_error=False
        )
        counted = _tables_and_behind(invocation.manifest)
        kept: list[Any] = []
        for event in invocation.stream():
            # The rows of a table can be counted once the warehouse is no longer dbt's. Its event is kept until then,
            # and all that must come after it; those of views before it are told while dbt goes on.
            if _subject(event, invocation.manifest) in counted:
                kept.append(event)
            else:
                yield event
        rows = _row_counts(settings)
        for event in kept:
            yield _with_row_count(event, invocation.manifest, rows)
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


def _tables_and_behind(manifest: Mapping[str, Any]) -> set[tuple[str, ...]]:
    """Asset keys of what dbt keeps as a table, and of every model that comes of one."""
    nodes: Mapping[str, Any] = manifest["nodes"]
    found = {
        unique_id
        for unique_id, node in nodes.items()
        if node["resource_type"] in ("model", "seed") and node["config"].get("materialized") != "view"
    }
    waiting = list(found)
    while waiting:
        behind = {child for child in manifest["child_map"][waiting.pop()] if child.startswith("model.")} - found
        found |= behind
        waiting.extend(behind)
    return {tuple(_key(nodes[unique_id])) for unique_id in found}


def _subject(event: Any, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """The asset that an event of dbt is about: what was made, or what was checked."""
    if isinstance(event, dg.Output):
        return tuple(_key(manifest["nodes"][event.metadata["unique_id"].value]))
    return tuple(event.asset_key.path) if event.asset_key else ()


def _row_counts(settings: Settings) -> dict[str, int]:
    """Rows of every table that dbt made and of every mart, by ``schema.name``; other views are not counted."""
    query = (
        "select table_schema, table_name from information_schema.tables "
        "where table_schema = 'marts' or (table_type = 'BASE TABLE' and table_schema not like 'raw%')"
    )
    with duckdb.connect(str(settings.warehouse_path)) as connection:
        return {
            f"{schema}.{name}": connection.execute(f'select count(*) from "{schema}"."{name}"').fetchall()[0][0]  # noqa: S608
            for schema, name in connection.execute(query).fetchall()
        }


def _with_row_count(event: Any, manifest: Mapping[str, Any], rows: Mapping[str, int]) -> Any:
    """dbt's event for a table or a mart, with the rows that it now has."""
    if not isinstance(event, dg.Output):
        return event
    node = manifest["nodes"][event.metadata["unique_id"].value]
    count = rows.get(".".join(_key(node)))
    return event if count is None else event.with_metadata({**event.metadata, "dagster/row_count": count})
