"""Runs whose process was killed: Dagster still takes them for running, and their slot of the warehouse for taken."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Final

import dagster as dg

from retail_assets import keys
from retail_assets.commands import CommandError
from retail_assets.ops.store import LockHeldError, exclusive, open_store
from retail_assets.settings import Settings
from retail_assets.warehouse_file import opened

_IN_PROGRESS: Final = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class AnotherRunError(CommandError):
    """Another process is running the chain on this home."""


@contextmanager
def sole_runner(settings: Settings) -> Iterator[None]:
    """Hold the home for one command that runs jobs in its own process.

    The lock ends with its process, however that ends: whoever gets it knows that all earlier ones are gone. A team that
    shares a database holds one in there as well, whatever host its commands run on.

    Raises:
        AnotherRunError: another command holds it.
    """
    path = settings.home / "run.lock"
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AnotherRunError(f"another `retail` command is at work on {settings.home}: wait for its end") from None
        with _sole_in_team(settings) if settings.team_database else nullcontext():
            yield
    finally:
        os.close(handle)


@contextmanager
def _sole_in_team(settings: Settings) -> Iterator[None]:
    operations = open_store(settings.operations_url)
    try:
        with exclusive(operations, "run"):
            yield
    except LockHeldError:
        raise AnotherRunError("another `retail` command of your team is at work: wait for its end") from None
    finally:
        operations.dispose()


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Fail the runs that a killed command left behind and give their slots back; to be called by the sole runner.

    Without this the next run would wait for the slot of a process that no longer exists. Runs of the daemon are none
    of ours: its own monitoring looks after them.

    Returns:
        The ids of the runs that were ended.
    """
    filters = dg.RunsFilter(statuses=_IN_PROGRESS, tags={keys.RUNNER_TAG: keys.COMMAND_RUNNER})
    dead = list(instance.get_runs(filters))
    for run in dead:
        instance.report_run_failed(run, "Its command was killed; the next run goes on from there.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in dead]


def wait_for_warehouse(settings: Settings) -> None:
    """Wait until nobody holds the warehouse: dbt goes on for a while after the command that started it was killed.

    Raises:
        WarehouseBusyError: it is still held after a minute; names the process.
    """
    if settings.warehouse_path.exists():
        with opened(settings.warehouse_path):
            pass
