"""Changes in the simulated store leave the traces measured on a real one, and the loader follows all of them."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from starlette.requests import Request

from retail_assets.sandbox.profiles import STORES
from retail_assets.sandbox.woo_changes import NoSuchOrderError, Shop, Storage
from retail_assets.sandbox.woocommerce import create_app
from retail_assets.sources.woocommerce import walk as walk_module
from retail_assets.sources.woocommerce.client import StoreClient
from tests.sandbox.conftest import State
from tests.sources.woocommerce.memory import MemoryWarehouse
from tests.sources.woocommerce.store import KEY, SECRET, settings_for
from tests.support.server import running

STORE = STORES["cedar_us"]
LATER = datetime(2026, 11, 6, 9, 0, tzinfo=UTC)


@pytest.fixture
def state(world_home: Path, tmp_path: Path) -> Path:
    """A store's state of its own."""
    return Path(shutil.copy(world_home / "sandbox" / "cedar_us.sqlite", tmp_path / "cedar_us.sqlite"))


def refunded_order(world: State) -> int:
    ((order_id,),) = world.table(
        "cedar_us",
        "select parent_id from refunds join orders on orders.id = parent_id where status <> 'trash' limit 1",
    )
    return order_id


@pytest.mark.parametrize("storage", ["hpos", "legacy"])
@pytest.mark.parametrize(
    ("change", "moves_on"),
    [
        (lambda shop, one: shop.set_status(one, "completed", LATER), {"hpos", "legacy"}),
        (lambda shop, one: shop.edit(one, {"total": "1.00"}, LATER), {"hpos"}),
        (lambda shop, one: shop.note(one, "_stripe_fee", "1.23", LATER), {"hpos"}),
        (lambda shop, one: shop.refund(one, "1.00", LATER), {"hpos", "legacy"}),
        (lambda shop, one: shop.trash(one, LATER), {"hpos", "legacy"}),
        (lambda shop, one: shop.use_gift_card(one, 4, "AAAA", "5.00", LATER), {"hpos", "legacy"}),
    ],
    ids=["status", "edit", "meta", "refund", "trash", "gift card"],
)
def test_what_moves_the_modification_date(
    state: Path, world: State, storage: Storage, change: Callable[[Shop, int], Any], moves_on: set[str]
) -> None:
    """A loader that was only tried where every edit moves the date misses half of them on an old shop."""
    order_id = refunded_order(world)
    shop = Shop(state, STORE, storage)
    with running(create_app(state, STORE, KEY, SECRET, storage=storage)) as url:
        client = StoreClient(settings_for(url))
        assert client.storage() == storage
        change(shop, order_id)
        since = {"modified_after": "2026-11-06T08:59:59", "dates_are_gmt": "true", "status": "any"}
        moved = [
            order["id"]
            for status in ("any", "trash")
            for order in whole_list(client, "orders", {**since, "status": status})
        ]
        client.close()
    assert (order_id in moved) == (storage in moves_on)


def test_refunds_go_to_the_trash_with_their_order_on_the_old_storage(state: Path, world: State) -> None:
    """There they vanish from every list, and a restore by REST does not bring them back."""
    order_id = refunded_order(world)
    shop = Shop(state, STORE, "legacy")
    with running(create_app(state, STORE, KEY, SECRET, storage="legacy")) as url:
        client = StoreClient(settings_for(url))

        def refunds() -> tuple[int, int]:
            of_order = client.get(f"orders/{order_id}").json()["refunds"]
            return len(of_order), client.count("refunds") or 0

        number, everything = refunds()
        shop.trash(order_id, LATER)
        assert "_was" not in client.get(f"orders/{order_id}").json()
        assert refunds() == (0, everything - number)
        shop.restore(order_id, LATER)
        assert refunds() == (0, everything - number)
        shop.trash(order_id, LATER)
        shop.restore(order_id, LATER, in_admin=True)
        assert refunds() == (number, everything)
        client.close()


def test_what_is_gone_is_gone(state: Path, world: State) -> None:
    """Deleting for good takes the refunds along and answers 404 with WooCommerce's own code."""
    order_id = refunded_order(world)
    shop = Shop(state, STORE)
    with running(create_app(state, STORE, KEY, SECRET)) as url:
        client = StoreClient(settings_for(url))
        before = client.count("refunds") or 0
        shop.delete(order_id)
        assert client.order(order_id) is None
        assert (client.count("refunds") or 0) < before
        client.close()
    with pytest.raises(NoSuchOrderError):
        shop.delete(order_id)
    with pytest.raises(NoSuchOrderError):
        shop.edit(order_id, {}, LATER)


