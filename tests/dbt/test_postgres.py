"""One code base for two engines: the same sources load DuckDB and a real Postgres, and every table comes out the same.

The retailer is the simulated one, with one broken record. All its sources are read twice, each time with an operations
store of its own. What dbt keeps as tables, every mart among them, is compared row for row. What this retailer does not
have, the rules of the models' unit tests do: Postgres keeps them too.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.sources import DltSource
from sqlalchemy import Engine, insert

from retail_assets.commands.home import prepare_home
from retail_assets.defs.ingest.instances import source_instances
from retail_assets.ops import exception_actions, links, replays, stock
from retail_assets.ops.exception_actions import Seen
from retail_assets.ops.links import Wanted
from retail_assets.ops.models import canaries
from retail_assets.ops.replays import Outcome
from retail_assets.ops.stock import Settled
from retail_assets.ops.store import open_store, writing
from retail_assets.settings import Settings, Stock
from retail_assets.sources.ops.source import ops_source
from retail_assets.sources.warehouse import create_raw_tables, load, pipeline_for, portions
from tests.dbt.compiled import Compiled
from tests.dbt.warehouse import run_dbt
from tests.support.chain import Retailer, environment, retailer
from tests.support.postgres import PostgresWarehouse, running_postgres

pytestmark = pytest.mark.slow

_MODELS_AND_THEIR_RULES = ("build", "--exclude-resource-type", "test", "--target", "postgres")
_SHOWN = 5
_BROKEN_SHIPMENT = "SH0,2001,LH-SCHUERZE-3,many,DHL,1,2026-10-06T09:36:20Z,2026-10-08T09:36:20Z,MAIN\n"

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Relation:
    """A table of both engines."""

    schema: str
    name: str
    columns: tuple[str, ...]

    @property
    def select(self) -> str:
        columns = ", ".join(f'"{column}"' for column in self.columns)
        return f'select {columns} from {self.schema}."{self.name}"'


@dataclass(frozen=True)
class Engines:
    """The same retailer in both, loaded and built."""

    duckdb: Path
    postgres: PostgresWarehouse

    def relations(self) -> list[Relation]:
        """What dbt keeps as tables in DuckDB, in the order in which differences spread."""
        columns: dict[tuple[str, str], list[str]] = {}
        for schema, table, column in self.in_duckdb("""
            select columns.table_schema, columns.table_name, columns.column_name
            from information_schema.columns as columns
            inner join information_schema.tables as tables using (table_schema, table_name)
            where tables.table_type = 'BASE TABLE' or tables.table_schema = 'marts'
            order by columns.table_name, columns.ordinal_position
        """):
            columns.setdefault((schema, table), []).append(column)
        return [
            Relation(schema, table, tuple(names))
            for layer in ("staging", "intermediate", "marts")
            for (schema, table), names in columns.items()
            if schema == layer
        ]

    def in_duckdb(self, query: str) -> Rows:
        with duckdb.connect(str(self.duckdb), read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(query).fetchall()

    def differences(self, relation: Relation, *before: str) -> list[str]:
        """What Postgres has otherwise, for people; nothing if the tables are equal.

        Args:
            before: statements that Postgres runs first; they stay.
        """
        return differences(relation, self.in_duckdb(relation.select), self.postgres.rows(*before, relation.select))


def differences(relation: Relation, expected: Rows, found: Rows) -> list[str]:
    """The rows of which there are not as many in both, each under its key and with the columns that differ."""
    ours, theirs = Counter(map(_instants, expected)), Counter(map(_instants, found))
    if ours == theirs:
        return []
    size = _key_size(expected)
    missing, surplus = _by_key(ours - theirs, size), _by_key(theirs - ours, size)
    told = []
    for key in sorted(missing.keys() | surplus.keys(), key=repr):
        named = ", ".join(f"{name} = {value!r}" for name, value in zip(relation.columns, key, strict=False))
        if key not in surplus:
            what = "only in DuckDB"
        elif key not in missing:
            what = "only in Postgres"
        else:
            pairs = zip(relation.columns, missing[key], surplus[key], strict=True)
            what = "; ".join(f"{c} is {a!r} in DuckDB, {b!r} in Postgres" for c, a, b in pairs if a != b)
        told.append(f"{relation.schema}.{relation.name} where {named}: {what or 'not as often in both'}")
    return told


def _instants(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Moments with a time zone in UTC."""
    return tuple(v.astimezone(UTC) if isinstance(v, datetime) and v.tzinfo else v for v in row)


