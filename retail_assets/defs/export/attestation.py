"""One asset per entity: what was posted, read back from the ERP and found to be as it was meant."""

from contextlib import closing
from typing import Final

import dagster as dg

from retail_assets import keys
from retail_assets.accounting.attestation import Attested, attest
from retail_assets.erp.factory import poster_for
from retail_assets.erp.protocol import Poster
from retail_assets.ops.store import open_store
from retail_assets.settings import Entity, Settings

_SHOWN: Final = 50
_ACTOR: Final = "retail-assets"
_EVERY_NIGHT: Final = "0 3 * * *"


def attestation_definitions(settings: Settings) -> dg.Definitions:
    """For each entity the asset with its check, and the job that makes it; and the schedule that runs them nightly."""
    assets = [_attestation(settings, entity) for entity in settings.configuration.entities]
    job = dg.define_asset_job(
        keys.ATTEST_JOB,
        selection=dg.AssetSelection.assets(*assets),
        description="Compares everything that was ever posted with what the ERPs hold today, closed periods included.",
    )
    schedule = dg.ScheduleDefinition(
        name="attest_nightly",
        job=job,
        cron_schedule=_EVERY_NIGHT,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    return dg.Definitions(assets=assets, jobs=[job], schedules=[schedule])


def _attestation(settings: Settings, entity: Entity) -> dg.AssetsDefinition:
    key = dg.AssetKey(keys.attestation_asset_path(entity.code))

    @dg.asset(
        key=key,
        deps=[dg.AssetKey(keys.export_asset_path(entity.code))],
        check_specs=[
            dg.AssetCheckSpec(
                keys.ATTESTED_CHECK,
                asset=key,
                description="Every document that was posted is at the ERP exactly as it was posted.",
            )
        ],
        group_name=keys.EXPORT_GROUP,
        description=(
            f"Everything ever posted for {entity.name}, read back from {entity.erp}. A document that was changed there "
            "holds its entry and becomes an exception of type posted_drift with the next build."
        ),
        owners=["team:finance"],
        kinds={settings.configuration.erp(entity.erp).system, "python"},
        tags={"layer": "export", "entity": entity.code.lower()},
    )
    def attestation(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        operations = open_store(settings.operations_url)
        try:
            with closing(poster_for(settings.configuration.erp(entity.erp))) as poster:
                found = attest(
                    operations,
                    poster,
                    entity.code,
                    now=settings.now(),
                    actor=_ACTOR,
                    run_id=context.run.run_id,
                    progress=lambda done, total: context.log.info(f"{entity.code}: {done} of {total} documents"),
                )
                problems = _problems(found, poster)
        finally:
            operations.dispose()
        counts = {"documents": found.documents, "equal": found.counts["equal"], "drifted": len(found.findings)}
        check = dg.AssetCheckResult(
            check_name=keys.ATTESTED_CHECK,
            passed=found.clean,
            description=f"{len(found.findings)} of {found.documents} documents are not as they were posted",
            metadata={"problems": problems},
        )
        return dg.MaterializeResult(metadata={**counts, "problems": problems}, check_results=[check])

    return attestation


def _problems(found: Attested, poster: Poster) -> dg.MetadataValue:
    lines = [
        f"- [{one.document}]({poster.document_url(one.document)}) {one.posting_key}: {one.state}: {one.detail}"
        for one in found.findings[:_SHOWN]
    ]
    if len(found.findings) > _SHOWN:
        lines.append(f"- … and {len(found.findings) - _SHOWN} more")
    return dg.MetadataValue.md("\n".join(lines) or "none")
