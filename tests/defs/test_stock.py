"""Stock write-back: over real HTTP against a small simulated store, on hand-made marts."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from rich.console import Console
from sqlalchemy import Engine
from starlette.applications import Starlette

from retail_assets import keys
from retail_assets.commands import CommandError
from retail_assets.commands.stock import pushed
from retail_assets.defs.inventory import inventory_definitions
from retail_assets.defs.inventory.planning import StockError, plan_stock
from retail_assets.defs.inventory.pushing import TooManyChangesError, push_stock
from retail_assets.http import HttpError
from retail_assets.ops import audit, quarantine, stock
from retail_assets.ops.store import open_store, writing
from retail_assets.sandbox.catalogue import product_records, variation_records
from retail_assets.sandbox.profiles import STORES
from retail_assets.sandbox.storage import encode, store_file
from retail_assets.sandbox.woocommerce import create_app
from retail_assets.settings import Operations, Settings, Stock, load_settings
from retail_assets.sources.woocommerce import stock as woo_stock
from retail_assets.sources.woocommerce.client import StoreClient
from retail_assets.sources.woocommerce.stock import Article, read_stock, set_stock
from tests.support.server import running

STORE = "cedar_us"
NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
LOADED = "2026-11-05 11:00:00"
BOARD, THROW, CANDLE, MUG = "CP-BOARD", "CP-THROW", "CP-CANDLE", "CP-MUG-1"


class Shop:
    """A store of eight products, its marts and its operations store."""

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        settings = load_settings(
            {"RETAIL_HOME": str(home), "RETAIL_AS_OF": NOW.isoformat(), "SANDBOX_URL": url} | _SECRETS
        )
        self.settings = self.limited(settings, Stock(warehouses=("Stores - CP",)))  # pyright: ignore[reportCallIssue]
        self.operations: Engine = open_store(settings.operations_url)

    @staticmethod
    def limited(settings: Settings, limits: Stock) -> Settings:
        stores = tuple(
            one.model_copy(update={"stock": limits, "base_url": one.base_url, "retries": 0}) if one.id == STORE else one
            for one in settings.configuration.stores
        )
        return replace(settings, configuration=settings.configuration.model_copy(update={"stores": stores}))

    def execute(self, *statements: str) -> None:
        with duckdb.connect(str(self.settings.warehouse_path)) as connection:
            for statement in statements:
                connection.execute(statement)

    def article(self, sku: str, on_hand: str, *, promised: str = "0") -> None:
        """An article of the mart, on the id that the store gave it; the mart believes that the store shows 1."""
        resource, record_id, parent_id, _ = self.record(sku)
        product, variation = (parent_id, str(record_id)) if resource == "variations" else (record_id, "null")
        self.execute(
            f"insert into marts.rec_inventory values ('{STORE}:{record_id}', '{STORE}', {product}, {variation}, "
            f"'{sku}', 'shows_too_much', true, {on_hand}, {promised}, 0, 0, 1, "
            f"'{LOADED}')"
        )

    def record(self, sku: str) -> tuple[str, int, int, str]:
        query = "select resource, id, parent_id, body from documents where body like ? order by id"
        with sqlite3.connect(self.state) as connection:
            return next(iter(connection.execute(query, [f'%"sku":"{sku}"%'])))

    @property
    def state(self) -> Path:
        return self.home / "store.sqlite"

    def shows(self, sku: str) -> Decimal | None:
        resource, record_id, parent_id, _ = self.record(sku)
        article = Article(parent_id, record_id) if resource == "variations" else Article(record_id)
        client = StoreClient(next(one for one in self.settings.configuration.stores if one.id == STORE))
        try:
            return read_stock(client, [article])[article].quantity
        finally:
            client.close()

    def push(self, **more: Any) -> Any:
        options: dict[str, Any] = {"run_id": "run1", "actor": "finn"} | more
        settings = options.pop("settings", self.settings)
        return push_stock(settings, self.operations, STORE, **options)

    def states(self) -> dict[str, str]:
        return {f"{row['run_id']} {row['sku']}": row["state"] for row in stock.rows(self.operations)}


_SECRETS = {
    f"{name}": "secret"
    for name in (
        "LINDEN_DE_CONSUMER_KEY", "LINDEN_DE_CONSUMER_SECRET", "AOI_JP_CONSUMER_KEY", "AOI_JP_CONSUMER_SECRET",
    )
} | {"CEDAR_US_CONSUMER_KEY": "ck_test", "CEDAR_US_CONSUMER_SECRET": "cs_test"}  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    opened = datetime(2026, 9, 1, tzinfo=UTC)
    store = STORES[STORE]
    with store_file(tmp_path / "store.sqlite") as state:
        for resource, records in (
            ("products", product_records(store, opened)), ("variations", variation_records(store, opened)),
        ):  # fmt: skip
            for record in records:
                state.add("documents", resource, record["id"], record["parent_id"], 0, 0, encode(record))
    app = create_app(tmp_path / "store.sqlite", store, "ck_test", "cs_test", may_write=True)
    outer = Starlette()
    outer.mount(f"/{STORE}", app)
    with running(outer) as url:
        shop = Shop(tmp_path, url)
        shop.execute(
            "create schema marts",
            """create table marts.rec_inventory (
                inventory_key varchar, store_id varchar, product_id bigint, variation_id bigint, sku varchar,
                inventory_status varchar, is_comparable boolean, on_hand_quantity decimal(18, 4),
                promised_quantity decimal(18, 4), safety_quantity decimal(18, 4), to_promise_quantity decimal(18, 4),
                store_quantity decimal(18, 4), erp_counted_at timestamp)""",
            "create table marts.mon_ingestion_latency (instance_id varchar, resource varchar, loaded_at timestamp)",
            f"insert into marts.mon_ingestion_latency values ('{STORE}', 'orders', '{LOADED}'), "
            f"('erp_main', 'stock_levels', '{LOADED}')",
            "create table marts.fct_orders (order_key varchar, store_id varchar, store_status varchar)",
        )
        yield shop
        shop.operations.dispose()
    app.state.connection.close()


def test_what_differs_is_set_and_read_back(shop: Shop) -> None:
    """A variation went to the wrong list, what was right was sent as well, or nobody could tell what had been there."""
    before = {sku: shop.shows(sku) for sku in (BOARD, MUG, CANDLE)}
    shop.article(BOARD, "7.9")
    shop.article(MUG, "3", promised="5")
    shop.article(CANDLE, str(before[CANDLE]))
    plan = plan_stock(shop.settings, STORE)
    assert [(one.sku, one.shown, one.target) for one in plan.changes] == [
        (BOARD, before[BOARD], 7), (MUG, before[MUG], 0),
    ]  # fmt: skip
    assert shop.shows(BOARD) == before[BOARD], "a plan writes nothing"

    result = shop.push()
    assert result.ok
    assert (shop.shows(BOARD), shop.shows(MUG), shop.shows(CANDLE)) == (7, 0, before[CANDLE])
    assert [(row["sku"], row["before_quantity"], row["target_quantity"], row["read_back_quantity"], row["state"])
            for row in sorted(stock.rows(shop.operations), key=lambda row: row["sku"])] == [
        (BOARD, before[BOARD], 7, 7, "confirmed"), (MUG, before[MUG], 0, 0, "confirmed"),
    ]  # fmt: skip
    assert {row["sku"]: row["quantity"] for row in stock.confirmation_rows(shop.operations)} == {
        BOARD: 7, MUG: 0, CANDLE: before[CANDLE],
    }  # fmt: skip
    assert [entry.action for entry in audit.entries(shop.operations)] == ["stock_sent", "stock_settled"] * 2
    assert audit.verify(shop.operations, shop.settings.audit_anchor_path) == []

    again = shop.push(run_id="run2")
    assert again.settled == []
    assert len(again.plan.right) == 3


def test_a_store_s_refusals_are_told_by_sku_and_stop_nothing_else(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """WooCommerce answers 200 to a batch of which it took nothing; an untracked product was sent and swallowed."""
    for sku in (BOARD, THROW, CANDLE):
        shop.article(sku, "3")
    with sqlite3.connect(shop.state) as connection:
        body = shop.record(THROW)[3].replace('"manage_stock":true', '"manage_stock":false')
        connection.execute("update documents set body = ? where id = ?", [body, shop.record(THROW)[1]])

    def gone_meanwhile(client: StoreClient, path: str, quantities: Any) -> Any:
        with sqlite3.connect(shop.state) as connection:
            connection.execute("delete from documents where id = ?", [shop.record(CANDLE)[1]])
        return set_stock(client, path, quantities)

    monkeypatch.setattr("retail_assets.defs.inventory.pushing.set_stock", gone_meanwhile)
    result = shop.push()
    assert shop.states() == {f"run1 {BOARD}": "confirmed", f"run1 {CANDLE}": "refused"}
    assert result.problems[0].message == "woocommerce_rest_product_invalid_id: Invalid ID."
    assert result.plan.left == [(THROW, "the store does not track its stock (any more, or by its parent)")]


def test_orders_that_came_after_the_load_are_not_sold_twice(shop: Shop) -> None:
    """Setting yesterday's promise gave back to the shop what had been sold since."""
    shop.article(BOARD, "10")
    line = {"id": 1, "sku": BOARD, "quantity": 2, "product_id": shop.record(BOARD)[1]}
    with sqlite3.connect(shop.state) as connection:
        for order_id, modified in (
            (501, "2026-11-05T11:30:00"),
            (502, "2026-11-05T11:31:00"),
            (503, "2026-11-05T09:00:00"),
        ):
            at = int(datetime.fromisoformat(f"{modified}+00:00").timestamp())
            body = encode({"id": order_id, "status": "processing", "line_items": [line]})
            connection.execute(
                "insert into orders values (?, ?, 'processing', ?, ?, 0, ?)", [order_id, str(order_id), at, at, body]
            )
    shop.execute(f"insert into marts.fct_orders values ('{STORE}:502', '{STORE}', 'processing')")
    result = shop.push()
    assert (result.plan.late_orders, shop.shows(BOARD)) == (1, 8)


