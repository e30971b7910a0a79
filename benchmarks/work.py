"""One piece of work in a process of its own: ``python -m benchmarks.work NAME ARGUMENT…`` prints what it took."""

import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

PAGE: Final = 100
BATCH: Final = 500
LISTS: Final = ("line_items", "tax_lines", "shipping_lines", "fee_lines", "coupon_lines", "refunds")
_NOW: Final = datetime(2026, 11, 5, 12, tzinfo=UTC)


def load_orders(orders: Path, home: Path) -> Callable[[], None]:
    """The loader: pages of a hundred orders as a store answers, converted, taken in, merged, portion by portion."""
    import dlt
    import msgspec

    from retail_assets.contracts import table
    from retail_assets.sources.ahead import ahead
    from retail_assets.sources.intake import Intake
    from retail_assets.sources.records import Batch, convert

    decode = msgspec.json.Decoder(list[msgspec.Raw]).decode
    contract = table("woocommerce", "orders")
    intake = Intake("woocommerce", "bench", _NOW, f"sqlite:///{home / 'operations.sqlite'}")

    def pages(file: BinaryIO) -> Iterator[tuple[list[bytes], int]]:
        records: list[bytes] = []
        while lines := list(islice(file, PAGE)):
            records += [bytes(raw) for raw in decode(b"[" + b",".join(lines) + b"]")]
            if len(records) >= BATCH:
                yield records, file.tell()
                records = []
        if records:
            yield records, file.tell()

    def converted(page: tuple[list[bytes], int]) -> Batch:
        return convert(contract, page[0], instance="bench", loaded_at=_NOW, origin="GET orders")

    def rows() -> Iterator[Any]:
        state = dlt.current.resource_state()
        with orders.open("rb") as file:
            file.seek(state.get("offset", 0))
            for (_, reached), batch in ahead(converted, pages(file)):
                yield from intake.take(batch, "orders")
                if intake.portion_full():
                    state["offset"] = reached
                    intake.more("orders")
                    return

    @dlt.source(name="woocommerce", max_table_nesting=0)
    def store() -> Any:
        return intake.resource("orders", rows)

    return _load("woocommerce", "bench", store, intake, home)


def load_orders_by_dlt(orders: Path, home: Path) -> Callable[[], None]:
    """dlt's default: nested JSON as Python objects."""
    import dlt
    import msgspec

    def rows() -> Iterator[Any]:
        with orders.open("rb") as file:
            while lines := list(islice(file, PAGE)):
                yield [msgspec.json.decode(line) for line in lines]

    dlt.config["runtime.dlthub_telemetry"] = False
    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.duckdb(str(home / "warehouse.duckdb")),
        dataset_name="raw",
        pipelines_dir=str(home / "dlt"),
    )
    resource = dlt.resource(rows, name="orders", primary_key="id", write_disposition="merge")

    def work() -> None:
        pipeline.run(resource)

    return work


def read_orders_by_duckdb(orders: Path, home: Path) -> Callable[[], None]:
    """DuckDB's own reader into a database file, the lists unnested into tables of their own."""
    import duckdb

    def work() -> None:
        with duckdb.connect(str(home / "baseline.duckdb")) as connection:
            connection.execute(f"create table orders as select * from read_json_auto('{orders}')")
            for name in LISTS:
                connection.execute(f"create table {name} as select id as order_id, unnest({name}) from orders")

    return work


def load_folder(folder: Path, home: Path, system: str) -> Callable[[], None]:
    """A settlement file through the source that reads such files."""
    from importlib import import_module

    from retail_assets.settings import instance_of
    from retail_assets.sources.intake import Intake

    variant, entity = {"adyen": ("adyen", "DE"), "paypal": ("paypal_reports", "US")}[system]
    stores = [{"store": "bench", "payment_method": "bench"}]
    common = {"entity": entity, "bank": "bank", "stores": stores, "folder": str(folder)}
    configured = instance_of("gateways", {"system": variant, "id": "bench", **common})
    intake = Intake(system, configured.id, _NOW, f"sqlite:///{home / 'operations.sqlite'}")
    package = import_module(f"retail_assets.sources.{system}")
    return _load(system, configured.id, lambda: package.build(configured, intake, folder), intake, home)


def read_csv_by_duckdb(folder: Path, home: Path, skip: str, header: str) -> Callable[[], None]:
    """DuckDB's own CSV reader into a database file; a trailer of another form is left out."""
    import duckdb

    (file,) = sorted(folder.iterdir())

    def work() -> None:
        with duckdb.connect(str(home / "baseline.duckdb")) as connection:
            connection.execute(
                f"create table rows as select * from read_csv('{file}', skip = {skip}, header = {header}, "
                "null_padding = true, ignore_errors = true, delim = ',', quote = '\"')"
            )

    return work


def _load(system: str, instance: str, build: Callable[[], Any], intake: Any, home: Path) -> Callable[[], None]:
    from retail_assets.sources.warehouse import create_raw_tables, load, pipeline_for, portions

    warehouse = home / "warehouse.duckdb"
    create_raw_tables(warehouse)

    def work() -> None:
        with closing(intake):
            for part in portions(intake, build):
                load(part, pipeline_for(system, instance, warehouse=warehouse, state=home / "dlt"))
                intake.log()
        counts = list(intake.counts.values())
        assert sum(count.loaded for count in counts) > 0, [note for count in counts for note in count.notes]
        assert sum(count.quarantined for count in counts) == 0

    return work


WORK: Final[dict[str, Callable[..., Callable[[], None]]]] = {
    "load_orders": load_orders,
    "load_orders_by_dlt": load_orders_by_dlt,
    "read_orders_by_duckdb": read_orders_by_duckdb,
    "load_folder": load_folder,
    "read_csv_by_duckdb": read_csv_by_duckdb,
}


def main() -> None:
    name, source, *rest = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        work = WORK[name](Path(source), Path(folder), *rest)
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak_megabytes": _peak_megabytes()}))


def _peak_megabytes() -> float:
    """The most memory that this process has had resident; ``getrusage`` also counts what its parent had."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes) / 1024


if __name__ == "__main__":
    main()
