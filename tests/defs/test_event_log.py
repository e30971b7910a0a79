"""Dagster's event log with a pooled index: the same events, whoever writes and reads them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from retail_assets.defs.event_log import PooledIndexEventLogStorage
from tests.support.chain import environment

CHECKOUT = Path(__file__).resolve().parents[2]
KEY = dg.AssetKey("told")

_TELL = """
import dagster as dg
with dg.DagsterInstance.get() as instance:
    for number in range(20):
        instance.report_runless_asset_event(dg.AssetMaterialization("told", metadata={"number": number}))
"""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_bytes((CHECKOUT / "dagster.yaml").read_bytes())
    with environment({"DAGSTER_HOME": str(tmp_path)}), dg.DagsterInstance.get() as found:
        yield found


def _told(instance: dg.DagsterInstance) -> int:
    return len(instance.fetch_materializations(KEY, limit=1000).records)


def test_the_shipped_configuration_uses_it(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """A class that dagster.yaml no longer names would be dead code, and builds slower without a word."""
    assert isinstance(instance.event_log_storage, PooledIndexEventLogStorage)
    assert (tmp_path / "history" / "runs" / "index.db").is_file(), "a home made before keeps its events"


def test_processes_that_write_at_once_lose_no_event(instance: dg.DagsterInstance) -> None:
    """The daemon, a command and the code server share the index; a connection kept open must not shut others out.

    Nor may it go on reading its old snapshot: a gate would stay closed for ever.
    """
    assert _told(instance) == 0
    writers = [subprocess.Popen([sys.executable, "-c", _TELL], cwd=CHECKOUT) for _ in range(2)]
    for number in range(20):
        instance.report_runless_asset_event(dg.AssetMaterialization("told", metadata={"number": number}))
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert _told(instance) == 60


def test_wiping_leaves_a_log_that_works(instance: dg.DagsterInstance) -> None:
    """`dagster run wipe` empties the index under the open connection."""
    instance.report_runless_asset_event(dg.AssetMaterialization("told"))
    instance.event_log_storage.wipe()
    assert _told(instance) == 0
    instance.report_runless_asset_event(dg.AssetMaterialization("told"))
    assert _told(instance) == 1