@pytest.mark.parametrize("older_version_counts", [False, True])
def test_an_order_in_quarantine_has_sold_its_pieces(shop: Shop, older_version_counts: bool) -> None:
    """The marts lack an order that broke its contract, and the stock it had sold long ago was offered again."""
    shop.article(BOARD, "10")
    sold = encode({"id": 501, "status": "processing", "line_items": [{"id": 1, "sku": BOARD, "quantity": 2}]})
    at = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
    with sqlite3.connect(shop.state) as connection:
        connection.execute("insert into orders values (501, '501', 'processing', ?, ?, 0, ?)", [at, at, sold])
    if older_version_counts:
        shop.execute(f"insert into marts.fct_orders values ('{STORE}:501', '{STORE}', 'processing')")
    plan = plan_stock(shop.settings, STORE)
    assert (plan.late_orders, [one.target for one in plan.changes]) == (0, [10])
    refused = {"system": "woocommerce", "instance_id": STORE, "table_name": "orders", "now": NOW}
    rejection = quarantine.Rejection("501", "total", "x", "is not an amount", "page 1", b"{}")
    quarantine.record(shop.operations, rejections=[rejection], **refused)  # pyright: ignore[reportArgumentType]
    plan = plan_stock(shop.settings, STORE)
    assert (plan.late_orders, [one.target for one in plan.changes]) == (1, [8])
    quarantine.record(shop.operations, rejections=[replace(rejection, record_key=None, payload=b"[")], **refused)  # pyright: ignore[reportArgumentType]
    with pytest.raises(StockError, match="has no id that can be read"):
        plan_stock(shop.settings, STORE)


