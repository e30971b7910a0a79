"""``retail run``: the whole chain once, in this process: load, build, check, post.

It starts the very jobs and asks the very sensors that the daemon does, so what is seen here is what happens there.
"""

import io
import logging
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import dagster as dg
from rich.console import Console
from rich.markup import escape

from retail_assets import keys
from retail_assets.commands.home import environment, prepare_home
from retail_assets.commands.orphans import end_dead_runs, sole_runner, wait_for_warehouse
from retail_assets.definitions import build_definitions, build_ingest_definitions
from retail_assets.defs.alerts.causes import innermost_reason
from retail_assets.defs.alerts.watching import watch
from retail_assets.defs.checks.gate import gate_state
from retail_assets.defs.export.sensors import approved_so_far, request_export
from retail_assets.defs.ingest.instances import source_instances
from retail_assets.defs.ingest.progress import shown_progress
from retail_assets.defs.publish import request_publication
from retail_assets.defs.transform.manifest import parsed_meanwhile
from retail_assets.settings import Settings
from retail_assets.sources.rewind import rewind
from retail_assets.sources.warehouse import create_raw_tables, pipeline_for

_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_DBT_STEP: Final = re.compile(r"(\d+) of (\d+) (?:START|OK|PASS|WARN|FAIL|ERROR|SKIP)")


@dataclass
class ChainResult:
    """What a run did: failures by step, and per entity what was posted or read back, or what its gate holds it for.

    An entity whose latest batch was posted before is in neither.
    """

    failures: dict[str, str] = field(default_factory=dict)
    failed_checks: list[str] = field(default_factory=list)
    posted: dict[str, dict[str, Any]] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    attested: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.failures and not self.failed_checks and not self.held


def run_chain(settings: Settings, console: Console, *, load: bool = True) -> ChainResult:
    """Load every source, build every model, evaluate every check and post every entity that its gate lets through.

    A source that fails is reported and the chain goes on with what the warehouse holds of it.

    Args:
        load: False leaves the sources alone and rebuilds from raw.
    """
    prepare_home(settings)
    os.environ.update(environment(settings))
    result = ChainResult()
    with _instance(settings) as instance:
        with parsed_meanwhile(settings):
            if load:
                with _phase(console, result, f"Loading {len(list(source_instances(settings)))} sources"):
                    _execute(build_ingest_definitions(settings), instance, keys.INGEST_JOB, console, result)
        with _phase(console, result, "Preparing the models"):
            definitions = build_definitions(settings)
        with _phase(console, result, "Building and checking the marts"):
            _execute(definitions, instance, keys.BUILD_JOB, console, result)
        with _phase(console, result, "Publishing the marts"):
            _publish(settings, definitions, instance, console, result)
        with _phase(console, result, "Posting to the ERP"):
            for entity in settings.configuration.entities:
                _post(settings, definitions, instance, entity.code, console, result)
        if settings.configuration.operations.alerts.channels:
            with _phase(console, result, "Telling who wants to know"):
                for channel, told in watch(settings, instance).items():
                    console.print(f"    {channel}: {told}", highlight=False, markup=False)
    return result


def load_sources(settings: Settings, console: Console) -> ChainResult:
    """Load every source and nothing else."""
    prepare_home(settings)
    os.environ.update(environment(settings))
    result = ChainResult()
    with _instance(settings) as instance, _phase(console, result, "Loading the sources"):
        _execute(build_ingest_definitions(settings), instance, keys.INGEST_JOB, console, result)
    return result


@dataclass(frozen=True)
class Reloaded:
    """What reading one source again brought; ``failures`` by step."""

    received: int
    loaded: int
    quarantined: int
    failures: dict[str, str]


def reload_source(settings: Settings, console: Console, name: str, since: datetime) -> Reloaded:
    """Load one source instance again from ``since`` on (aware), by its own assets and checks."""
    prepare_home(settings)
    os.environ.update(environment(settings))
    (source,) = [one for one in source_instances(settings) if one.instance == name]
    result = ChainResult()
    with _instance(settings) as instance, _phase(console, result, f"Reading {name} again from {since:%Y-%m-%d}"):
        create_raw_tables(settings.warehouse_path)
        rewind(
            pipeline_for(source.system, name, warehouse=settings.warehouse_path, state=settings.dlt_path),
            source.system,
            since,
        )
        definitions = build_ingest_definitions(settings)
        done = _execute(definitions, instance, keys.INGEST_JOB, console, result, chosen=source.assets(settings))
    counted = [event.materialization.metadata for event in done.get_asset_materialization_events()]
    received, loaded, quarantined = (
        sum(int(str(metadata[what].value)) for metadata in counted) for what in ("received", "loaded", "quarantined")
    )
    return Reloaded(received, loaded, quarantined, result.failures)


def rebuild(settings: Settings, console: Console) -> ChainResult:
    """Build, check and publish every model from what is in raw; nothing is loaded or posted."""
    prepare_home(settings)
    os.environ.update(environment(settings))
    result = ChainResult()
    with _instance(settings) as instance:
        with _phase(console, result, "Preparing the models"):
            definitions = build_definitions(settings)
        with _phase(console, result, "Building and checking the marts"):
            _execute(definitions, instance, keys.BUILD_JOB, console, result)
        with _phase(console, result, "Publishing the marts"):
            _publish(settings, definitions, instance, console, result)
    return result


def post_entities(settings: Settings, console: Console, entities: list[str]) -> ChainResult:
    """Post the given entities, each if its gate lets it through."""
    prepare_home(settings)
    os.environ.update(environment(settings))
    result = ChainResult()
    definitions = build_definitions(settings)
    with _instance(settings) as instance, _phase(console, result, "Posting to the ERP"):
        for entity in entities:
            _post(settings, definitions, instance, entity, console, result)
    return result


