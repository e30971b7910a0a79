"""The published marts as one asset, made after every build: also after one that failed in part."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import dagster as dg

from retail_assets import keys
from retail_assets.defs.checks.gate import gate_check_keys
from retail_assets.defs.publish.publication import Mart, publish, read_publication
from retail_assets.defs.publish.verdicts import FLAGGED, GOOD, HELD, Verdict, mart_verdicts, marts_of
from retail_assets.defs.transform.manifest import manifest_path
from retail_assets.settings import Settings

_INTERVAL_SECONDS: Final = 30
#: A publication that failed or was cancelled is tried again so often; the next build brings another.
MAX_ATTEMPTS: Final = 3
_IN_VAIN: Final = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def publish_definitions(settings: Settings) -> dg.Definitions:
    """The asset, its job, and the sensor that starts it once for each build that has ended."""

    @dg.asset(
        key=keys.PUBLISHED_ASSET,
        deps=[dg.AssetKey(keys.mart_asset_path(mart)) for mart in marts_of(_read(manifest_path(settings)))],
        group_name=keys.PUBLISH_GROUP,
        description=(
            "The marts as BI tools read them: published/marts.duckdb and published/parquet/latest/. A mart whose check "
            "failed stays as it was last published, and so does what is built on it; published_marts says which."
        ),
        owners=["team:platform"],
        kinds={"duckdb", "parquet"},
        tags={"layer": "published"},
        pool=keys.WAREHOUSE_POOL,
    )
    def published_marts(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        marts = publish_marts(settings, failed_gate_checks(context.instance, settings))
        held = [mart.name for mart in marts if mart.verdict.status == HELD]
        if held:
            context.log.warning(f"{len(held)} marts stay as they were: {', '.join(held)}")
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": sum(mart.row_count or 0 for mart in marts),
                **{
                    status: len([mart for mart in marts if mart.verdict.status == status])
                    for status in (GOOD, FLAGGED, HELD)
                },
                "not_good": dg.MetadataValue.md(
                    "\n".join(
                        f"- {mart.name} ({mart.verdict.status}): {'; '.join(mart.verdict.reasons)}"
                        for mart in marts
                        if mart.verdict.status != GOOD
                    )
                    or "none"
                ),
                "file": dg.MetadataValue.path(str(settings.published_path / "marts.duckdb")),
            }
        )

    job = dg.define_asset_job(
        keys.PUBLISH_JOB,
        selection=dg.AssetSelection.assets(published_marts),
        description="Publishes the marts of the last build for BI.",
    )

    @dg.sensor(
        name="publish_after_build",
        job=job,
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Publishes the marts once for each build that has ended, well or not.",
    )
    def publish_after_build(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return request_publication(context.instance, settings)

    return dg.Definitions(assets=[published_marts], jobs=[job], sensors=[publish_after_build])


def request_publication(instance: dg.DagsterInstance, settings: Settings) -> dg.RunRequest | dg.SkipReason:
    """The run that publishes what the last build made, or why there is none; each build is published once."""
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    builds = instance.get_runs(dg.RunsFilter(job_name=keys.BUILD_JOB, statuses=ended), limit=1)
    if not builds:
        return dg.SkipReason("nothing was built yet")
    tags = {keys.BUILD_TAG: builds[0].run_id}
    runs = instance.get_runs(dg.RunsFilter(job_name=keys.PUBLISH_JOB, tags=tags))
    if any(run.status not in _IN_VAIN for run in runs):
        return dg.SkipReason(f"build {builds[0].run_id} was published or is being published")
    if len(runs) >= MAX_ATTEMPTS:
        return dg.SkipReason(f"build {builds[0].run_id} could not be published {len(runs)} times; see its runs")
    if not settings.run_results_path.is_file():
        return dg.SkipReason(
            f"build {builds[0].run_id} broke off, its tables are of two builds: what is published stays"
        )
    # Dagster never starts a second run for a key.
    return dg.RunRequest(run_key=f"publish-{builds[0].run_id}-{len(runs) + 1}", tags=tags)


def publish_marts(settings: Settings, failed_checks: dict[str, list[str]]) -> list[Mart]:
    """Publish what dbt's last build made of this home's warehouse.

    Args:
        failed_checks: of each mart, the gate checks that failed on it, in words; they flag it.

    Raises:
        FileNotFoundError: dbt has built nothing in this home yet, or the last build broke off.
    """
    run_results = _read(settings.run_results_path)
    manifest = _read(manifest_path(settings))
    path = settings.published_path / "marts.duckdb"
    before = {name: mart.verdict for name, mart in read_publication(path).items()}
    verdicts = {
        name: _also_flagged(verdict, failed_checks.get(name, []))
        for name, verdict in mart_verdicts(manifest, run_results, before).items()
    }
    return publish(
        settings.warehouse_path,
        settings.published_path,
        marts_of(manifest).values(),
        verdicts,
        build_id=run_results["metadata"]["invocation_id"],
        built_at=datetime.fromisoformat(run_results["metadata"]["generated_at"]),
    )


def failed_gate_checks(instance: dg.DagsterInstance, settings: Settings) -> dict[str, list[str]]:
    """Of each mart, the gate checks whose latest result is a failure, in words."""
    failed: dict[str, list[str]] = {}
    for entity in settings.configuration.entities:
        for key in gate_check_keys(entity.code):
            record = instance.get_latest_asset_check_evaluation_record(key)
            event = record.event.dagster_event if record and record.event else None
            if event is None or event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                continue
            evaluation = event.asset_check_evaluation_data
            if not evaluation.passed:
                failed.setdefault(key.asset_key.path[-1], []).append(f"{key.name}: {evaluation.description}")
    return failed


def _also_flagged(verdict: Verdict, failed: list[str]) -> Verdict:
    if not failed:
        return verdict
    return Verdict(FLAGGED if verdict.status == GOOD else verdict.status, (*verdict.reasons, *failed))


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
