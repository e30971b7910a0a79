"""A large warehouse: a simulated retailer is loaded once, then every store, gateway and bank of it is copied.

Each copy has instances of its own (``cedar_us_17``), so every key that holds an instance stays unique and every link
between records of one copy is as it was. Entities and ERPs stay what they are.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb
from rich.console import Console

from retail_assets.commands.run import load_sources
from retail_assets.contracts import TABLES
from retail_assets.ops.store import open_store
from retail_assets.sandbox.generator import generate
from retail_assets.sandbox.server import running_server
from retail_assets.settings import load_settings, sandbox_credentials
from retail_assets.sources.ops import ops_source
from retail_assets.sources.warehouse import load, pipeline_for

AS_OF: Final = "2026-11-05T12:00:00+00:00"
#: Columns that name an instance of which there are copies.
_INSTANCES: Final = frozenset({"store_id", "gateway_id", "bank_id", "tax_engine_id", "provider_id", "instance_id"})
#: Records that are not a retailer's, but how it is loaded.
_NOT_COPIED: Final = frozenset({"load_status", "quarantine"})


def large_warehouse(home: Path, orders: int, *, generated: int = 20_000, seed: int = 7) -> dict[str, str]:
    """Fill ``home/warehouse.duckdb`` with so many orders and all that belongs to them.

    Returns:
        The environment that dbt needs to build on it.
    """
    generate(home, seed=seed, orders=min(orders, generated))
    environment = {"RETAIL_HOME": str(home), "RETAIL_AS_OF": AS_OF}
    with running_server(home, sandbox_credentials()) as server:
        settings = load_settings(environment | {"SANDBOX_URL": server.url})
        load_sources(settings, Console(quiet=True))
    operations = open_store(settings.operations_url)
    try:
        ours = pipeline_for("ops", "operations", warehouse=settings.warehouse_path, state=settings.dlt_path)
        load(ops_source(settings, operations), ours)
    finally:
        operations.dispose()
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        connection.execute("set preserve_insertion_order = false")
        for statement in _copies(-(-orders // generated)):
            connection.execute(statement)
    return environment


def _copies(number: int) -> Iterator[str]:
    for table in TABLES:
        instances = sorted(_INSTANCES & {column.name for column in table.all_columns()})
        if number < 2 or not instances or table.name in _NOT_COPIED:
            continue
        name = f'"{table.schema}"."{table.name}"'
        copied = ", ".join(f"{column} || '_' || copy as {column}" for column in instances)
        yield (
            f"insert into {name} by name select rows.* replace ({copied}) "
            f"from {name} as rows cross join range(1, {number}) as copies (copy)"
        )
