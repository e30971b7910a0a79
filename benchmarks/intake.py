"""The event intake under load, over its capacity, and killed."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from sqlalchemy import select

from benchmarks.measure import ROUNDS, Result
from retail_assets.ops.models import webhook_inbox
from retail_assets.ops.store import open_store, reading

#: Of each measurement; of the one over capacity, 300 for a whole five minutes.
SECONDS: Final = float(os.environ.get("BENCH_INTAKE_SECONDS", "5"))
OVERLOAD_SECONDS: Final = float(os.environ.get("BENCH_OVERLOAD_SECONDS", "20"))
#: URL of an empty Postgres database to take for the operations store instead of a file, which is then ours only.
STORE: Final = os.environ.get("BENCH_INTAKE_STORE")
CONNECTIONS: Final = 64
KILLS: Final = 20
#: Three times what one of three stores may have under way: a quarter of 512, the fourth being for nobody.
_TIMES: Final = 3
_TOO_MANY: Final = _TIMES * 128
_BASELINE: Final = "bare Starlette: verify, group commit to SQLite"
_ROOT: Final = Path(__file__).resolve().parents[1]
_START_SECONDS: Final = 60
_STORE: Final = "webhooks/cedar_us"


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs in a process of its own, on the first core where there are two."""

    url: str
    process: "subprocess.Popen[str]"

    @property
    def cpu_seconds(self) -> float:
        """Processor time it has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def peak_megabytes(self) -> float:
        """The most memory that it ever had."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def intake() -> Iterator[Result]:
    """5 KB bodies over 64 connections; ours and the bare handler in turn, on one core, the sender on the other.

    Ratios are of time: of an event, and of the slowest answer in a hundred.
    """
    rounds = [(_loaded("ours"), _loaded("bare")) for _ in range(ROUNDS)]
    for name, key, unit in (
        ("intake_events", "accepted_per_second", "events/s"),
        ("intake_p99", "p99_ms", "ms"),
        ("intake_processor", "cpu_us", "µs/event"),
    ):
        value = median(ours[key] for ours, _ in rounds)
        ratio = median(ours[key] / bare[key] for ours, bare in rounds)
        yield Result(name, value, unit, _BASELINE, 1 / ratio if unit == "events/s" else ratio)


def intake_overload() -> Iterator[Result]:
    """Three times what it takes, over three times as many connections as the store may have requests under way.

    Capacity is measured first. What is refused is offered again at once; what was acknowledged is compared with the
    inbox.
    """
    with tempfile.TemporaryDirectory() as folder:
        with served("ours", Path(folder)) as server:
            usual = sent(server.url, seconds=SECONDS)
            acked = Path(folder) / "acked"
            capacity = usual["accepted_per_second"]
            over = sent(
                server.url,
                seconds=OVERLOAD_SECONDS,
                connections=_TOO_MANY,
                rate=_TIMES * capacity,
                first=10**9,
                acked=acked,
            )
            peak = server.peak_megabytes
        missing = lost(store_in(Path(folder)), acked)
    other = set(over["statuses"]) - {"200", "503"}
    assert not other, f"other answers than 200 and 503: {over['statuses']}"
    for name in ("offered", "answered"):
        rate = over[f"{name}_per_second"]
        yield Result(f"intake_{name}", rate, "requests/s", "capacity at 64 connections", rate / capacity)
    shed = over["statuses"].get("503", 0)
    yield Result("intake_shed", shed, "answers of 503", "all answers", shed / sum(over["statuses"].values()))
    taken = over["accepted_per_second"]
    yield Result("intake_overloaded", taken, "events/s", "capacity at 64 connections (time)", capacity / taken)
    yield Result("intake_overloaded_p99", over["p99_ms"], "ms", "250 ms", over["p99_ms"] / 250)
    yield Result("intake_overloaded_memory", peak, "MB", "250 MB", peak / 250)
    yield Result("intake_overloaded_lost", missing, f"of {over['acked']} acked", "none", float(missing))


def intake_killed() -> Iterator[Result]:
    """kill -9 under load, again and again on one inbox: every event that was acknowledged has to be in it."""
    acked, missing = killed(KILLS)
    yield Result("intake_killed_lost", missing, f"of {acked} acked", f"none in {KILLS} kills", float(missing))


def killed(kills: int, store: str | None = None) -> tuple[int, int]:
    """Kill the intake so often under load; returns how many events were acknowledged, and how many of them are lost.

    Args:
        kills: how often.
        store: URL of the operations store; a file if left out.
    """
    moments = random.Random(7)  # noqa: S311 - when to kill, not what to encrypt
    with tempfile.TemporaryDirectory() as name:
        folder, acked = Path(name), Path(name) / "acked"
        acked.touch()
        for number in range(kills):
            with served("ours", folder, store) as server:
                before = acked.stat().st_size
                sender = _sender(server.url, seconds=60, first=(number + 1) * 10**8, acked=acked)
                deadline = time.monotonic() + _START_SECONDS
                while acked.stat().st_size == before and time.monotonic() < deadline:
                    time.sleep(0.01)
                time.sleep(moments.uniform(0.05, 0.6))
                server.process.send_signal(signal.SIGKILL)
                sender.communicate()
        return len(acked.read_text().split()), lost(store or store_in(folder), acked)


def store_in(folder: Path) -> str:
    """URL of the operations store that is measured in a folder."""
    return STORE or f"sqlite:///{folder / 'operations.sqlite'}"


def lost(store: str, acked: Path) -> int:
    """How many acknowledged events are not in the inbox."""
    engine = open_store(store)
    with reading(engine) as connection:
        there = set(connection.scalars(select(webhook_inbox.c.delivery_id)))
    engine.dispose()
    return len(set(acked.read_text().split()) - there)


@contextmanager
def served(which: str, folder: Path, store: str | None = None) -> Iterator[Served]:
    """``ours`` or the ``bare`` handler, with its database in ``folder`` unless a URL says where."""
    command = [sys.executable, "-m", "benchmarks.intake_serve", which, str(folder), *_on_core(0)]
    command += ["--store", store or store_in(folder)]
    log = (folder / f"{which}.log").open("w")
    with (
        log,
        subprocess.Popen(
            command, cwd=_ROOT, env=_environment(), stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, (folder / f"{which}.log").read_text()
            yield Served(url, process)
        finally:
            process.terminate()


def sent(url: str, **options: Any) -> dict[str, Any]:
    """What a sender saw: see ``benchmarks.intake_load``."""
    output, _ = _sender(url, **options).communicate()
    return json.loads(output)


def _loaded(which: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, served(which, Path(folder)) as server:
        before = server.cpu_seconds
        found = sent(server.url, seconds=SECONDS, connections=CONNECTIONS)
        assert set(found["statuses"]) == {"200"}, found
        return {**found, "cpu_us": (server.cpu_seconds - before) / found["acked"] * 1e6}


def _sender(url: str, **options: Any) -> "subprocess.Popen[str]":
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "benchmarks.intake_load", f"{url}/{_STORE}", *arguments, *_on_core(1)]
    return subprocess.Popen(command, cwd=_ROOT, env=_environment(), stdout=subprocess.PIPE, text=True)


def _on_core(number: int) -> list[str]:
    cores = sorted(os.sched_getaffinity(0))
    return ["--core", str(cores[number])] if len(cores) > 1 else []


def _environment() -> Mapping[str, str]:
    return {**os.environ, "PYTHONPATH": str(_ROOT)}
