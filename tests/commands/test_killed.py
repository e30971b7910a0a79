"""The whole command killed at its worst moments, and run again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from retail_assets.commands.orphans import AnotherRunError, sole_runner
from retail_assets.ops import outbox
from retail_assets.ops.store import open_store
from retail_assets.sandbox.score import score
from retail_assets.sandbox.server import running_server
from retail_assets.settings import load_settings, sandbox_credentials
from tests.support.chain import Retailer

COMMAND = [sys.executable, "-u", "-m", "retail_assets.cli"]


def demo(home: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "RETAIL_HOME": str(home), "COLUMNS": "200"}
    return subprocess.Popen(
        [*COMMAND, "sandbox", "demo", "--orders", "60", "--seed", "3"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def kill_when(process: subprocess.Popen[str], phase: str, seconds: float) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if phase in line:
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_a_killed_chain_goes_on_where_it_was(tmp_path: Path) -> None:
    """A killed run kept its slot of the warehouse for ever: the next one waited for it at full load and never ended.

    What is killed while it loads or builds is made good by running it again, what is killed while it posts by posting.
    """
    home = tmp_path / "home"
    for phase, seconds in (("Loading", 1.5), ("Building", 6.0), ("Posting", 0.5)):
        with demo(home) as process:
            kill_when(process, phase, seconds)
    with running_server(home, sandbox_credentials()) as server:
        last = Retailer(home, server).post(["US", "DE", "JP"])
    assert last.ok, last.failures
    found = score(home)
    assert found.ok, {name: part.to_dict() for name, part in found.parts().items() if not part.ok}
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        query = "select entry_id from marts.acc_journal_entries where posting_status = 'ready'"
        ready = [entry_id for (entry_id,) in connection.execute(query).fetchall()]
    operations = open_store(f"sqlite:///{home / 'operations.sqlite'}")
    posted = [posting.entry_id for posting in outbox.postings(operations, states=(outbox.POSTED,))]
    operations.dispose()
    assert sorted(posted) == sorted(ready)


def test_two_commands_do_not_share_a_home(tmp_path: Path) -> None:
    """Two chains at once on one warehouse would wait for one another's slots, or post from half a build."""
    settings = load_settings({"RETAIL_HOME": str(tmp_path)})
    with sole_runner(settings), pytest.raises(AnotherRunError, match="at work"), sole_runner(settings):
        pass
    with sole_runner(settings):
        pass
