"""What every bench uses: results, and work that is measured in a process of its own."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPEATS: Final = 5
#: Pairs of (ours, baseline) that are run in turn, so that both see the same machine.
ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "3"))
_ROOT: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Result:
    """One figure: ``ratio`` is ours over the baseline's, of time or of memory, so that below 1 is better."""

    name: str
    value: float
    unit: str
    baseline: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One piece of work in a process of its own: seconds of the work alone, peak memory of the whole process."""

    seconds: float
    peak_megabytes: float


def apart(work: str, *arguments: object) -> Measured:
    """Run ``benchmarks.work`` in a new process: only so has each its own peak memory."""
    command = [sys.executable, "-m", "benchmarks.work", work, *map(str, arguments)]
    done = subprocess.run(command, cwd=_ROOT, env=_environment(), stdout=subprocess.PIPE, text=True, check=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def paired(ours: Callable[[], Measured], baseline: Callable[[], Measured]) -> tuple[Measured, float]:
    """Ours and the baseline in turn: our median, and the median of the ratios of time."""
    pairs = [(ours(), baseline()) for _ in range(ROUNDS)]
    ratio = statistics.median(mine.seconds / theirs.seconds for mine, theirs in pairs)
    return (
        Measured(statistics.median(mine.seconds for mine, _ in pairs), max(mine.peak_megabytes for mine, _ in pairs)),
        ratio,
    )


def median(work: Callable[[], object]) -> float:
    """Median seconds of ``REPEATS`` runs after one that warms up."""
    work()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _environment() -> Mapping[str, str]:
    return {**os.environ, "PYTHONPATH": str(_ROOT)}
