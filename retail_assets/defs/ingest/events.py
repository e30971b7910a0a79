"""Webhooks as loads: a sensor sorts what came into the inbox and asks for just the records that it tells of.

Polling stays the truth: what an event misses, or what the inbox gives up, the next poll or sweep brings.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import dagster as dg
from sqlalchemy import Engine

from retail_assets import keys
from retail_assets.defs.ingest.instances import SourceInstance, source_instances
from retail_assets.ops import inbox
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings
from retail_assets.webhooks.events import CHANGES, UnusableEventError, subject_of

EVENTS_SENSOR: Final = "events_received"
_INTERVAL_SECONDS: Final = 5
#: Bodies are read for it: so many are held at once, and so many times at a tick.
_SORTED_AT_ONCE: Final = 500
_PORTIONS: Final = 10
_LONGEST_REASON: Final = 300
_IN_PROGRESS: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]

Asked = Mapping[str, Sequence[int]]


def events_sensor(settings: Settings) -> dg.SensorDefinition:
    """A sensor that asks for one load for each source of which events wait, unless one is under way.

    No key of a run remembers what was asked for: the inbox does, and what a dead run has left there is asked for again.
    """
    instances = {instance.instance: instance for instance in source_instances(settings)}

    @dg.sensor(
        name=EVENTS_SENSOR,
        job_name=keys.INGEST_JOB,
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Loads the records that webhooks tell of.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        engine = open_store(settings.operations_url)
        try:
            sort_events(engine, settings, instances)
            requests = [
                request
                for backlog in inbox.backlogs(engine)
                if backlog.due_at <= settings.now() and backlog.resources and backlog.source in instances
                for request in _requested(context.instance, settings, instances[backlog.source], backlog)
            ]
            today = settings.now().date().isoformat()
            if context.cursor != today:
                # It looks at every event that there is.
                keep = timedelta(days=settings.configuration.webhooks.keep_bodies_days)
                inbox.forget_bodies(engine, before=settings.now() - keep)
        finally:
            engine.dispose()
        skipped = None if requests else "no event waits for its load"
        return dg.SensorResult(run_requests=requests, skip_reason=skipped, cursor=today)

    return sensor


def sort_events(engine: Engine, settings: Settings, instances: Mapping[str, SourceInstance]) -> None:
    """Look at what came what it is about; bury what will never be understood, and end what nobody loads."""
    now = settings.now()
    for _ in range(_PORTIONS):
        events = inbox.unsorted(engine, limit=_SORTED_AT_ONCE)
        if not events:
            return
        subjects: dict[int, str] = {}
        unusable: dict[int, str] = {}
        idle: list[int] = []
        for event in events:
            instance = instances.get(event.source)
            if instance is None:
                unusable[event.event_id] = f"retail.yaml has no store or gateway {event.source!r} any more"
                continue
            try:
                scheme = instance.configured.declared.webhooks
                subject = subject_of(scheme or "", event.topic, event.body)
            except UnusableEventError as error:
                unusable[event.event_id] = str(error)
                continue
            if subject is None:
                idle.append(event.event_id)
            else:
                subjects[event.event_id] = subject
        inbox.sort(engine, subjects)
        inbox.bury(engine, unusable, now=now)
        inbox.finish(engine, idle, reason="nothing is loaded of this kind", now=now)


@contextmanager
def events_answered(context: dg.AssetExecutionContext, settings: Settings, instance: SourceInstance) -> Iterator[Asked]:
    """Around a load: what the events ask for that it was started for, and their end with it.

    Gives nothing for a load that no event asked for, or whose events have been answered since.
    """
    up_to = context.run.tags.get(keys.EVENTS_TAG)
    if up_to is None:
        yield {}
        return
    engine = open_store(settings.operations_url)
    try:
        source, run_id = instance.instance, context.run.run_id
        events = inbox.begin(engine, source, up_to=int(up_to), run_id=run_id, now=settings.now())
        if events:
            waited = max(settings.now() - event.received_at for event in events)
            context.log.info(f"{source}: {len(events)} events, the oldest {waited.total_seconds():.0f} s old")
        try:
            yield _asked(event.subject or CHANGES for event in events)
        except Exception as error:
            inbox.fail(engine, events, _in_a_line(error), run_id=run_id, now=settings.now())
            raise
        inbox.finish(engine, [event.event_id for event in events], run_id=run_id, now=settings.now())
    finally:
        engine.dispose()


def _requested(
    instance: dg.DagsterInstance, settings: Settings, source: SourceInstance, backlog: inbox.Backlog
) -> Iterator[dg.RunRequest]:
    tags = {keys.EVENTS_SOURCE_TAG: source.instance}
    under_way = dg.RunsFilter(job_name=keys.INGEST_JOB, tags=tags, statuses=_IN_PROGRESS)
    if instance.get_runs(under_way, limit=1):
        return
    assets = source.assets(settings)
    if CHANGES not in backlog.resources:
        assets = [asset for asset in assets if asset.path[-1] in backlog.resources]
    tags |= {
        keys.EVENTS_TAG: str(backlog.last_id),
        keys.TRACE_TAG: ",".join(backlog.traces),
        keys.PRIORITY_TAG: keys.EVENTS_PRIORITY,
    }
    yield dg.RunRequest(asset_selection=assets, tags=tags)


def _asked(subjects: Iterator[str]) -> Asked:
    """Ids by resource, each once; nothing if all that changed is asked for."""
    found: dict[str, dict[int, None]] = {}
    for subject in subjects:
        if subject == CHANGES:
            return {}
        resource, _, record_id = subject.partition("/")
        found.setdefault(resource, {})[int(record_id)] = None
    return {resource: list(ids) for resource, ids in found.items()}


def _in_a_line(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_LONGEST_REASON]
