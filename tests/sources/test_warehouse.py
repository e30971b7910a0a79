"""Loading into the warehouse: what replaces what, what holds of several versions, and long loads in portions."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.sources import DltSource

from retail_assets.contracts import table
from retail_assets.ops.load_log import status_rows, totals
from retail_assets.sources import destination
from retail_assets.sources import intake as intake_module
from retail_assets.sources.intake import Intake, Progress, StalledLoadError
from retail_assets.sources.records import convert
from retail_assets.sources.warehouse import create_raw_tables
from tests.sources.loading import NOW, Home, closing_engine

ORDERS = table("woocommerce", "orders")
RECORDED = Path(__file__).parents[1] / "recorded" / "woocommerce" / "orders_default_p1.json"
ORDER: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))[0]
LINE = ORDER["line_items"][0]

Build = Callable[[Intake], DltSource]


def order(identity: int, lines: Sequence[int] = (1,), **changes: Any) -> bytes:
    items = [{**LINE, "id": line} for line in lines]
    return json.dumps({**ORDER, "id": identity, "line_items": items, **changes}).encode()


def from_pages(*pages: list[bytes]) -> Build:
    """A source that yields these pages of orders."""

    def rows(intake: Intake) -> Iterator[Any]:
        for page in pages:
            batch = convert(ORDERS, page, instance=intake.instance, loaded_at=intake.now, origin="page")
            yield from intake.take(batch, "orders")

    return source_of(rows)


def source_of(rows: Callable[[Intake], Iterator[Any]]) -> Build:
    @dlt.source(name="woocommerce", max_table_nesting=0)
    def source(intake: Intake) -> Any:
        return intake.resource("orders", lambda: rows(intake))

    return source


def lines(home: Home) -> list[tuple[int, int]]:
    return home.query("select order_id, id from raw_woocommerce.order_lines order by all")


def test_a_removed_line_goes_and_other_stores_stay(home: Home) -> None:
    """Lines that were taken off an order stayed, or one store's load removed the orders of another."""
    home.load("woocommerce", "cedar_us", from_pages([order(1, [1, 2]), order(2, [3])]))
    home.load("woocommerce", "linden_de", from_pages([order(1, [1, 2])]))
    home.load("woocommerce", "cedar_us", from_pages([order(1, [2], total="9.00"), order(2, [])]))
    assert lines(home) == [(1, 1), (1, 2), (1, 2)]
    assert home.query("select store_id, id, total from raw_woocommerce.orders order by all") == [
        ("cedar_us", 1, Decimal(9)),
        ("cedar_us", 2, Decimal(ORDER["total"])),
        ("linden_de", 1, Decimal(ORDER["total"])),
    ]
    assert home.one("select count(*) from raw_woocommerce.order_lines where _deleted") == 0


def test_of_two_versions_in_one_load_the_one_read_last_holds(home: Home) -> None:
    """An order that was read twice in one load was there twice, or in the state before its change."""
    pages = [[order(number) for number in range(1, 40)], [order(7, total="1.00")], [order(7, total="2.00")]]
    home.load("woocommerce", "cedar_us", from_pages(*pages))
    assert home.one("select count(*) from raw_woocommerce.orders") == 39
    assert home.one("select total from raw_woocommerce.orders where id = 7") == 2


def test_nothing_is_copied_to_a_staging_dataset(home: Home) -> None:
    """Each record was written twice, and the copy of the last load stayed in the warehouse, personal data and all."""
    home.load("woocommerce", "cedar_us", from_pages([order(1)]))
    schemas = {name for (name,) in home.query("select schema_name from information_schema.schemata")}
    assert "raw_woocommerce" in schemas
    assert not [name for name in schemas if "staging" in name]


def test_what_does_not_fit_the_warehouse_leaves_it_as_it_was(home: Home) -> None:
    """A merge that failed half-way had deleted the old rows and not yet inserted the new ones."""
    home.load("woocommerce", "cedar_us", from_pages([order(1), order(2)]))
    before = home.query("select id, total from raw_woocommerce.orders order by all")
    home.query("alter table raw_woocommerce.orders alter column number type integer using 1")
    with pytest.raises(Exception, match="convert"):
        home.load("woocommerce", "cedar_us", from_pages([order(1, total="9.00", number="R-1")]))
    assert home.query("select id, total from raw_woocommerce.orders order by all") == before


def test_raw_tables_are_made_once_and_new_ones_later(home: Home) -> None:
    """A table that a new release declares was missing in a warehouse that existed already."""
    create_raw_tables(home.warehouse)
    home.query("drop table raw_woocommerce.refunds")
    create_raw_tables(home.warehouse)
    assert home.one("select count(*) from raw_woocommerce.refunds") == 0


