"""``make bench``: each figure beside a named baseline, measured in the same run on the same data.

Prints a table and writes ``RETAIL_HOME/bench/results.json``: a list of {name, value, unit, baseline, ratio}.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from benchmarks.accuracy import accuracy
from benchmarks.detectors import detectors
from benchmarks.intake import intake, intake_killed, intake_overload
from benchmarks.measure import Result
from benchmarks.models import models_build
from benchmarks.nothing_new import incremental_nothing_new
from benchmarks.orders import orders_to_arrow, woocommerce_orders_load
from benchmarks.posting import posting
from benchmarks.settlements import adyen_rows_load, paypal_rows_load
from retail_assets.settings import load_settings

BENCHES: dict[str, Callable[[], Iterator[Result]]] = {
    bench.__name__: bench
    for bench in (
        orders_to_arrow,
        woocommerce_orders_load,
        adyen_rows_load,
        paypal_rows_load,
        incremental_nothing_new,
        models_build,
        posting,
        accuracy,
        detectors,
        intake,
        intake_overload,
        intake_killed,
    )
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(BENCHES), help="measure only this one")
    only = parser.parse_args().only
    # Benches that run the chain leave its environment behind.
    before = dict(os.environ)
    console = Console()
    results: list[Result] = []
    for name, measure in BENCHES.items():
        if only in (None, name):
            with console.status(f"measuring {name}"):
                try:
                    results.extend(measure())
                finally:
                    os.environ.clear()
                    os.environ.update(before)
    target = load_settings(os.environ).home / "bench" / "results.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n", encoding="utf-8")
    shown = Table("name", "value", "unit", "baseline", "ours ÷ baseline")
    for result in results:
        digits = 0 if result.value >= 100 else 2
        shown.add_row(result.name, f"{result.value:,.{digits}f}", result.unit, result.baseline, f"{result.ratio:.2f}")
    console.print(shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
