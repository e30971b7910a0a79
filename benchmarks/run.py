"""``make bench``: each figure beside a named baseline, measured in the same run on the same data.

Prints a table and writes ``RETAIL_HOME/bench/results.json``: a list of {name, value, unit, baseline, ratio}.
"""

import argparse
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from retail_assets.contracts import table
from retail_assets.sandbox.generator import generate
from retail_assets.settings import load_settings
from retail_assets.sources.records import convert

REPEATS = 5
ORDERS = 20_000
PAGE = 100


@dataclass(frozen=True, slots=True)
class Result:
    """One figure: ``ratio`` is value over baseline."""

    name: str
    value: float
    unit: str
    baseline: str
    ratio: float


def orders_to_arrow() -> Result:
    """WooCommerce order pages under contract to Arrow, against DuckDB's own JSON reader on the same bytes."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        generate(home, orders=ORDERS)
        with duckdb.connect() as connection:
            path = home / "sandbox" / "cedar_us.sqlite"
            bodies = _bodies(path)
            lines = home / "orders.jsonl"
            lines.write_bytes(b"\n".join(bodies))
            pages = [bodies[start : start + PAGE] for start in range(0, len(bodies), PAGE)]
            now = datetime.now(UTC)

            def ours() -> None:
                for page in pages:
                    convert(table("woocommerce", "orders"), page, instance="bench", loaded_at=now, origin="bench")

            def duckdbs() -> None:
                connection.execute(f"create or replace table orders as select * from read_json_auto('{lines}')")
                connection.execute("create or replace table order_lines as select id, unnest(line_items) from orders")

            seconds, baseline = _median(ours), _median(duckdbs)
    return Result(
        "orders_to_arrow", len(bodies) / seconds, "orders/s", "duckdb read_json_auto + unnest", seconds / baseline
    )


BENCHES: dict[str, Callable[[], Result]] = {"orders_to_arrow": orders_to_arrow}


def _bodies(path: Path) -> list[bytes]:

    with sqlite3.connect(path) as connection:
        return [body.encode() for (body,) in connection.execute("select body from orders order by id")]


def _median(work: Callable[[], None]) -> float:
    """Median seconds of ``REPEATS`` runs after one that warms up."""
    work()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(BENCHES), help="measure only this one")
    only = parser.parse_args().only
    results = [measure() for name, measure in BENCHES.items() if only in (None, name)]
    target = load_settings(os.environ).home / "bench" / "results.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n", encoding="utf-8")
    shown = Table("name", "value", "unit", "baseline", "time ÷ baseline")
    for result in results:
        shown.add_row(result.name, f"{result.value:,.0f}", result.unit, result.baseline, f"{result.ratio:.2f}")
    Console().print(shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