def test_a_run_that_would_change_too_much_sends_nothing(shop: Shop) -> None:
    """An empty export of the ERP set half a catalogue to nothing."""
    before = shop.shows(BOARD)
    for sku in (BOARD, THROW, CANDLE):
        shop.article(sku, "3")
    tight = shop.limited(shop.settings, Stock(warehouses=("Stores - CP",), max_changes_per_run=2))  # pyright: ignore[reportCallIssue]
    with pytest.raises(TooManyChangesError, match=r"3 of 3 articles of cedar_us .* --allow-large"):
        shop.push(settings=tight)
    assert (shop.shows(BOARD), shop.states()) == (before, {})
    assert shop.push(settings=tight, allow_large=True).ok
    assert shop.shows(BOARD) == 3


def test_the_command_writes_for_a_person_on_the_store_that_was_anchored(shop: Shop) -> None:
    """A shared account wrote stock in nobody's name, and an older copy of the store ended in a stack trace."""
    shop.article(BOARD, "3")
    console = Console(quiet=True)

    def with_operations(**values: Any) -> Settings:
        changed = shop.settings.configuration.model_copy(update={"operations": Operations.model_validate(values)})
        return replace(shop.settings, configuration=changed)

    with pytest.raises(CommandError, match="say who you are with RETAIL_ACTOR"):
        pushed(with_operations(shared_accounts=[shop.settings.actor]), STORE, console, allow_large=False)
    with writing(shop.operations) as connection:
        audit.append(connection, at=NOW, actor="ada", action="approve", subject="x", details={})
    audit.write_anchor(shop.operations, shop.settings.audit_anchor_path, now=NOW)
    older = with_operations(url=f"sqlite:///{shop.home / 'older.sqlite'}")
    with pytest.raises(CommandError, match="older copy"):
        pushed(older, STORE, console, allow_large=False)
    assert shop.states() == {}


