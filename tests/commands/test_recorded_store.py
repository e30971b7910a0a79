"""A real store's recorded responses, through the source, the warehouse and the commerce marts."""

import io
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.console import Console

from retail_assets.commands.run import ChainResult, load_sources
from retail_assets.ops.store import open_store
from retail_assets.settings import load_settings
from retail_assets.sources.ops import ops_source
from retail_assets.sources.warehouse import load, pipeline_for
from tests.dbt.compiled import Compiled
from tests.support.chain import environment
from tests.support.replay import replay_app
from tests.support.server import running

CONFIGURATION = """
entities:
  - code: US
    name: Recorded Coffee
    country: US
    base_currency: USD
    time_zone: America/New_York
    erp: books
    company: RC
stores:
  - id: recorded
    name: Recorded Coffee
    entity: US
    base_url: ${STORE_URL}
    consumer_key: ${STORE_KEY}
    consumer_secret: ${STORE_SECRET}
erps:
  - id: books
    system: erpnext
    base_url: http://127.0.0.1:9
    api_key: ${STORE_KEY}
    api_secret: ${STORE_SECRET}
    retries: 0
"""


@dataclass(frozen=True)
class Recorded:
    """What was loaded of the recorded store, and what the models make of it."""

    loaded: ChainResult
    warehouse: Path

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def recorded(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "retail.yaml").write_text(CONFIGURATION, encoding="utf-8")
    with running(replay_app()) as url:
        variables = {
            "RETAIL_HOME": str(folder / "home"),
            "RETAIL_CONFIG": str(folder / "retail.yaml"),
            "RETAIL_AS_OF": "2026-11-23T12:00:00+00:00",
            "STORE_URL": url,
            "STORE_KEY": "ck_recorded",
            "STORE_SECRET": "cs_recorded",
        }
        with environment(variables):
            settings = load_settings()
            loaded = load_sources(settings, Console(file=io.StringIO()))
            operations = open_store(settings.operations_url)
            ours = pipeline_for("ops", "operations", warehouse=settings.warehouse_path, state=settings.dlt_path)
            load(ops_source(settings, operations), ours)
            operations.dispose()
    built = project.of_loaded(settings.warehouse_path, folder / "built")
    project.make(built)
    return Recorded(loaded, built.path)


def test_only_the_unreachable_erp_fails(recorded: Recorded) -> None:
    """A system that is not there must be named, and must not keep the store from the marts."""
    assert set(recorded.loaded.failures) == {"load_books"}


def test_control_totals(recorded: Recorded) -> None:
    """Orders, lines, refunds and money of the recording: a lost page, a doubled order or a float would change them."""
    orders = recorded.rows("select count(*) from marts.fct_orders where not is_trashed")
    lines = recorded.rows(
        """
        select count(*)
        from marts.fct_order_lines as lines
        inner join marts.fct_orders as orders on orders.order_key = lines.order_key
        where not orders.is_trashed and lines.line_kind = 'product'
        """
    )
    refunds = recorded.rows("select count(*) from marts.fct_refunds where store_refund_key is not null")
    totals = recorded.rows(
        "select currency_code, sum(total_amount) from marts.fct_orders where not is_trashed group by currency_code"
    )
    assert (orders, lines, refunds) == ([(50,)], [(85,)], [(9,)])
    assert dict(totals) == {
        "USD": Decimal("3467.32"),
        "EUR": Decimal("842.30"),
        "JPY": Decimal("20551.30"),
        "GBP": Decimal("88.80"),
        "CAD": Decimal("173.16"),
    }


def test_every_total_is_the_sum_of_its_parts(recorded: Recorded) -> None:
    """total = lines + shipping + fees + tax, on each order: a part counted twice or left out breaks revenue."""
    broken = recorded.rows(
        """
        select order_key from marts.fct_orders
        where total_amount <> lines_amount + shipping_amount + fees_amount + tax_amount or not amounts_foot
        """
    )
    assert broken == []


def test_the_trashed_order_is_not_lost(recorded: Recorded) -> None:
    """A trashed order is in no default list; dropping it silently would hide a sale that was paid."""
    assert len(recorded.rows("select order_key from marts.fct_orders where is_trashed")) == 1


def test_refunds_without_lines_survive(recorded: Recorded) -> None:
    """Refunds that WooCommerce makes itself have neither lines nor tax; an inner join to lines would drop them."""
    without_lines = recorded.rows(
        """
        select refunds.reason
        from raw_woocommerce.refunds as refunds
        where not exists (
            select 1 from raw_woocommerce.refund_lines as lines where lines.refund_id = refunds.id
        )
        """
    )
    in_marts = recorded.rows("select count(*) from marts.fct_refunds where store_refund_key is not null")
    assert len(without_lines) >= 2
    assert ("Order fully refunded.",) in without_lines
    assert in_marts == [(9,)]
