"""What is wrong, as alerts name it: from Dagster's runs, from the log of loads, and from the exceptions."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import dagster as dg

from retail_assets import keys
from retail_assets.contracts import SYSTEMS
from retail_assets.defs.ingest.instances import source_instances
from retail_assets.defs.ingest.polling import fresh_for
from retail_assets.ops.alerts import Cause
from retail_assets.ops.inbox import GivenUp
from retail_assets.settings import Settings

PLATFORM: Final = "team:platform"
FINANCE: Final = "team:finance"
COMMERCE: Final = "team:commerce"
STALE: Final = "stale:"
EVENTS: Final = "events:"
EXCEPTION: Final = "exception:"
OVERDUE: Final = "overdue:"
_LONGEST_REASON: Final = 600
#: Checks that only warn, as they hold nothing, and are told all the same.
_TOLD_WARNINGS: Final = frozenset({keys.WEBHOOKS_CHECK, keys.CANARY_CHECK})
_EVENTS: Final = {
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


def of_run(settings: Settings, instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[list[Cause], list[str]]:
    """What a finished run shows to be wrong, and the names of causes that it shows to be gone.

    A step that failed because a check of its own did is told as that check, which says what is wrong.
    """
    found: list[Cause] = []
    gone: list[str] = []
    failed_steps: dict[str, tuple[str, bool]] = {}
    failing_checks: set[str] = set()
    succeeded = run.status is dg.DagsterRunStatus.SUCCESS
    for entry in instance.all_logs(run.run_id, of_type=_EVENTS):
        event = entry.dagster_event
        if event is None:
            continue
        step = event.step_key or ""
        if event.event_type is dg.DagsterEventType.STEP_SUCCESS:
            gone.append(f"step:{step}")
            succeeded = True
        elif event.event_type is dg.DagsterEventType.STEP_FAILURE:
            failed_steps[step] = (innermost_reason(event.step_failure_data.error), _needs_decision(event))
        else:
            check = event.asset_check_evaluation_data
            name = f"check:{check.asset_key.to_user_string()}:{check.check_name}"
            if check.passed:
                gone.append(name)
            elif check.check_name in _TOLD_WARNINGS:
                found.append(_failed_check(settings, name, check, run.run_id))
            elif check.severity is dg.AssetCheckSeverity.ERROR:
                failing_checks.add(step)
                found.append(_failed_check(settings, name, check, run.run_id))
    found += [
        _failed_step(settings, step, reason, run.run_id, needs_decision=needs_decision)
        for step, (reason, needs_decision) in failed_steps.items()
        if step not in failing_checks
    ]
    if succeeded:
        gone.append(f"run:{run.job_name}")
    elif not failed_steps and run.status is dg.DagsterRunStatus.FAILURE:
        found.append(_died(run))
    return found, gone


def of_stale_sources(settings: Settings, last_loads: Mapping[str, datetime]) -> Iterator[Cause]:
    """Sources whose last good load is older than their freshness policy allows.

    Args:
        last_loads: instance → end of its last load; of one that was never loaded, its failed runs tell.
    """
    for instance in source_instances(settings):
        last = last_loads.get(instance.instance)
        allowed = fresh_for(settings, instance)
        if last is not None and settings.now() - last > allowed:
            yield Cause(
                cause=f"{STALE}{instance.instance}",
                kind="technical",
                severity="high",
                owner=SYSTEMS[instance.system].owner,
                title=f"{instance.instance} was not loaded since {last:%Y-%m-%d %H:%M} UTC",
                detail=f"It should be loaded at least every {_hours(allowed.total_seconds())}.",
                what_to_do="Is the daemon at work, and the schedule on? Then: retail doctor",
            )


def of_events_given_up(settings: Settings, found: Iterable[GivenUp]) -> Iterator[Cause]:
    """Webhooks that no load will look at any more; one cause for each source and day of arrival."""
    systems = {instance.instance: instance.system for instance in source_instances(settings)}
    for each in found:
        yield Cause(
            cause=f"{EVENTS}{each.source}:{each.day}",
            kind="technical",
            severity="high",
            owner=SYSTEMS[systems[each.source]].owner,
            title=f"{each.source}: webhooks of {each.day} were given up",
            detail=f"{each.events} in all; the last one: {each.last_reason}"[:_LONGEST_REASON],
            what_to_do=(
                "The polls bring what they told of, later. See: retail webhooks status. When the cause is mended: "
                f"retail replay inbox --source {each.source}"
            ),
        )


def of_exceptions(rows: list[dict[str, Any]]) -> Iterator[Cause]:
    """One cause for each of these rows of ``rec_exceptions``, and one more once it is overdue."""
    for row in rows:
        amount = "" if row["amount_at_risk"] is None else f"{row['amount_at_risk']:,.2f} {row['currency_code'] or ''} "
        due = row["due_at"]
        shared: dict[str, Any] = {
            "kind": row["exception_class"],
            "severity": row["severity"],
            "owner": row["owner"],
            "what_to_do": f"{row['suggested_action']} See: retail exceptions show {shlex.quote(row['exception_id'])}",
            "entity_code": row["entity_code"],
        }
        at_risk = f"{amount}at risk" if amount else "no amount at risk"
        yield Cause(
            cause=f"{EXCEPTION}{row['exception_id']}",
            title=row["exception_id"],
            detail=at_risk + (f", due {due:%Y-%m-%d}" if due else ""),
            **shared,
        )
        if row["is_overdue"]:
            yield Cause(
                cause=f"{OVERDUE}{row['exception_id']}",
                title=f"overdue since {due:%Y-%m-%d}: {row['exception_id']}",
                detail=at_risk,
                **shared,
            )


def innermost_reason(error: Any) -> str:
    """The innermost cause in one line: the frameworks wrap it several times."""
    while error.cause is not None:
        error = error.cause
    text = " ".join(error.message.split())
    return text.partition(": ")[2] if text.startswith("retail_assets.") else text


def _needs_decision(event: dg.DagsterEvent) -> bool:
    """Whether a step stopped because a person has to say something, and not because anything is broken."""
    told = event.step_failure_data.user_failure_data
    return told is not None and keys.NEEDS_DECISION in told.metadata


def _failed_step(settings: Settings, step: str, reason: str, run_id: str, *, needs_decision: bool) -> Cause:
    instance = next((one for one in source_instances(settings) if step == f"load_{one.instance}"), None)
    owner, what_to_do = PLATFORM, "Look at the run; the next one tries again by itself."
    title = f"step {step} failed"
    if instance is not None:
        owner, title = SYSTEMS[instance.system].owner, f"{instance.instance} could not be loaded"
        what_to_do = "The next poll tries again. If it goes on: retail doctor says what is wrong with the connection."
    elif step.startswith(keys.EXPORT_GROUP):
        owner, title = FINANCE, f"{step.rpartition('__')[2]}: posting or reading back failed"
        what_to_do = "Nothing is posted twice. Mend what is named; it is tried again with the next build: retail plan"
    elif step.startswith(f"{keys.STOCK_GROUP}__"):
        store = step.removeprefix(f"{keys.STOCK_GROUP}__stock_")
        owner, title = COMMERCE, f"{store}: stock is not written"
        what_to_do = (
            f"The store goes on showing what it shows; the next build tries again. See: retail stock plan {store}"
        )
        if needs_decision:
            title += ": somebody has to look at so many changes"
            what_to_do = f"If they are right: retail stock push {store} --allow-large. See: retail stock plan {store}"
    elif step.startswith(f"{keys.CANARY_GROUP}__"):
        store = step.rpartition("__")[2]
        title = f"{store}: no canary could be placed"
        what_to_do = "Orders are not affected, but nobody tests their way now. See: retail canary status"
    return Cause(
        cause=f"step:{step}",
        kind="business" if needs_decision else "technical",
        severity="high",
        owner=owner,
        title=title,
        detail=reason[:_LONGEST_REASON],
        what_to_do=what_to_do,
        run_id=run_id,
    )


def _failed_check(settings: Settings, name: str, check: dg.AssetCheckEvaluation, run_id: str) -> Cause:
    path = check.asset_key.path
    owner, what_to_do = PLATFORM, "Look at the check in Dagster; what depends on it is held until it passes."
    if check.check_name == keys.CANARY_CHECK:
        what_to_do = (
            "Something between the store and the marts is broken, whatever the loads say. How far each came: retail "
            "canary status. Then: retail doctor"
        )
    elif path[0].startswith("raw_"):
        owner = SYSTEMS[path[0].removeprefix("raw_")].owner
        what_to_do = "Records are kept: retail quarantine list, retail drift"
        if check.check_name == keys.WEBHOOKS_CHECK:
            what_to_do = (
                f"The polls bring everything meanwhile. When the intake answers: retail webhooks enable {path[1]}"
            )
    elif path[0] in ("marts", keys.EXPORT_GROUP):
        owner = FINANCE
    entity = check.metadata.get("entity")
    return Cause(
        cause=name,
        kind="technical",
        severity="high",
        owner=owner,
        title=f"check {check.check_name} failed on {check.asset_key.to_user_string()}",
        detail=(check.description or "")[:_LONGEST_REASON],
        what_to_do=what_to_do,
        entity_code=str(entity.value) if entity is not None else None,
        run_id=run_id,
    )


def _died(run: dg.DagsterRun) -> Cause:
    return Cause(
        cause=f"run:{run.job_name}",
        kind="technical",
        severity="high",
        owner=PLATFORM,
        title=f"a run of {run.job_name} ended before any of its steps did",
        detail="Its process was killed, or never came up: memory, disk, a deployment.",
        what_to_do="The next run goes on from there. Look at the machine if it comes again.",
        run_id=run.run_id,
    )


def _hours(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