def test_a_share_beyond_the_limit_is_held_from_eleven_changes_on(shop: Shop) -> None:
    """A quarter of a catalogue of eight is two articles: every ordinary day would have been held."""
    skus = [BOARD, THROW, CANDLE, MUG, "CP-MUG-2", "CP-MUG-3", "CP-SKILLET", "CP-MATCH", "CP-SHIRT-1", "CP-SHIRT-2"]
    for sku in skus:
        shop.article(sku, "3")
    limits = shop.settings.configuration.stores[0].stock
    assert limits is not None
    assert plan_stock(shop.settings, STORE).refusal(limits) is None
    shop.article("CP-SHIRT-3", "3")
    refusal = plan_stock(shop.settings, STORE).refusal(limits)
    assert refusal is not None
    assert "11 of 11 articles of cedar_us (100 %) would change, but stock.max_change_percent is 25" in refusal


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("delete from marts.rec_inventory", "no article of cedar_us is in both"),
        ("update marts.rec_inventory set on_hand_quantity = 0", "the ERP has nothing of any article"),
        ("update marts.mon_ingestion_latency set loaded_at = '2026-11-04 11:00'", "last loaded at 2026-11-04 11:00"),
        ("insert into marts.rec_inventory select * from marts.rec_inventory", "occurs more than once"),
    ],
)  # fmt: skip
def test_unsound_marts_are_no_ground_to_write_on(shop: Shop, change: str, message: str) -> None:
    """A failed load of the ERP's stock sold the shop out."""
    shop.article(BOARD, "3")
    shop.execute(change)
    with pytest.raises(StockError, match=message):
        shop.push()
    assert shop.states() == {}


