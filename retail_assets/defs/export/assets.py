"""One asset per entity: its journals, as the ERP holds them."""

from contextlib import closing
from typing import Any, Final

import dagster as dg

from retail_assets import keys
from retail_assets.accounting.plan import Plan
from retail_assets.accounting.posting import ItemResult, PostingResult, apply
from retail_assets.defs.checks.gate import gate_state
from retail_assets.defs.checks.invariants import INVARIANTS
from retail_assets.defs.export.certifying import certify
from retail_assets.defs.export.planning import ask, plan_for
from retail_assets.defs.export.sensors import gate_sensor
from retail_assets.erp.factory import poster_for
from retail_assets.erp.protocol import Poster
from retail_assets.ops.store import open_store
from retail_assets.settings import Entity, Settings

_SHOWN: Final = 50
_PROGRESS_EVERY: Final = 200
_ACTOR: Final = "retail-assets"


class GateClosedError(dg.Failure):
    """The gate checks have not passed on the latest marts, so nothing is posted."""


def export_definitions(settings: Settings) -> dg.Definitions:
    """For each entity the asset, the job that makes it, and the sensor that starts that job."""
    assets, jobs, sensors = [], [], []
    for entity in settings.configuration.entities:
        asset = _journals(settings, entity)
        job = dg.define_asset_job(
            keys.export_job_name(entity.code),
            selection=dg.AssetSelection.assets(asset),
            description=f"Posts what the books of {entity.name} lack.",
        )
        assets.append(asset)
        jobs.append(job)
        sensors.append(gate_sensor(settings, entity.code, keys.export_job_name(entity.code)))
    return dg.Definitions(assets=assets, jobs=jobs, sensors=sensors)


def _journals(settings: Settings, entity: Entity) -> dg.AssetsDefinition:
    # Directly on every gated mart: a gate that is further up would not be seen by Dagster's own conditions.
    upstream = {invariant.mart for invariant in INVARIANTS} | {"rec_exceptions"}

    @dg.asset(
        key=keys.export_asset_path(entity.code),
        deps=[dg.AssetKey(keys.mart_asset_path(mart)) for mart in sorted(upstream)],
        group_name=keys.EXPORT_GROUP,
        description=(
            f"Journals of {entity.name} in {entity.erp}: desired ledger minus posted, through the outbox, read back. "
            "Items with an open exception are held; all others go."
        ),
        owners=["team:finance"],
        kinds={settings.configuration.erp(entity.erp).system, "python"},
        tags={"layer": "export", "entity": entity.code.lower()},
        pool=keys.WAREHOUSE_POOL,
    )
    def journals(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        state = gate_state(context.instance, entity.code)
        if state.batch_id is None:
            raise GateClosedError(description=f"nothing was posted for {entity.code}: {state.reason}")
        operations = open_store(settings.operations_url)
        try:
            plan = plan_for(settings, operations, entity.code)
            if plan.requests:
                ask(settings, operations, plan)
                context.log.warning(
                    f"{entity.code}: {len(plan.requests)} approvals are waited for: retail approve list"
                )

            def progress(done: int, total: int, item: ItemResult) -> None:
                if item.message:
                    context.log.warning(f"{item.posting_key}: {item.outcome}: {item.message}")
                if done % _PROGRESS_EVERY == 0 or done == total:
                    context.log.info(f"{entity.code}: {done} of {total} documents")

            with closing(poster_for(settings.configuration.erp(entity.erp))) as poster:
                try:
                    result = apply(
                        plan,
                        operations,
                        poster,
                        now=settings.now(),
                        actor=_ACTOR,
                        run_id=context.run.run_id,
                        anchor_path=settings.audit_anchor_path,
                        progress=progress,
                    )
                finally:
                    # Also what was posted by a run that stopped half-way, or that died before it came to this.
                    certificate = certify(
                        settings,
                        operations,
                        plan,
                        run_id=context.run.run_id,
                        batch_id=state.batch_id,
                        actor=_ACTOR,
                    )
                metadata = _metadata(plan, result, poster, state.batch_id)
                metadata["certificate"] = certificate.certificate_id if certificate else "none: nothing was posted"
        finally:
            operations.dispose()
        if not result.complete:
            context.log_event(dg.AssetObservation(asset_key=context.asset_key, metadata=metadata))
            first = result.problems[0]
            raise dg.Failure(
                description=(
                    f"{entity.code}: {len(result.problems)} of {len(plan.items)} documents are not at the ERP as "
                    f"intended; first {first.posting_key}: {first.outcome}: {first.message}"
                ),
                metadata=metadata,
                allow_retries=False,
            )
        return dg.MaterializeResult(metadata=metadata)

    return journals


def _metadata(plan: Plan, result: PostingResult, poster: Poster, batch_id: str) -> dict[str, Any]:
    documents = [item for item in result.items if item.outcome in ("posted", "adopted") and item.document]
    lines = [
        f"- [{item.document}]({poster.document_url(item.document or '')}) {item.posting_key}" for item in documents
    ]
    held = [f"- {item.entry_id}: {item.reason}" for item in plan.held]
    problems = [f"- {item.posting_key}: {item.outcome}: {item.message}" for item in result.problems]
    return {
        "posted": result.count("posted", "adopted"),
        "unchanged": len(plan.unchanged),
        "reversed": len([item for item in plan.items if item.kind == "reversal"]),
        "held": len(plan.held),
        "waiting_for_approval": len(plan.requests),
        "failed": len(result.problems),
        "batch": batch_id,
        "plan_digest": plan.digest(),
        "totals": dg.MetadataValue.json(
            {total.account_code: {"debit": str(total.debit), "credit": str(total.credit)} for total in plan.totals()}
        ),
        "documents": _list(lines),
        "held_entries": _list(held),
        "problems": _list(problems),
    }


def _list(lines: list[str]) -> dg.MetadataValue:
    shown = lines[:_SHOWN]
    if len(lines) > _SHOWN:
        shown.append(f"- … and {len(lines) - _SHOWN} more")
    return dg.MetadataValue.md("\n".join(shown) or "none")
