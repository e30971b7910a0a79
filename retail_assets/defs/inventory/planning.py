"""What would be written into a store's stock: the marts' available-to-promise against what the store shows now."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

import duckdb
from sqlalchemy import Engine

from retail_assets.ops import quarantine
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings, Stock, Store
from retail_assets.sources.woocommerce.client import StoreClient
from retail_assets.sources.woocommerce.stock import Article, Shown, open_orders_among, open_orders_since, read_stock
from retail_assets.warehouse_file import opened

#: Stock that the ERP told longer ago than this is not written anywhere.
OLDEST: Final = timedelta(hours=24)
#: Clocks differ, and a change and its load may share a second.
_OVERLAP: Final = timedelta(minutes=5)
#: A run of so few changes is never too large a share.
_FEW: Final = 10
_ROWS: Final = """
    select
        product_id, coalesce(variation_id, 0) as variation_id, sku, inventory_status, on_hand_quantity,
        promised_quantity, safety_quantity, to_promise_quantity, store_quantity, erp_counted_at
    from marts.rec_inventory
    where store_id = ? and is_comparable
    order by sku, product_id
"""
_LOADED: Final = """
    select max(loaded_at) from marts.mon_ingestion_latency where instance_id = ? and resource = ?
"""
_OPEN_ORDERS: Final = (
    "select order_key from marts.fct_orders where store_id = ? and store_status in ('processing', 'on-hold')"
)


class StockError(Exception):
    """Nothing may be written into the store's stock; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Change:
    """One article that shows something else than may be promised."""

    article: Article
    sku: str
    shown: Decimal
    target: Decimal
    #: Of when the ERP's stock is that this follows from.
    counted_at: datetime


@dataclass(frozen=True, slots=True)
class _Known:
    """What the marts know of a store's orders.

    Attributes:
        read_at: when all that had changed was last read.
        counted: keys of the open orders whose pieces the marts take off.
        refused: ids of orders in quarantine: the marts lack them, or have them as they were before.
    """

    read_at: datetime
    counted: set[str]
    refused: set[int]


@dataclass(frozen=True, slots=True)
class StockPlan:
    """What a run would do in one store.

    Attributes:
        articles: how many articles can be compared.
        changes: what would be written.
        right: by SKU what the store shows rightly, and of when the ERP's stock is that this follows from.
        left: why an article is left alone although the marts see a difference: (SKU, reason).
        late_orders: how many orders that the marts do not know yet, or that are in quarantine, were taken off.
    """

    store_id: str
    articles: int
    changes: Sequence[Change]
    right: Mapping[str, tuple[Decimal, datetime]]
    left: Sequence[tuple[str, str]]
    late_orders: int

    def refusal(self, limits: Stock) -> str | None:
        """Why a run may not change so much at once; None if it may."""
        count = len(self.changes)
        share = Decimal(100) * count / self.articles if self.articles else Decimal(0)
        if count > limits.max_changes_per_run:
            limit = f"stock.max_changes_per_run is {limits.max_changes_per_run}"
        elif count > _FEW and share > limits.max_change_percent:
            limit = f"stock.max_change_percent is {limits.max_change_percent}"
        else:
            return None
        return (
            f"{count} of {self.articles} articles of {self.store_id} ({share:.0f} %) would change, but {limit}: "
            f"nothing was sent. Look at them with: retail stock plan {self.store_id}. If they are right, allow it "
            f"once with: retail stock push {self.store_id} --allow-large"
        )


def store_with_stock(settings: Settings, store_id: str) -> tuple[Store, Stock]:
    """A store and its stock block.

    Raises:
        StockError: there is no such store, or it has no stock block.
    """
    stores = {store.id: store for store in settings.configuration.stores}
    if store_id not in stores:
        raise StockError(f"there is no store {store_id!r}; known are {', '.join(sorted(stores))}")
    store = stores[store_id]
    if store.stock is None:
        raise StockError(
            f"store {store_id} has no stock block in {settings.config_path}: name its warehouses there, for example "
            "stock: {warehouses: [Stores - CP]}; docs/inventory.md tells more"
        )
    return store, store.stock


def stock_problems(connection: duckdb.DuckDBPyConnection, settings: Settings, store: Store) -> list[str]:
    """Why the marts are no ground to write a store's stock on, in words; empty when they are."""
    problems = []
    rows = connection.execute(_ROWS, [store.id]).fetchall()
    if not rows:
        problems.append(
            f"no article of {store.id} is in both the store and its warehouses under one SKU: compare "
            "stock.warehouses with the ERP's names, and the SKUs (marts.rec_inventory says why for each)"
        )
    if rows and not any(row[4] for row in rows):
        problems.append(
            f"the ERP has nothing of any article of {store.id}: that is a fault of its data or of stock.warehouses "
            "sooner than an empty warehouse; put it right, or take the store's stock block out"
        )
    doubled = connection.execute(
        "select inventory_key from marts.rec_inventory where store_id = ? group by inventory_key having count(*) > 1",
        [store.id],
    ).fetchall()
    problems += [f"article {key} occurs more than once in marts.rec_inventory" for (key,) in doubled]
    erp = settings.configuration.entity(store.entity).erp
    loaded_at = _loaded_at(connection, erp, "stock_levels")
    if loaded_at is None:
        problems.append(f"the stock of {erp} was never loaded: start it with: retail run")
    elif settings.now() - loaded_at > OLDEST:
        problems.append(
            f"the stock of {erp} was last loaded at {loaded_at:%Y-%m-%d %H:%M} UTC: load it with: retail run"
        )
    return problems