def _key_size(rows: Rows) -> int:
    """How many of the first columns it takes to tell the rows apart; at most all."""
    width = len(rows[0]) if rows else 0
    return next((n for n in range(1, width) if len({row[:n] for row in rows}) == len(rows)), width)


def _by_key(rows: Counter[tuple[Any, ...]], size: int) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    return {row[: size or len(row)]: row for row in rows}


#: Orders of which each has a charge that pays it.
_PAID = """
    from raw_woocommerce.orders as orders
    inner join raw_stripe.charges as charges on orders.order_key = charges.metadata_order_key
    where charges.currency = 'usd' and charges.amount_captured = orders.total * 100 and charges.amount_refunded = 0
"""
_NAMELESS = (
    "update raw_woocommerce.orders set transaction_id = null, meta_data = null where order_key = ({0})",
    "update raw_stripe.charges set metadata_order_key = null, metadata_order_id = null, description = null, "
    "metadata_merchant_reference = null where metadata_order_key = ({0})",
)
_FIRST, _LAST = (f"select {which}(orders.order_key) {_PAID}" for which in ("min", "max"))
_CASES_OF_OUR_OWN = (
    # Paid in a way that nobody serves.
    f"update raw_woocommerce.orders set payment_method = 'voucher' where order_key = ({_LAST})",
    *(statement.format(_LAST) for statement in _NAMELESS),
    # An order and its charge that no longer name each other: a suggestion is all there can be.
    *(statement.format(_FIRST) for statement in _NAMELESS),
)


