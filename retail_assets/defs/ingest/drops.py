"""The sensor that picks up file drops once they are complete."""

import hashlib
import json
from typing import Final

import dagster as dg

from retail_assets import keys
from retail_assets.defs.ingest.instances import SourceInstance, source_instances
from retail_assets.settings import Settings
from retail_assets.sources.files import complete_files

FILES_SENSOR: Final = "files_dropped"
#: A load that failed is asked for again so often; then the nightly load tries.
MAX_ATTEMPTS: Final = 3
_INTERVAL_SECONDS: Final = 30


def files_sensor(settings: Settings) -> dg.SensorDefinition:
    """A sensor that loads an instance when its folder holds complete files that looked the same a tick before.

    Its cursor holds, for each instance, a digest of what lay there at the last tick and at the last load. The load
    decides again, file by file, what is complete: one that comes in between is not read half.
    """
    instances = list(source_instances(settings))

    @dg.sensor(
        name=FILES_SENSOR,
        job_name=keys.INGEST_JOB,
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Loads what was dropped into the folders below inbox/, each file when its sender has finished it.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before: dict[str, dict[str, str]] = json.loads(context.cursor or "{}")
        after: dict[str, dict[str, str]] = {}
        requests = []
        for instance in instances:
            name = instance.instance
            seen = before.get(name, {})
            after[name] = state = {"seen": _appearance(instance), "loaded": seen.get("loaded", "")}
            if state["seen"] in ("", state["loaded"]) or state["seen"] != seen.get("seen"):
                continue
            digest = state["seen"]
            runs = context.instance.get_runs(dg.RunsFilter(job_name=keys.INGEST_JOB, tags={keys.FILES_TAG: digest}))
            failed = [run for run in runs if run.status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)]
            if any(run.status is dg.DagsterRunStatus.SUCCESS for run in runs) or len(failed) >= MAX_ATTEMPTS:
                state["loaded"] = digest
            elif len(failed) == len(runs):
                requests.append(
                    dg.RunRequest(
                        run_key=f"files-{digest}-{len(failed) + 1}",
                        asset_selection=instance.assets(settings),
                        tags={keys.FILES_TAG: digest},
                    )
                )
        skipped = None if requests else "nothing new is complete"
        return dg.SensorResult(run_requests=requests, skip_reason=skipped, cursor=json.dumps(after, sort_keys=True))

    return sensor


def _appearance(instance: SourceInstance) -> str:
    """A digest of the complete files that lie there; empty if there are none."""
    with instance.completeness(by_hand=False).required():
        files = complete_files(instance.inbox)
    if not files:
        return ""
    lines = [instance.instance]
    for path in files:
        looks = path.stat()
        lines.append(f"{path.name} {looks.st_size} {looks.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
