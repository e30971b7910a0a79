"""Schedules of the loads: each source at its own rhythm, and everything once a night."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from typing import Final

import dagster as dg
from croniter import croniter

from retail_assets import keys
from retail_assets.defs.ingest.instances import SourceInstance, source_instances
from retail_assets.settings import Settings

NIGHTLY_LOAD: Final = "load_everything_nightly"
#: Besides the time between two loads: what a load may take, the queue before it included.
_TIME_TO_LOAD: Final = timedelta(hours=2)
_NIGHTLY: Final = timedelta(hours=25)  # The longest day of a time zone.
_TICKS: Final = 400
_IN_PROGRESS: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
_IN_WORDS: Final = {"*": "any", "/": "per", ",": "and", "-": "to", " ": "_"}


def polling_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """One schedule for each rhythm, which loads the sources that have it in one run; and the nightly one.

    Sources of one rhythm share a run because each run costs a process, and a build follows it.
    """
    by_rhythm: dict[str, list[SourceInstance]] = {}
    for instance in source_instances(settings):
        if instance.configured.rhythm is not None:
            by_rhythm.setdefault(instance.configured.rhythm, []).append(instance)
    polls = [_poll(settings, rhythm, instances) for rhythm, instances in by_rhythm.items()]
    return [*polls, _nightly(settings)]


def poll_name(rhythm: str) -> str:
    """The name of the schedule with that cron expression."""
    if rhythm == "0 * * * *":
        return "poll_every_hour"
    minutes, hours = re.fullmatch(r"\*/(\d+)( \*){4}", rhythm), re.fullmatch(r"\d+ \*/(\d+)( \*){3}", rhythm)
    if minutes:
        return f"poll_every_{minutes[1]}_minutes"
    if hours and rhythm.startswith("0 "):
        return f"poll_every_{hours[1]}_hours"
    return "poll_at_" + "".join(_IN_WORDS.get(letter, letter) for letter in rhythm)


def fresh_for(settings: Settings, instance: SourceInstance) -> timedelta:
    """How old the last load of an instance may be before somebody has to look: its longest pause, and time to load."""
    rhythm = instance.configured.rhythm
    if rhythm is None:
        return _NIGHTLY + _TIME_TO_LOAD
    return min(_NIGHTLY, _longest_pause(rhythm)) + _TIME_TO_LOAD


@cache
def _longest_pause(rhythm: str) -> timedelta:
    # Any stretch of time does: what counts is the pauses between ticks.
    ticks = croniter(rhythm, datetime(2026, 1, 1, tzinfo=UTC), ret_type=datetime)
    return max(after - before for before, after in pairwise(islice(ticks, _TICKS)))


def _poll(settings: Settings, rhythm: str, instances: Sequence[SourceInstance]) -> dg.ScheduleDefinition:
    name = poll_name(rhythm)

    @dg.schedule(
        name=name,
        job_name=keys.INGEST_JOB,
        cron_schedule=rhythm,
        execution_timezone=settings.configuration.schedules.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Loads " + ", ".join(instance.instance for instance in instances) + ".",
    )
    def poll(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        # A load that takes longer than its rhythm must not queue up behind itself.
        filters = dg.RunsFilter(job_name=keys.INGEST_JOB, tags={keys.POLL_TAG: name}, statuses=_IN_PROGRESS)
        if context.instance.get_runs(filters, limit=1):
            return dg.SkipReason("the last of these loads is still queued or at work")
        assets = [asset for instance in instances for asset in instance.assets(settings)]
        return dg.RunRequest(asset_selection=assets, tags={keys.POLL_TAG: name})

    return poll


def _nightly(settings: Settings) -> dg.ScheduleDefinition:
    schedules = settings.configuration.schedules
    return dg.ScheduleDefinition(
        name=NIGHTLY_LOAD,
        job_name=keys.INGEST_JOB,
        cron_schedule=schedules.nightly_load,
        execution_timezone=schedules.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        tags={keys.POLL_TAG: NIGHTLY_LOAD, keys.THOROUGH_TAG: "true"},
        description="Loads every source and looks for what no poll could find: deletions, edits that left no date, "
        "files that were given up.",
    )