def test_the_asset_writes_and_its_check_gates(shop: Shop) -> None:
    """The job posted past its gate, or a failed write looked like a good one in Dagster."""
    definitions = inventory_definitions(shop.settings)
    shop.article(BOARD, "3")
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def(keys.stock_job_name(STORE))
        done = job.execute_in_process(instance=instance)
        (event,) = done.get_asset_materialization_events()
        assert (event.materialization.metadata["written"].value, shop.shows(BOARD)) == (1, 3)
        shop.execute("update marts.rec_inventory set on_hand_quantity = 0")
        failed = job.execute_in_process(instance=instance, raise_on_error=False)
    assert (failed.success, shop.shows(BOARD)) == (False, 3)


@pytest.mark.parametrize("was_done", [True, False])
def test_a_run_that_died_between_sending_and_noting_is_settled_by_the_next(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, was_done: bool
) -> None:
    """A write stayed open for ever, or was added a second time."""
    shop.article(BOARD, "3")

    class Killed(BaseException):
        pass

    def dies(client: StoreClient, path: str, quantities: Any) -> Any:
        if was_done:
            woo_stock.set_stock(client, path, quantities)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("retail_assets.defs.inventory.pushing.set_stock", dies)
        with pytest.raises(Killed):
            shop.push()
    assert shop.states() == {f"run1 {BOARD}": "sent"}
    result = shop.push(run_id="run2")
    expected = (
        {f"run1 {BOARD}": "confirmed"} if was_done else {f"run1 {BOARD}": "differs", f"run2 {BOARD}": "confirmed"}
    )
    assert (shop.states(), len(result.resumed), shop.shows(BOARD)) == (expected, 1, 3)


@pytest.mark.parametrize("was_done", [True, False])
def test_an_answer_that_is_lost_is_decided_by_what_the_store_shows(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, was_done: bool
) -> None:
    """A time-out after the commit was taken for a failure, or one before it for done."""
    shop.article(BOARD, "3")

    def lost(client: StoreClient, path: str, quantities: Any) -> Any:
        if was_done:
            woo_stock.set_stock(client, path, quantities)
        raise HttpError("no answer from POST products/batch: TimeoutError")

    monkeypatch.setattr("retail_assets.defs.inventory.pushing.set_stock", lost)
    result = shop.push()
    assert shop.states() == {f"run1 {BOARD}": "confirmed" if was_done else "refused"}
    assert result.ok is was_done


def test_the_simulated_store_takes_batches_as_a_real_one(shop: Shop) -> None:
    """More than a hundred items, a variation in the wrong list, and a product without stock, which says nothing."""
    client = StoreClient(next(one for one in shop.settings.configuration.stores if one.id == STORE))
    _, mug, parent, _ = shop.record(MUG)
    with pytest.raises(HttpError, match="HTTP 413"):
        set_stock(client, "products", {Article(number): 1 for number in range(1, 102)})
    assert set_stock(client, "products", {Article(mug): 1}) == {
        Article(mug): "woocommerce_rest_product_invalid_id: Invalid ID."
    }
    assert set_stock(client, f"products/{parent}/variations", {Article(parent, mug): 1}) == {}
    assert set_stock(client, "products", {Article(parent): 9}) == {}
    assert read_stock(client, [Article(parent, mug), Article(parent)]) == {
        Article(parent, mug): woo_stock.Shown(True, Decimal(1)),
        Article(parent): woo_stock.Shown(False, None),
    }
    client.close()


def test_articles_are_asked_for_by_hundreds_and_by_parent() -> None:
    """The hundred-and-first article of a parent was refused with all others."""
    articles = [Article(number) for number in range(1, 102)] + [Article(7, 1001), Article(8, 1002), Article(7, 1000)]
    found = [(path, len(some)) for path, some in woo_stock.batches(articles)]
    assert found == [
        ("products", 100),
        ("products", 1),
        ("products/7/variations", 2),
        ("products/8/variations", 1),
    ]
