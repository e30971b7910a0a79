"""Checks of the raw assets: counts in are counts out, and the records still have the shape they had."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from retail_assets import keys
from retail_assets.contracts import Table, children_of, table, tables_of
from retail_assets.defs.transform.dependants import dependants, read_manifest
from retail_assets.settings import Settings
from retail_assets.sources.intake import Counts, Intake
from retail_assets.warehouse_file import opened


def check_specs(asset: dg.AssetKey) -> Iterator[dg.AssetCheckSpec]:
    """The two checks of a raw asset."""
    yield dg.AssetCheckSpec(
        keys.ACCOUNTED_CHECK,
        asset=asset,
        description="Every record received is in the raw table or in quarantine, and what was loaded is there.",
    )
    yield dg.AssetCheckSpec(
        keys.SHAPE_CHECK,
        asset=asset,
        description="The records have the fields and types they had before; not all of them broke their contract.",
    )


def check_results(
    context: dg.AssetExecutionContext,
    asset: Any,
    intake: Intake,
    settings: Settings,
) -> Iterator[dg.AssetCheckResult]:
    """What the selected checks of one raw asset found after its load."""
    key = dg.AssetKey.from_coercible(asset)
    contract = table(intake.system, key.path[-1])
    counts = intake.counts.get(contract.name, Counts())
    for name, found in (
        (keys.ACCOUNTED_CHECK, lambda: _accounted(key, contract, counts, intake, settings)),
        (keys.SHAPE_CHECK, lambda: _shape(key, contract, counts, intake, settings)),
    ):
        if dg.AssetCheckKey(key, name) in context.selected_asset_check_keys:
            yield found()


def _accounted(
    key: dg.AssetKey, contract: Table, counts: Counts, intake: Intake, settings: Settings
) -> dg.AssetCheckResult:
    """Asked of the stores, not of our own counting alone: a load that was counted must be there."""
    lost = counts.received - counts.loaded - counts.quarantined
    # What a resource counts may lie in another of its tables: an account without transactions has a balance.
    filled = [contract, *(other for other in tables_of(contract.system) if other.loaded_with == contract.name)]
    rows = 0
    with opened(settings.warehouse_path) as connection:
        for one in filled:
            query = f'select count(*) from "{one.schema}"."{one.name}" where "{one.instance_column}" = ?'  # noqa: S608
            (found,) = connection.execute(f"{query} and _loaded_at = ?", [intake.instance, intake.now]).fetchall()[0]
            rows += found
    passed = lost == 0 and (rows > 0 or counts.loaded == 0)
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=keys.ACCOUNTED_CHECK,
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{counts.received} received = {counts.loaded} loaded + {counts.quarantined} quarantined"
        + ("" if passed else f"; {lost} are unaccounted for, and {rows} rows of this load are in the warehouse"),
        metadata={
            "received": counts.received,
            "loaded": counts.loaded,
            "quarantined": counts.quarantined,
            "rows_of_this_load": rows,
        },
    )


def _shape(
    key: dg.AssetKey, contract: Table, counts: Counts, intake: Intake, settings: Settings
) -> dg.AssetCheckResult:
    tables = {contract.name, *(child.name for child in children_of(contract))}
    drifts = [drift for drift in intake.drifts if drift.table_name in tables]
    stopped = counts.received > 0 and counts.quarantined == counts.received
    lines = []
    # Some megabytes, and mostly nothing has changed.
    manifest = read_manifest(settings.dbt_target_path / "manifest.json") if drifts else {}
    for drift in drifts:
        readers = ", ".join(dependants(manifest, contract, drift.field))
        lines.append(f"- {drift}" + (f"; read by {readers}" if readers else "; no model names it"))
    if stopped:
        lines.insert(0, f"- all {counts.received} records broke their contract: nothing of this table was loaded")
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=keys.SHAPE_CHECK,
        passed=not lines,
        # A new field harms nobody; a table of which nothing fits any more does.
        severity=dg.AssetCheckSeverity.ERROR if stopped else dg.AssetCheckSeverity.WARN,
        description="as before" if not lines else f"{len(lines)} changes",
        metadata={"changes": dg.MetadataValue.md("\n".join(lines))} if lines else {},
    )
