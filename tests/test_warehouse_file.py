"""Readers and writers of the warehouse wait for each other."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from retail_assets.warehouse_file import WarehouseBusyError, opened

_HOLDS = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('held', flush=True); time.sleep(60)"


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A warehouse that another process holds."""
    path = tmp_path / "warehouse.duckdb"
    duckdb.connect(str(path)).close()
    with subprocess.Popen([sys.executable, "-c", _HOLDS, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield path, holder
        holder.kill()


@pytest.mark.parametrize("read_only", [True, False])
def test_who_comes_waits_for_who_is_there(held: tuple[Path, subprocess.Popen[str]], read_only: bool) -> None:
    """To list the exceptions during a build ended in a stack trace, and a glance at the marts ended a load."""
    path, holder = held
    told = []

    def tell() -> None:
        told.append("waits")
        holder.kill()

    with opened(path, read_only=read_only, on_wait=tell) as connection:
        assert connection.execute("select 1").fetchall() == [(1,)]
    assert told == ["waits"]


def test_who_waits_in_vain_is_told_for_whom(held: tuple[Path, subprocess.Popen[str]]) -> None:
    """The message of the library names a lock and a link to a manual, not what to do."""
    path, holder = held
    started = time.monotonic()
    with pytest.raises(WarehouseBusyError, match=f"{holder.pid}.*under way.*published"), opened(path, wait_seconds=0.3):
        pass
    assert time.monotonic() - started > 0.3


def test_what_is_no_warehouse_is_not_waited_for(tmp_path: Path) -> None:
    """A broken file was taken for one that somebody holds, and waited for."""
    (tmp_path / "broken.duckdb").write_bytes(b"no database" * 1000)
    with pytest.raises(duckdb.Error, match="not a valid DuckDB"), opened(tmp_path / "broken.duckdb"):
        pass
