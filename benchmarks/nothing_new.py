"""A load that finds nothing new: what every source costs when nothing happened."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from rich.console import Console

from benchmarks.measure import Result
from retail_assets.commands.demo import generate_world, served_world
from retail_assets.defs.ingest.instances import SourceInstance, source_instances
from retail_assets.settings import Settings, load_settings
from retail_assets.sources.warehouse import create_raw_tables, load, pipeline_for, portions

_ORDERS: Final = 2_000
_MOST_SECONDS: Final = 5


def incremental_nothing_new() -> Iterator[Result]:
    """Every source of the simulated retailer, loaded again at once, over loopback: seconds and requests."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "RETAIL_HOME": home}
        environment.pop("RETAIL_CONFIG", None)
        world = generate_world(load_settings(environment), Console(quiet=True), seed=None, orders=_ORDERS, days=None)
        environment["RETAIL_AS_OF"] = world.as_of
        with served_world(load_settings(environment)) as url:
            settings = load_settings({**environment, "SANDBOX_URL": url})
            create_raw_tables(settings.warehouse_path)
            for instance in source_instances(settings):
                _load(settings, instance)
            for instance in source_instances(settings):
                seconds, requests = _load(settings, instance)
                name = f"incremental_nothing_new_{instance.instance}"
                yield Result(name, seconds, "s", f"{_MOST_SECONDS} s; {requests} requests", seconds / _MOST_SECONDS)


def _load(settings: Settings, instance: SourceInstance) -> tuple[float, int]:
    started = time.perf_counter()
    with closing(instance.intake(settings)) as intake, intake.traffic.watching():
        for part in portions(intake, lambda: instance.build(intake)):
            pipeline = pipeline_for(
                instance.system, instance.instance, warehouse=settings.warehouse_path, state=settings.dlt_path
            )
            load(part, pipeline)
            intake.log()
    return time.perf_counter() - started, intake.traffic.requests