class Shop:
    """A store of so many orders that is read in pages of ten, from where the last portion ended."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.requests = 0
        self.stops_after: int | None = None

    def rows(self, intake: Intake) -> Iterator[Any]:
        state = dlt.current.resource_state()
        while (start := state.get("next", 1)) <= self.number:
            if self.requests == self.stops_after:
                raise ConnectionError("the store went away")
            self.requests += 1
            page = [order(identity) for identity in range(start, min(start + 10, self.number + 1))]
            batch = convert(ORDERS, page, instance=intake.instance, loaded_at=intake.now, origin="page")
            yield from intake.take(batch, "orders")
            state["next"] = start + 10
            if intake.portion_full() and start + 10 <= self.number:
                intake.more("orders")
                return

    def build(self, intake: Intake) -> DltSource:
        intake.portion = 20
        return source_of(self.rows)(intake)


def test_an_interrupted_load_goes_on_where_it_was(home: Home, tmp_path: Path) -> None:
    """A first load of hours began again from the first page whenever the store went away."""
    shop = Shop(50)
    shop.stops_after = 3
    with pytest.raises(Exception, match="the store went away"):
        home.load("woocommerce", "cedar_us", shop.build)
    assert home.one("select count(*) from raw_woocommerce.orders") == 20
    with closing_engine(home.operations_url) as engine:
        (counted,) = totals(engine, ["cedar_us"], since=NOW, until=NOW)
        assert (counted["received"], counted["last_complete_at"]) == (20, None)
        assert list(status_rows(engine)) == [], "thirty orders are not read yet"
    shop.stops_after = None
    home.load("woocommerce", "cedar_us", shop.build)
    assert shop.requests == 5 + 1  # one page was read but not committed
    whole = Home(tmp_path / "whole")
    whole.load("woocommerce", "cedar_us", Shop(50).build)
    assert home.content("woocommerce") == whole.content("woocommerce")


def test_counts_are_of_all_portions(home: Home) -> None:
    """The load log held the last portion only, and the check of received = loaded + quarantined said nothing."""
    counts = home.load("woocommerce", "cedar_us", Shop(25).build)
    assert (counts["orders"].received, counts["orders"].loaded) == (25, 25)
    assert home.logged()["orders"] == (25, 25, 0)


def test_a_source_that_does_not_go_on_is_stopped(home: Home) -> None:
    """A source that forgot its checkpoint would be run for ever."""

    def rows(intake: Intake) -> Iterator[Any]:
        intake.more("orders")
        yield from ()

    with pytest.raises(StalledLoadError, match="orders"):
        home.load("woocommerce", "cedar_us", source_of(rows))


def test_rows_are_gathered_and_none_is_left(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """dlt took milliseconds for each page of each table; and what was gathered last must not stay behind."""
    handed: list[int] = []
    merge_item = intake_module.merge_item

    def counted(contract: Any, rows: Any) -> Any:
        handed.append(rows.num_rows)
        return merge_item(contract, rows)

    monkeypatch.setattr(intake_module, "merge_item", counted)
    home.load("woocommerce", "cedar_us", from_pages(*([order(number)] for number in range(1, 51))))
    assert home.one("select count(*) from raw_woocommerce.orders") == 50
    assert len(handed) <= 8


def test_progress_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first load of hours said nothing until its end, and was taken for hung."""
    monkeypatch.setattr(intake_module, "_SECONDS_BETWEEN_REPORTS", 0.0)
    told: list[Progress] = []
    made = Intake("woocommerce", "cedar_us", NOW + timedelta(hours=1), home.operations_url, told.append)
    for number in (1, 2):
        batch = convert(ORDERS, [order(number)], instance="cedar_us", loaded_at=NOW, origin="page")
        list(made.take(batch, "orders"))
    made.close()
    assert [progress.received for progress in told] == [1, 2]
    assert "cedar_us orders: 2 records so far" in str(told[-1])


def test_tables_are_written_in_small_row_groups(home: Home) -> None:
    """With DuckDB's usual row groups a load of orders held 400 MB and compressed their payloads one after the other."""
    orders = [order(number) for number in range(1, 8_001)]
    home.load("woocommerce", "cedar_us", from_pages(orders))
    assert home.one("select max(count) from pragma_storage_info('raw_woocommerce.orders')") < 8_000


def test_the_jobs_of_a_load_share_one_connection(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each job opened the warehouse anew and wrote a checkpoint when it closed it: a tenth of the time of a load."""
    opened: list[Path] = []
    attach = destination._attached

    def counted(warehouse: Path) -> Any:
        opened.append(warehouse)
        return attach(warehouse)

    monkeypatch.setattr(destination, "_attached", counted)
    home.load("woocommerce", "cedar_us", from_pages([order(1)]))
    # For the state at the start, and for the package with its jobs.
    assert len(opened) <= 3


def test_a_load_that_fails_closes_the_warehouse(home: Home) -> None:
    """A failed load kept the file, and nobody could open it until the process ended."""
    home.load("woocommerce", "cedar_us", from_pages([order(1)]))
    home.query("alter table raw_woocommerce.orders alter column number type integer using 1")
    with pytest.raises(PipelineStepFailed, match="convert"):
        home.load("woocommerce", "cedar_us", from_pages([order(1, number="R-1")]))
    # Another process: within one, DuckDB's lock on the file does not show.
    code = f"import duckdb; duckdb.connect({str(home.warehouse)!r}).execute('select 1')"
    subprocess.run([sys.executable, "-c", code], check=True)
