"""The warehouse as a dlt destination: one pipeline per source instance, one raw dataset per system."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import dlt
from dlt.sources import DltSource

from retail_assets.contracts import TABLES
from retail_assets.sources.destination import Warehouse, warehouse_destination
from retail_assets.sources.intake import Intake
from retail_assets.sources.schema import SCHEMA_CONTRACT, create_table_sql
from retail_assets.warehouse_file import opened

__all__ = ["SCHEMA_CONTRACT", "create_raw_tables", "load", "loading", "pipeline_for", "portions"]


def create_raw_tables(warehouse: Path) -> None:
    """Make every contracted raw table that is not there yet, so that models run before a source was ever reached."""
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    with opened(warehouse) as connection:
        there = set(connection.execute("select schema_name, table_name from duckdb_tables()").fetchall())
        missing = [table for table in TABLES if (table.schema, table.name) not in there]
        for schema in {table.schema for table in missing}:
            connection.execute(f'create schema if not exists "{schema}"')
        for table in missing:
            connection.execute(create_table_sql(table))


def pipeline_for(system: str, instance: str, *, warehouse: Path, state: Path) -> dlt.Pipeline:
    """The dlt pipeline of one source instance; its name is unique, its dataset is ``raw_<system>``."""
    # Loads run where nothing but the sources may be reached.
    dlt.config["runtime.dlthub_telemetry"] = False
    return dlt.pipeline(
        f"{system}_{instance}",
        destination=warehouse_destination(warehouse),
        dataset_name=f"raw_{system}",
        pipelines_dir=str(state),
    )


@contextmanager
def loading(pipeline: dlt.Pipeline) -> Iterator[None]:
    """Around each run of a pipeline: the warehouse, which its jobs share, is closed when it ends, however it ends."""
    try:
        yield
    finally:
        cast("Warehouse", pipeline.destination).close()


def portions(intake: Intake, build: Callable[[], DltSource]) -> Iterator[DltSource]:
    """The source to run, again and again until none of its resources has more to read.

    Each is to be run, and its load committed, before the next is asked for. A portion commits the checkpoint that its
    source reached together with the rows, so that a load of hours goes on from there when it is interrupted.

    Args:
        build: makes a fresh source: dlt sources cannot be run twice in one process.
    """
    yield build()
    while waiting := intake.begin_portion():
        yield build().with_resources(*waiting)


def load(source: DltSource, pipeline: dlt.Pipeline) -> int:
    """Run a source without an orchestrator; returns how many rows it loaded, children included.

    Local state is dropped first: what a killed run left behind is loaded again, from the cursors in the warehouse.
    """
    pipeline.drop()
    with loading(pipeline):
        pipeline.run(source, loader_file_format="parquet")
    normalized = pipeline.last_trace.last_normalize_info if pipeline.last_trace else None
    counts = normalized.row_counts if normalized else {}
    return sum(count for name, count in counts.items() if not name.startswith("_dlt"))
