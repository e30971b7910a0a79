"""Settlement files of a million rows into the warehouse."""

from collections.abc import Iterator
from typing import Final

from benchmarks.data import adyen_file, paypal_file
from benchmarks.measure import Result, apart, paired

ROWS: Final = 1_000_000


def adyen_rows_load() -> Iterator[Result]:
    """An Adyen settlement details report, against DuckDB's own CSV reader on the same file."""
    with adyen_file(ROWS) as folder:
        loaded, ratio = paired(
            lambda: apart("load_folder", folder, "adyen"),
            lambda: apart("read_csv_by_duckdb", folder, "0", "true"),
        )
    yield Result("adyen_rows_load", ROWS / loaded.seconds, "rows/s", "duckdb read_csv", ratio)
    yield Result("adyen_rows_load_memory", loaded.peak_megabytes, "MB", "500 MB", loaded.peak_megabytes / 500)


def paypal_rows_load() -> Iterator[Result]:
    """A PayPal settlement report (STL), against DuckDB's own CSV reader on the same file."""
    with paypal_file(ROWS) as folder:
        loaded, ratio = paired(
            lambda: apart("load_folder", folder, "paypal"),
            lambda: apart("read_csv_by_duckdb", folder, "4", "false"),
        )
    yield Result("paypal_rows_load", ROWS / loaded.seconds, "rows/s", "duckdb read_csv", ratio)
    yield Result("paypal_rows_load_memory", loaded.peak_megabytes, "MB", "500 MB", loaded.peak_megabytes / 500)
