"""The warehouse as a dlt destination: one pipeline per source instance, one raw dataset per system."""

from pathlib import Path

import dlt
import duckdb
from dlt.sources import DltSource

from retail_assets.contracts import TABLES
from retail_assets.sources.destination import warehouse_destination
from retail_assets.sources.schema import SCHEMA_CONTRACT, create_table_sql

__all__ = ["SCHEMA_CONTRACT", "create_raw_tables", "load", "pipeline_for"]


def create_raw_tables(warehouse: Path) -> None:
    """Make every contracted raw table that is not there yet, so that models run before a source was ever reached."""
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(warehouse)) as connection:
        for table in TABLES:
            connection.execute(f'create schema if not exists "{table.schema}"')
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


def load(source: DltSource, pipeline: dlt.Pipeline) -> int:
    """Run a source without an orchestrator; returns how many rows it loaded, children included.

    Local state is dropped first: what a killed run left behind is loaded again, from the cursors in the warehouse.
    """
    pipeline.drop()
    pipeline.run(source, loader_file_format="parquet")
    normalized = pipeline.last_trace.last_normalize_info if pipeline.last_trace else None
    counts = normalized.row_counts if normalized else {}
    return sum(count for name, count in counts.items() if not name.startswith("_dlt"))