@pytest.fixture(scope="module")
def engines(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """A small retailer with every planted case, in both engines."""
    first, second = (tmp_path_factory.mktemp("homes") / name for name in ("duckdb", "postgres"))
    with running_postgres() as server, retailer(first, orders=60) as world:
        deliveries = sorted((first / "inbox" / "lager_de").glob("shipments_*.csv"))[0]
        deliveries.write_text(deliveries.read_text(encoding="utf-8") + _BROKEN_SHIPMENT, encoding="utf-8")
        shutil.copytree(first / "inbox", second / "inbox")
        _load_duckdb(world.settings())
        postgres = PostgresWarehouse.created(server)
        _load_postgres(Retailer(second, world.server).settings(), postgres)
        with duckdb.connect(str(first / "warehouse.duckdb")) as connection:
            connection.execute(";".join(_CASES_OF_OUR_OWN))
        postgres.rows(*_CASES_OF_OUR_OWN, "select 1 as done")
        in_duckdb = project.of_loaded(first / "warehouse.duckdb", tmp_path_factory.mktemp("built"))
        project.make(in_duckdb)
        with environment(postgres.environment()):
            built = run_dbt(second, _MODELS_AND_THEIR_RULES)
        assert built.returncode == 0, built.stdout[-4000:]
        yield Engines(in_duckdb.path, postgres)


def _load_duckdb(settings: Settings) -> None:
    create_raw_tables(settings.warehouse_path)
    for system, instance, source in _sources(settings):
        load(source, pipeline_for(system, instance, warehouse=settings.warehouse_path, state=settings.dlt_path))


def _load_postgres(settings: Settings, postgres: PostgresWarehouse) -> None:
    for system, instance, source in _sources(settings):
        pipeline: dlt.Pipeline = postgres.pipeline(system, instance, state=settings.dlt_path)
        # From the CSV files that dlt prefers, Postgres reads empty texts as null.
        pipeline.run(source, loader_file_format="insert_values")


def _sources(settings: Settings) -> Iterator[tuple[str, str, DltSource]]:
    """Every source of a retailer, each to be loaded before the next is asked for, our own records last."""
    prepare_home(settings)
    for one in source_instances(settings):
        with closing(one.intake(settings)) as intake:
            for source in portions(intake, lambda one=one, intake=intake: one.build(intake)):
                yield one.system, one.instance, source
                intake.log()
    operations = open_store(settings.operations_url)
    _work(operations)
    try:
        yield "ops", "operations", ops_source(_with_stock(settings), operations)
    finally:
        operations.dispose()


def _with_stock(settings: Settings) -> Settings:
    """The retailer with a store that sells from the ERP's warehouse."""
    block = Stock(warehouses=("Stores - CP",), safety_quantity=Decimal("1.5"))  # pyright: ignore[reportCallIssue]
    found = settings.configuration
    stores = tuple(one.model_copy(update={"stock": block if one.id == "cedar_us" else None}) for one in found.stores)
    return replace(settings, configuration=found.model_copy(update={"stores": stores}))


def _work(operations: Engine) -> None:
    """What people did, so that there are rows of it."""
    seen = Seen(
        "order_missing:g:1", "order_missing", "US", None, "g", None, None, "g:1", None, Decimal("12.50"), "USD",
        datetime(2026, 10, 1, tzinfo=UTC), "{}",
    )  # fmt: skip
    now = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)
    with writing(operations) as connection:
        # Its token is a fixed one: both stores must have the same.
        canary = {"token": "0" * 32, "store_id": "cedar_us", "state": "placed", "order_id": 1}
        connection.execute(insert(canaries).values(**canary, placed_at=now, answered_at=now))
        exception_actions.act(connection, "resolve", [seen], actor="ann", now=now, reason="paid in cash")
        wanted = Wanted("payment_order", "g:1", "s:1", "US", Decimal("12.50"), "USD")
        links.link(connection, wanted, actor="ann", now=now, reason="a letter", needs_approval=True)
        replay = replays.start(connection, "order", "s:1", actor="ann", reason="the hook was lost", now=now)
        replays.finish(connection, replay, Outcome("succeeded", 1, 1), now=now)
        connection.execute(insert(canaries).values(token="t1", store_id="cedar_us", state="placing", placed_at=now))
    write = stock.write_of("cedar_us", 10, None, "CP-BOARD", "run", Decimal(50), Decimal(7))
    stock.note_sent(operations, [write], actor="ann", now=now)
    stock.note_settled(operations, [Settled(write, "confirmed", Decimal(7))], actor="ann", now=now)
    stock.note_confirmed(operations, "cedar_us", {"CP-BOARD": (Decimal(7), now)})


def test_every_table_is_equal_row_for_row(engines: Engines) -> None:
    """A macro that means something else on Postgres: the first differences, by table, key and column."""
    found = {relation.name: engines.differences(relation) for relation in engines.relations()}
    assert {"rec_orders", "rec_exceptions", "acc_journal_lines", "int_exceptions_raised"} <= found.keys()
    different = [line for lines in found.values() for line in lines[:_SHOWN]]
    assert not different, "\n".join(different[: 4 * _SHOWN])


def test_no_mart_is_compared_without_rows(engines: Engines) -> None:
    """A mart that is equal because the small retailer has nothing for it."""
    marts = [relation for relation in engines.relations() if relation.schema == "marts"]
    assert marts
    assert [mart.name for mart in marts if not engines.in_duckdb(mart.select)] == []


def test_a_difference_is_told_by_table_key_and_column(engines: Engines) -> None:
    """A comparison that finds nothing, whatever the tables hold."""
    (orders,) = (relation for relation in engines.relations() if relation.name == "rec_orders")
    keys = engines.in_duckdb("select order_key from marts.rec_orders where captured_amount > 0 order by order_key")
    (changed,), (lost,) = keys[:2]
    told = engines.differences(
        orders,
        f"update marts.rec_orders set captured_amount = captured_amount + 0.0001 where order_key = '{changed}'",
        f"delete from marts.rec_orders where order_key = '{lost}'",
    )
    assert len(told) == 2
    assert told[0].startswith(f"marts.rec_orders where order_key = '{changed}': captured_amount is Decimal(")
    assert told[1] == f"marts.rec_orders where order_key = '{lost}': only in DuckDB"