def attest_entities(settings: Settings, console: Console, entities: list[str]) -> ChainResult:
    """Read everything that was posted for the given entities back from their ERPs."""
    prepare_home(settings)
    os.environ.update(environment(settings))
    result = ChainResult()
    definitions = build_definitions(settings)
    names = {dg.AssetKey(keys.attestation_asset_path(entity)): entity for entity in entities}
    with _instance(settings) as instance, _phase(console, result, "Reading back what was posted"):
        done = _execute(definitions, instance, keys.ATTEST_JOB, console, result, chosen=list(names))
    for event in done.get_asset_materialization_events():
        metadata = event.materialization.metadata
        entity = names[event.materialization.asset_key]
        result.attested[entity] = {name: metadata[name].value for name in ("documents", "equal", "drifted")}
        if metadata["drifted"].value:
            console.print(f"    {entity}: {metadata['problems'].value}", highlight=False, markup=False)
    return result


@contextmanager
def _instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    with sole_runner(settings), dg.DagsterInstance.get() as instance:
        end_dead_runs(instance)
        wait_for_warehouse(settings)
        yield instance


def _publish(
    settings: Settings,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    console: Console,
    result: ChainResult,
) -> None:
    request = request_publication(instance, settings)
    if isinstance(request, dg.SkipReason):
        console.print(f"    {request.skip_message}", highlight=False)
        return
    _execute(definitions, instance, keys.PUBLISH_JOB, console, result, dict(request.tags))


def _post(
    settings: Settings,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    entity: str,
    console: Console,
    result: ChainResult,
) -> None:
    job_name = keys.export_job_name(entity)
    request = request_export(instance, entity, job_name, approved_so_far(settings, entity))
    if isinstance(request, dg.SkipReason):
        if gate_state(instance, entity).batch_id is None:
            result.held[entity] = str(request.skip_message)
        console.print(f"    {entity}: {request.skip_message}", highlight=False)
        return
    tags = {**(request.tags or {}), "dagster/run_key": request.run_key or ""}
    done = _execute(definitions, instance, job_name, console, result, tags)
    for event in done.get_asset_materialization_events():
        metadata = event.materialization.metadata
        result.posted[entity] = {
            name: metadata[name].value
            for name in ("posted", "unchanged", "reversed", "held", "failed")
            if name in metadata
        }


def _execute(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job_name: str,
    console: Console,
    result: ChainResult,
    tags: dict[str, str] | None = None,
    chosen: Sequence[dg.AssetKey] | None = None,
) -> dg.ExecuteInProcessResult:
    job = definitions.resolve_job_def(job_name)
    shown = shown_progress(lambda line: console.print(f"    [dim]{escape(line)}[/dim]", highlight=False))
    with redirect_stdout(_DbtProgress(console)), _quiet_loggers(), shown:
        done = job.execute_in_process(
            instance=instance,
            run_config=_QUIET,
            asset_selection=chosen,
            tags={**(tags or {}), keys.RUNNER_TAG: keys.COMMAND_RUNNER},
            raise_on_error=False,
        )
    for event in done.all_events:
        if event.is_step_failure and event.step_key:
            reason = innermost_reason(event.step_failure_data.error)
            result.failures[event.step_key] = reason
            console.print(f"    [red]✗[/red] {event.step_key}: {reason}", highlight=False, soft_wrap=True)
        elif event.is_step_success and event.step_key and job_name == keys.INGEST_JOB:
            console.print(f"    [green]✓[/green] {_loaded(done, event.step_key)}", highlight=False, soft_wrap=True)
    for check in done.get_asset_check_evaluations():
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR:
            result.failed_checks.append(check.check_name)
            console.print(
                f"    [red]✗[/red] check {check.check_name} on {check.asset_key.to_user_string()}: {check.description}",
                highlight=False,
                soft_wrap=True,
            )
    return done


def _loaded(done: dg.ExecuteInProcessResult, step: str) -> str:
    counts = []
    for event in done.asset_materializations_for_node(step):
        metadata = event.metadata
        name = event.asset_key.path[-1]
        received, quarantined = metadata["received"].value, metadata["quarantined"].value
        counts.append(f"{received} {name}" + (f" ({quarantined} quarantined)" if quarantined else ""))
    return f"{step.removeprefix('load_')}: {', '.join(counts)}"


@contextmanager
def _phase(console: Console, result: ChainResult, title: str) -> Iterator[None]:
    console.print(f"[bold]{title}[/bold] …", highlight=False)
    started = time.monotonic()
    yield
    result.seconds[title] = time.monotonic() - started
    console.print(f"    [dim]{result.seconds[title]:.1f} s[/dim]", highlight=False)


@contextmanager
def _quiet_loggers() -> Iterator[None]:
    """Dagster and dlt log every step; here their events are shown instead, and the logs stay in the UI."""
    names = ("dlt", "dagster")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


class _DbtProgress(io.TextIOBase):
    """Stands in for standard output while dbt writes to it, and turns its lines into progress."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("") if console.is_terminal else None
        self._started = False

    def write(self, text: str, /) -> int:
        found = _DBT_STEP.search(text)
        if found and self._status:
            if not self._started:
                self._status.start()
                self._started = True
            self._status.update(f"dbt: {found[1]} of {found[2]} models and tests")
            if found[1] == found[2]:
                self._status.stop()
        return len(text)

    def writable(self) -> bool:
        return True
