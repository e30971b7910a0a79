"""All models over a large warehouse, against a bare join of its orders with its gateway lines."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import duckdb

from benchmarks.measure import Result, median
from benchmarks.scale import large_warehouse

ORDERS: Final = int(os.environ.get("BENCH_ORDERS", "1000000"))
_PROJECT: Final = Path(__file__).resolve().parents[1] / "dbt_project"
_SLOWEST: Final = 5
_MOST_SECONDS: Final = 60
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
        seconds, megabytes, models = build(home, environment)
        with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
            joined = median(lambda: bool(connection.execute(_BARE_JOIN)))
    name = f"models_build_{ORDERS}"
    yield Result(name, seconds, "s", "bare join of orders with gateway lines", seconds / joined)
    yield Result(f"{name}_seconds", seconds, "s", f"{_MOST_SECONDS} s", seconds / _MOST_SECONDS)
    yield Result(f"{name}_memory", megabytes, "MB", f"{_MOST_MEGABYTES} MB", megabytes / _MOST_MEGABYTES)
    for model, took in models[:_SLOWEST]:
        yield Result(f"{name}: {model}", took, "s", "the whole build", took / seconds)


def build(home: Path, environment: dict[str, str]) -> tuple[float, float, list[tuple[str, float]]]:
    """Seeds and models, without tests, in a process of its own.

    Returns:
        Seconds from start to end (parsing included), peak memory in MB, and the models with their seconds, slowest
        first.
    """
    program = (
        "import sys; from dbt.cli.main import dbtRunner;"
        "done = dbtRunner().invoke(['--quiet', 'build', '--resource-type', 'model', '--resource-type', 'seed']);"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]);"
        "sys.exit(not done.success)"
    )
    paths = {"DBT_PROFILES_DIR": _PROJECT, "DBT_PROJECT_DIR": _PROJECT, "DBT_TARGET_PATH": home, "DBT_LOG_PATH": home}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment, **{name: str(path) for name, path in paths.items()}},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - started
    results: list[dict[str, Any]] = json.loads((home / "run_results.json").read_text(encoding="utf-8"))["results"]
    models = [(result["unique_id"].rpartition(".")[2], result["execution_time"]) for result in results]
    return seconds, int(done.stdout.split()[-1]) / 1024, sorted(models, key=lambda model: -model[1])
