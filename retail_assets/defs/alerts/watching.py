"""One look at everything that can be wrong, and telling those who want to know."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg
from sqlalchemy import Engine

from retail_assets.defs.alerts import causes
from retail_assets.defs.alerts.channels import ChannelError, send
from retail_assets.defs.ingest.instances import source_instances
from retail_assets.ops import alerts, inbox, load_log
from retail_assets.ops.alerts import Cause, Event, Recipient
from retail_assets.ops.store import LockHeldError, exclusive, open_store
from retail_assets.settings import MailChannel, Settings, WebhookChannel

#: Runs are asked for from so long before the last one that was looked at: clocks of hosts differ, and runs overlap.
_LOOK_BACK: Final = timedelta(hours=1)
_FIRST_LOOK: Final = timedelta(days=1)
_PAGE: Final = 200
#: Of runs that were not looked at before, at a tick; a page may be more.
_MOST_RUNS: Final = 200
_SHOWN: Final = 20
_FINISHED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_log = logging.getLogger(__name__)


def watch(settings: Settings, instance: dg.DagsterInstance) -> dict[str, str]:
    """Look at the runs that ended since the last look, and at what was not loaded in time; then tell.

    Returns:
        What became of each channel: ``sent <n>``, ``nothing new``, ``waits``, or why it failed.
    """
    engine = open_store(settings.operations_url)
    try:
        _look_at_runs(settings, instance, engine)
        stale = causes.of_stale_sources(settings, load_log.last_loads(engine))
        alerts.observe_all(engine, [causes.STALE], stale, settings.now())
        alerts.observe_all(engine, [causes.EVENTS], _events_given_up(settings, engine), settings.now())
        return tell(settings, engine)
    finally:
        engine.dispose()


def tell(settings: Settings, engine: Engine) -> dict[str, str]:
    """Send each channel what it does not know yet. One that is down is tried again later, and holds up no other."""
    found: dict[str, str] = {}
    try:
        with exclusive(engine, "alerts"):
            for channel in settings.configuration.operations.alerts.channels:
                found[channel.id] = _tell(settings, engine, channel)
    except LockHeldError:
        return {}  # Another process is telling them right now.
    return found


def message(settings: Settings, news: Sequence[tuple[Event, Mapping[str, Any]]]) -> tuple[str, str]:
    """Subject and text: what is new by kind, technical first, then what is over."""
    sections: list[str] = []
    counted: list[str] = []
    for kind, word in (("technical", "technical failure"), ("business", "business exception")):
        raised = [row for event, row in news if event == "raised" and row["kind"] == kind]
        if raised:
            counted.append(f"{len(raised)} {word}{'s' if len(raised) > 1 else ''}")
            shown = sorted(raised, key=lambda row: (row["severity"] != "high", row["opened_at"]))[:_SHOWN]
            sections += [f"{word.upper()}S", *(_paragraph(settings, row) for row in shown)]
            if len(raised) > _SHOWN:
                owners = Counter(row["owner"] for row in raised)
                split = ", ".join(f"{owner} {count}" for owner, count in owners.most_common())
                sections.append(f"… and {len(raised) - _SHOWN} more ({split} in all): retail alerts list")
    over = [row for event, row in news if event == "recovered"]
    if over:
        counted.append(f"{len(over)} recovered")
        sections.append("RECOVERED")
        sections += [f"- {row['title']} ({row['recovered_at']:%Y-%m-%d %H:%M} UTC)" for row in over[:_SHOWN]]
        if len(over) > _SHOWN:
            sections.append(f"… and {len(over) - _SHOWN} more")
    only = f": {news[0][1]['title']}" if len(news) == 1 else ""
    return f"[retail] {', '.join(counted)}{only}", "\n\n".join(sections)


def _paragraph(settings: Settings, row: Mapping[str, Any]) -> str:
    lines = [
        f"- {row['title']}" + (f" [{row['entity_code']}]" if row["entity_code"] else ""),
        f"  {row['detail']}",
        f"  owner: {row['owner']}, since {row['opened_at']:%Y-%m-%d %H:%M} UTC",
        f"  what to do: {row['what_to_do']}",
    ]
    url = settings.configuration.operations.alerts.ui_url
    if url and row["run_id"]:
        lines.append(f"  {url}/runs/{row['run_id']}")
    return "\n".join(lines)


def recipient(channel: MailChannel | WebhookChannel) -> Recipient:
    """Whom and how often a channel may be told what."""
    return Recipient(channel.id, channel.send, channel.owners, timedelta(minutes=channel.throttle_minutes))


def _tell(settings: Settings, engine: Engine, channel: MailChannel | WebhookChannel) -> str:
    # Not the clock of the books: pauses between messages are spent in this world.
    now, whom = datetime.now(UTC), recipient(channel)
    news = alerts.untold(engine, whom)
    if not news:
        return "nothing new"
    if not alerts.may_send(engine, whom, now):
        return "waits"
    try:
        send(channel, *message(settings, news))
    except ChannelError as error:
        alerts.failed(engine, channel.id, str(error), now)
        _log.warning("alert channel %s: %s", channel.id, error)
        return f"failed: {error}"
    alerts.told(engine, channel.id, news, now)
    return f"sent {len(news)}"


def _events_given_up(settings: Settings, engine: Engine) -> list[Cause]:
    """Of those that can still be loaded again, so that each is over some day."""
    kept = timedelta(days=settings.configuration.webhooks.keep_bodies_days)
    sources = [instance.instance for instance in source_instances(settings)]
    found = inbox.given_up(engine, sources, since=settings.now() - kept)
    return list(causes.of_events_given_up(settings, found))


def _look_at_runs(settings: Settings, instance: dg.DagsterInstance, engine: Engine) -> None:
    """Look at the runs that ended and were not looked at, the earliest first, some at a time: a tick has a minute."""
    newest = alerts.newest_run(engine)
    looked_at = 0
    for records in _ended(instance, newest - _LOOK_BACK if newest else datetime.now(UTC) - _FIRST_LOOK):
        seen = alerts.runs_looked_at(engine, [record.dagster_run.run_id for record in records])
        for record in records:
            run = record.dagster_run
            if run.run_id not in seen:
                ended = record.update_timestamp.astimezone(UTC)
                found, gone = causes.of_run(settings, instance, run)
                alerts.observe(engine, found=found, gone=gone, now=settings.now(), run=(run.run_id, ended))
                looked_at += 1
        if looked_at >= _MOST_RUNS:
            return


def _ended(instance: dg.DagsterInstance, since: datetime) -> Iterator[Sequence[dg.RunRecord]]:
    """The runs that ended after then, by their ends, in pages that may overlap.

    Dagster's own cursor goes by when runs were made, and a run that was made early may end late.
    """
    size = _PAGE
    while True:
        filters = dg.RunsFilter(statuses=_FINISHED, updated_after=since)
        records = instance.get_run_records(filters, limit=size, order_by="update_timestamp", ascending=True)
        if records:
            yield records
        if len(records) < size:
            return
        # Of the runs that ended in the very moment of the last one, some may be on the next page.
        last = records[-1].update_timestamp.astimezone(UTC) - timedelta(microseconds=1)
        size = size if last > since else 2 * size
        since = max(since, last)