@pytest.mark.parametrize("storage", ["hpos", "legacy"])
def test_the_loader_follows_a_restless_store(
    state: Path, world: State, tmp_path: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Edits, trash, deletions and refunds between the pages: one of them was lost, or vanished without a tombstone."""
    random, shop, now = Random(3), Shop(state, STORE, storage), LATER
    monkeypatch.setattr(walk_module, "_PAGE_SIZE", 20)
    monkeypatch.setattr(walk_module, "server_time", lambda _: now)
    orders = [order_id for (order_id,) in world.table("cedar_us", "select id from orders where status <> 'trash'")]
    calls, gone, taken_back = 0, set[int](), set[int]()

    def live() -> int:
        return orders.pop(random.randrange(len(orders)))

    def disturb(request: Request) -> None:
        nonlocal calls, now
        calls += 1
        if calls % 3 or calls > 60 or len(orders) < 20:
            return
        now += timedelta(seconds=random.choice((0, 40)))
        order_id = live()
        match calls % 5:
            case 0:
                shop.delete(order_id)
                gone.add(order_id)
            case 1:
                shop.trash(order_id, now)
            case 2:
                shop.edit(order_id, {"total": "77.77"}, now)
            case 3:
                shop.refund(order_id, "2.00", now)
            case _:
                taken_back.add(refund := shop.refund(order_id, "3.00", now))
                shop.delete_refund(order_id, refund)

    warehouse = MemoryWarehouse()
    operations = f"sqlite:///{tmp_path / 'operations.sqlite'}"
    with running(create_app(state, STORE, KEY, SECRET, storage=storage, before=disturb)) as url:
        configured = settings_for(url, parallel_requests=2)
        for _ in range(2):
            warehouse.load(configured, operations)
        calls = 1_000
        for _ in range(3):
            now += timedelta(hours=1)
            warehouse.load(configured, operations, timedelta(hours=25))
        client = StoreClient(configured)
        shown = {order["id"]: order for status in ("any", "trash") for order in whole(client, status)}
        refunds = {refund["id"] for refund in whole_list(client, "refunds", {})}
        client.close()
    held = {row["id"]: row for row in warehouse.rows("orders")}
    assert gone
    assert {number for number, row in held.items() if warehouse.is_gone("orders", row)} <= gone
    assert {number for number in held if number not in shown} == {
        number for number, row in held.items() if warehouse.is_gone("orders", row)
    }
    assert {number: order["total"] for number, order in shown.items()} == {
        number: f"{Decimal(held[number]['total']):.2f}" for number in shown
    }
    assert {number: order["status"] for number, order in shown.items()} == {n: held[n]["status"] for n in shown}
    alive = {row["id"]: row for row in warehouse.rows("refunds") if not warehouse.is_gone("refunds", row)}
    assert refunds <= alive.keys()
    extra = alive.keys() - refunds
    assert all(held[alive[number]["parent_id"]]["status"] == "trash" for number in extra)
    assert not extra or storage == "legacy"


def whole_list(client: StoreClient, path: str, params: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page = 1
    while records := client.get(path, {**params, "per_page": 100, "page": page}).json():
        found += records
        page += 1
    return found


def whole(client: StoreClient, status: str) -> list[dict[str, Any]]:
    return whole_list(client, "orders", {"status": status})


def test_shipments_are_shown(state: Path, world: State) -> None:
    """The route of WooCommerce's own fulfilments exists only where the shop has switched them on."""
    order_id = refunded_order(world)
    shop = Shop(state, STORE)
    with running(create_app(state, STORE, KEY, SECRET)) as url:
        client = StoreClient(settings_for(url))
        assert not client.has(f"orders/{order_id}/fulfillments")
        shop.fulfil(order_id, 7, {1: 2}, "1Z999", LATER)
        (shown,) = client.get(f"orders/{order_id}/fulfillments").json()
        assert shown["meta_data"][0]["value"] == [{"item_id": 1, "qty": 2}]
        order = client.get(f"orders/{order_id}").json()
        client.close()
    assert {"_fulfillment_status": "fulfilled"}.items() <= {m["key"]: m["value"] for m in order["meta_data"]}.items()
