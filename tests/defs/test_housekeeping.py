"""Old runs of Dagster go, and nothing that anybody still asks for."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from retail_assets import keys
from retail_assets.defs.housekeeping import delete_old_runs


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def _ran(instance: dg.DagsterInstance, job_name: str, *, fails: bool = False) -> str:
    @dg.op
    def step() -> None:
        if fails:
            raise RuntimeError("the store is down")

    @dg.job(name=job_name)
    def job() -> None:
        step()

    return job.execute_in_process(instance=instance, raise_on_error=False).run_id


def test_old_loads_and_builds_go_and_postings_stay(instance: dg.DagsterInstance) -> None:
    """Two megabytes a build and one every ten minutes fill a disk in a season; postings are asked for in years."""
    old = [_ran(instance, keys.INGEST_JOB), _ran(instance, keys.INGEST_JOB, fails=True)]
    posted = _ran(instance, keys.export_job_name("US"))
    since = datetime.now(UTC)
    new = _ran(instance, keys.INGEST_JOB)
    assert delete_old_runs(instance, ["cedar_us"], since) == 2
    assert {run.run_id for run in instance.get_runs()} == {posted, new}
    assert not any(instance.has_run(run_id) for run_id in old)


@pytest.mark.parametrize("job_name", [keys.PUBLISH_JOB, keys.CANARY_JOB, keys.stock_job_name("cedar_us")])
def test_what_follows_each_build_goes_too(instance: dg.DagsterInstance, job_name: str) -> None:
    """Each build is published and written to the stores: those runs were never deleted, and filled the disk as well."""
    old = _ran(instance, job_name)
    since = datetime.now(UTC)
    new = _ran(instance, job_name)
    assert delete_old_runs(instance, ["cedar_us"], since) == 1
    assert (instance.has_run(old), instance.has_run(new)) == (False, True)


def test_nothing_goes_while_nothing_succeeds(instance: dg.DagsterInstance) -> None:
    """After a week of failures the last good run is all that says what the marts are made of: gates look at it."""
    good = _ran(instance, keys.BUILD_JOB)
    _ran(instance, keys.BUILD_JOB, fails=True)
    assert delete_old_runs(instance, ["cedar_us"], datetime.now(UTC) + timedelta(seconds=1)) == 0
    assert instance.has_run(good)
