"""All models over a large warehouse, against a bare join of its orders with its gateway lines.

What other processes take from the machine shows in the seconds, hardly in those of the processors: both are told.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from benchmarks.measure import Result, median
from benchmarks.scale import large_warehouse

ORDERS: Final = int(os.environ.get("BENCH_ORDERS", "1000000"))
_PROJECT: Final = Path(__file__).resolve().parents[1] / "dbt_project"
_SLOWEST: Final = 5
_MOST_SECONDS: Final = 60
_CORES: Final = 2
_MOST_MEGABYTES: Final = 8_000
# What a model would at least have to do: each order with what the gateways say of its payments.
_BARE_JOIN: Final = """
    create or replace temp table joined as
    select orders.store_id, orders.id, orders.total, lines.id as line_id, lines.amount, lines.fee, lines.net
    from raw_woocommerce.orders as orders
    left join raw_stripe.charges as charges on orders.transaction_id = charges.id
    left join raw_stripe.balance_transactions as lines
        on charges.gateway_id = lines.gateway_id and charges.id = lines.source
"""


def models_build() -> Iterator[Result]:
    """A full build of every model with raw data of a million orders already there (``BENCH_ORDERS`` for others)."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = large_warehouse(home, ORDERS)
        built = build(home, environment)
        tested = _dbt(home, environment, "test", "--exclude-resource-type", "unit_test")
        with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
            joined = median(lambda: bool(connection.execute(_BARE_JOIN)))
    name = f"models_build_{ORDERS}"
    yield Result(name, built.seconds, "s", "bare join of orders with gateway lines", built.seconds / joined)
    yield Result(f"{name}_seconds", built.seconds, "s", f"{_MOST_SECONDS} s", built.seconds / _MOST_SECONDS)
    most = _MOST_SECONDS * _CORES
    yield Result(f"{name}_processors", built.processor_seconds, "s", f"{most} s", built.processor_seconds / most)
    yield Result(f"{name}_memory", built.megabytes, "MB", f"{_MOST_MEGABYTES} MB", built.megabytes / _MOST_MEGABYTES)
    whole = "the whole build"
    yield Result(f"{name}: start and parsing", built.parsed_after, "s", whole, built.parsed_after / built.seconds)
    for model, took in built.models[:_SLOWEST]:
        yield Result(f"{name}: {model}", took, "s", whole, took / built.seconds)
    yield Result(f"{name}, then all data tests", tested.seconds, "s", whole, tested.seconds / built.seconds)


@dataclass(frozen=True, slots=True)
class Built:
    """One run of dbt: seconds from start to end, those until the project was parsed among them."""

    seconds: float
    parsed_after: float
    processor_seconds: float
    megabytes: float
    #: What was built or tested with its seconds, slowest first; those that run beside each other share the machine.
    models: tuple[tuple[str, float], ...]


def build(home: Path, environment: Mapping[str, str]) -> Built:
    """Seeds and models, without tests, parsed anew, in a process of its own."""
    return _dbt(home, environment, "build", "--resource-type", "model", "--resource-type", "seed")


_PROGRAM: Final = """
import json, resource, sys, time
from dbt.cli.main import dbtRunner
manifest = dbtRunner().invoke(["--quiet", "parse"]).result
parsed = time.time()
done = dbtRunner(manifest=manifest).invoke(["--quiet", *sys.argv[1:]])
used = resource.getrusage(resource.RUSAGE_SELF)
most = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
print(json.dumps({"parsed": parsed, "processors": used.ru_utime + used.ru_stime, "kilobytes": most}))
sys.exit(not done.success)
"""


def _dbt(home: Path, environment: Mapping[str, str], *arguments: str) -> Built:
    paths = {"DBT_PROFILES_DIR": _PROJECT, "DBT_PROJECT_DIR": _PROJECT, "DBT_TARGET_PATH": home, "DBT_LOG_PATH": home}
    started = time.time()
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments],
        env={**os.environ, **environment, **{name: str(path) for name, path in paths.items()}},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds = time.time() - started
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    results: list[dict[str, Any]] = json.loads((home / "run_results.json").read_text(encoding="utf-8"))["results"]
    models = [(result["unique_id"].split(".")[2], result["execution_time"]) for result in results]
    return Built(
        seconds,
        told["parsed"] - started,
        told["processors"],
        told["kilobytes"] / 1024,
        tuple(sorted(models, key=lambda model: -model[1])),
    )
