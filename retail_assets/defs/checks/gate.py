"""The gate: blocking asset checks per entity and invariant, and whether they passed on what is there now."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import dagster as dg
import duckdb

from retail_assets import keys
from retail_assets.defs.checks.invariants import INVARIANTS, Invariant
from retail_assets.settings import Settings
from retail_assets.warehouse_file import opened

_SHOWN_OFFENDERS: Final = 10


@dataclass(frozen=True, slots=True)
class GateState:
    """Whether an entity may be posted: ``batch_id`` if so, else ``reason``.

    ``batch_id`` is made of the very materializations the checks passed on: the same data, the same id.
    """

    batch_id: str | None
    reason: str | None


def gate_check_keys(entity_code: str) -> list[dg.AssetCheckKey]:
    """The checks that gate an entity."""
    return [
        dg.AssetCheckKey(
            dg.AssetKey(keys.mart_asset_path(invariant.mart)), keys.gate_check_name(invariant.name, entity_code)
        )
        for invariant in INVARIANTS
    ]


def gate_state(instance: dg.DagsterInstance, entity_code: str) -> GateState:
    """Whether each gate check of an entity has passed on the latest materialization of its mart.

    A pass on older data does not count: the check's own target must be the mart's latest materialization.
    """
    passed = []
    for key in gate_check_keys(entity_code):
        label = f"check {key.name} on {key.asset_key.to_user_string()}"
        latest = instance.fetch_materializations(key.asset_key, limit=1).records
        if not latest:
            return GateState(None, f"{key.asset_key.to_user_string()} was never materialized")
        record = instance.get_latest_asset_check_evaluation_record(key)
        event = record.event.dagster_event if record and record.event else None
        # A check whose step died before it ran has left only the plan to run it.
        ran = event is not None and event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
        evaluation = event.asset_check_evaluation_data if event and ran else None
        if evaluation is None:
            return GateState(None, f"{label} has not run")
        if not evaluation.passed:
            return GateState(None, f"{label} failed: {evaluation.description}")
        target = evaluation.target_materialization_data
        if target is None or target.storage_id != latest[0].storage_id:
            return GateState(None, f"{label} passed on older data; the latest materialization was not checked")
        passed.append(f"{key.asset_key.to_user_string()}:{key.name}@{latest[0].storage_id}")
    digest = hashlib.sha256("|".join(passed).encode()).hexdigest()
    return GateState(digest[:32], None)


def check_definitions(settings: Settings) -> dg.Definitions:
    """One check per entity and invariant, all evaluated by one step over one connection."""
    entities = [entity.code for entity in settings.configuration.entities]
    specs = [
        dg.AssetCheckSpec(
            name=keys.gate_check_name(invariant.name, entity),
            asset=dg.AssetKey(keys.mart_asset_path(invariant.mart)),
            description=f"{invariant.promise} Gates the postings of {entity}.",
            blocking=True,
            metadata={"entity": entity, "invariant": invariant.name},
        )
        for entity in entities
        for invariant in INVARIANTS
    ]

    @dg.multi_asset_check(name="posting_gate", specs=specs, can_subset=True, pool=keys.WAREHOUSE_POOL)
    def posting_gate(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        selected = context.selected_asset_check_keys
        with opened(settings.warehouse_path) as connection:
            # Collected first: a failing blocking check ends the step, and every other result must be seen as well.
            results = [
                _evaluate(connection, invariant, entity)
                for entity in entities
                for invariant in INVARIANTS
                if dg.AssetCheckKey(
                    dg.AssetKey(keys.mart_asset_path(invariant.mart)), keys.gate_check_name(invariant.name, entity)
                )
                in selected
            ]
        yield from sorted(results, key=lambda result: not result.passed)

    return dg.Definitions(asset_checks=[posting_gate])


def _evaluate(connection: duckdb.DuckDBPyConnection, invariant: Invariant, entity: str) -> dg.AssetCheckResult:
    parameters = {"entity": entity}
    counted = connection.execute(invariant.counted, parameters).fetchall()[0][0]
    offenders = connection.execute(
        f"select * from ({invariant.offenders}) order by offending_key",  # noqa: S608 -- constants of this package
        parameters,
    ).fetchall()
    first = [f"{key} ({difference})" for key, difference in offenders[:_SHOWN_OFFENDERS]]
    return dg.AssetCheckResult(
        check_name=keys.gate_check_name(invariant.name, entity),
        asset_key=dg.AssetKey(keys.mart_asset_path(invariant.mart)),
        passed=not offenders,
        severity=dg.AssetCheckSeverity.ERROR,
        description=(
            f"{counted} checked, all hold."
            if not offenders
            else f"{len(offenders)} of {counted} break it: {', '.join(first)}"
        ),
        metadata={
            "checked": counted,
            "offending": len(offenders),
            "difference": str(sum((row[1] or 0 for row in offenders), 0)),
            "first_offending_keys": dg.MetadataValue.json(first),
            "entity": entity,
        },
    )
