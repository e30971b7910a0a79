"""WooCommerce orders: JSON to Arrow, and JSON to the warehouse."""

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb

from benchmarks.data import order_bodies, orders_file
from benchmarks.measure import Result, apart, median, paired
from retail_assets.contracts import table
from retail_assets.sources.records import convert

ORDERS: Final = 200_000
_PAGE: Final = 100
_CONVERTED: Final = 20_000
_SAMPLE: Final = 5_000
_MOST_MEGABYTES: Final = 500


def orders_to_arrow() -> Iterator[Result]:
    """Order pages under contract to Arrow, against DuckDB's own JSON reader on the same bytes."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        bodies = order_bodies(Path(folder), _CONVERTED)
        lines = Path(folder) / "orders.jsonl"
        lines.write_bytes(b"\n".join(bodies))
        pages = [bodies[start : start + _PAGE] for start in range(0, len(bodies), _PAGE)]
        now = datetime.now(UTC)

        def ours() -> None:
            for page in pages:
                convert(table("woocommerce", "orders"), page, instance="bench", loaded_at=now, origin="bench")

        def duckdbs() -> None:
            connection.execute(f"create or replace table orders as select * from read_json_auto('{lines}')")
            connection.execute("create or replace table order_lines as select id, unnest(line_items) from orders")

        seconds, baseline = median(ours), median(duckdbs)
    yield Result(
        "orders_to_arrow", len(bodies) / seconds, "orders/s", "duckdb read_json_auto + unnest", seconds / baseline
    )


def woocommerce_orders_load() -> Iterator[Result]:
    """200,000 orders into the warehouse with all child tables and payloads.

    Against DuckDB's own JSON reader on the same bytes, and against dlt's default way on a sample of 5,000 orders, its
    time for each order compared. Then the peak memory of the loading process for 50,000 and 200,000 orders, and with
    ``BENCH_MILLION=1`` for a million.
    """
    with orders_file(ORDERS) as path:
        loaded, ratio = paired(lambda: apart("load_orders", path), lambda: apart("read_orders_by_duckdb", path))
    name = "woocommerce_orders_load"
    yield Result(name, ORDERS / loaded.seconds, "orders/s", "duckdb read_json_auto + unnest", ratio)
    with orders_file(_SAMPLE) as path:
        by_dlt = apart("load_orders_by_dlt", path)
    each = (loaded.seconds / ORDERS) / (by_dlt.seconds / _SAMPLE)
    yield Result(
        f"{name}_vs_dlt", ORDERS / loaded.seconds, "orders/s", f"dlt's default JSON, {_SAMPLE} orders, scaled", each
    )
    sizes = {50_000: None, ORDERS: loaded} | ({1_000_000: None} if os.environ.get("BENCH_MILLION") else {})
    for number, known in sizes.items():
        if known is None:
            with orders_file(number) as path:
                known = apart("load_orders", path)
        peak = known.peak_megabytes
        yield Result(f"{name}_memory_{number}", peak, "MB", f"{_MOST_MEGABYTES} MB", peak / _MOST_MEGABYTES)