def _loaded_at(connection: duckdb.DuckDBPyConnection, instance_id: str, resource: str) -> datetime | None:
    found = connection.execute(_LOADED, [instance_id, resource]).fetchall()[0][0]
    return found.replace(tzinfo=UTC) if found else None


def plan_stock(settings: Settings, store_id: str, *, also: Iterable[Article] = ()) -> StockPlan:
    """What may be promised of each article, against what the store shows at this moment.

    Orders that came after the marts' data are asked for at the store, and at every store that sells from the same
    warehouses, and taken off: what is written never gives back what was just sold. So are orders in quarantine, beside
    an older version of them that the marts may count: what is offered is then too little, not too much.

    Args:
        also: articles to look at whatever the marts say of them.

    Raises:
        StockError: the marts are no ground to write on.
        HttpError: a store does not answer, or refuses.
    """
    store, _ = store_with_stock(settings, store_id)
    with opened(settings.warehouse_path) as connection:
        problems = stock_problems(connection, settings, store)
        if problems:
            raise StockError("; ".join(problems))
        cursor = connection.execute(_ROWS, [store.id])
        names = [column[0] for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        operations = open_store(settings.operations_url)
        try:
            known = {one.id: _known_orders(connection, operations, one) for one in _sharing(settings, store)}
        finally:
            operations.dispose()
    taken, late_orders = _sold_since(settings, store, known)
    wanted, forced = {}, set(also)
    right: dict[str, tuple[Decimal, datetime]] = {}
    for row in rows:
        article = Article(row["product_id"], row["variation_id"])
        target = _target(row, taken.get(row["sku"], Decimal(0)))
        counted_at = row["erp_counted_at"].replace(tzinfo=UTC)
        if target != row["store_quantity"] or article in forced:
            wanted[article] = (row, target, counted_at)
        else:
            right[row["sku"]] = (target, counted_at)
    with closing(StoreClient(store)) as client:
        shown = read_stock(client, wanted)
    changes, left = [], []
    for article, (row, target, counted_at) in wanted.items():
        now = shown.get(article)
        reason = _left_alone(now)
        if now is None or now.quantity is None or reason:
            left.append((row["sku"], reason or "the store shows no quantity"))
        elif now.quantity == target:
            right[row["sku"]] = (target, counted_at)
        else:
            changes.append(Change(article, row["sku"], now.quantity, target, counted_at))
    return StockPlan(store.id, len(rows), changes, right, left, late_orders)


def _left_alone(shown: Shown | None) -> str | None:
    if shown is None:
        return "the store does not have it any more"
    return None if shown.is_managed else "the store does not track its stock (any more, or by its parent)"


def _target(row: Mapping[str, Any], taken: Decimal) -> Decimal:
    offered = row["on_hand_quantity"] - row["promised_quantity"] - row["safety_quantity"] - taken
    return max(offered.to_integral_value(ROUND_FLOOR), Decimal(0))


def _sharing(settings: Settings, store: Store) -> list[Store]:
    """The store itself, and the others that sell from one of its warehouses."""
    ours = set(store.stock.warehouses if store.stock else ())
    return [
        one
        for one in settings.configuration.stores
        if one.stock and one.entity == store.entity and ours.intersection(one.stock.warehouses)
    ]


def _known_orders(connection: duckdb.DuckDBPyConnection, operations: Engine, store: Store) -> _Known:
    read_at = _loaded_at(connection, store.id, "orders")
    if read_at is None:
        raise StockError(f"the orders of {store.id} were never loaded: start it with: retail run")
    counted = {key for (key,) in connection.execute(_OPEN_ORDERS, [store.id]).fetchall()}
    refused = set()
    for key in quarantine.open_keys(operations, store.id, "orders"):
        order_id = (key or "").rpartition("/")[2]
        if not order_id.isdecimal():
            raise StockError(
                f"an order of {store.id} in quarantine has no id that can be read, so nobody knows what it has sold: "
                "see it with: retail quarantine list"
            )
        refused.add(int(order_id))
    return _Known(read_at, counted, refused)


def _sold_since(settings: Settings, store: Store, known: Mapping[str, _Known]) -> tuple[dict[str, Decimal], int]:
    """Pieces by SKU of open orders that the marts do not count yet; and how many orders."""
    taken: dict[str, Decimal] = defaultdict(Decimal)
    count = 0
    for one in _sharing(settings, store):
        orders = known[one.id]
        with closing(StoreClient(one)) as client:
            late = {
                order.order_id: order
                for order in open_orders_since(client, orders.read_at - _OVERLAP)
                if f"{one.id}:{order.order_id}" not in orders.counted
            }
            late |= {order.order_id: order for order in open_orders_among(client, orders.refused)}
        count += len(late)
        for order in late.values():
            for sku, quantity in order.pieces:
                taken[sku] += quantity
    return taken, count
