"""Bad data on demand: a broken bank file, or an order with an impossible amount, as they come in real life."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from retail_assets.sandbox.catalogue import gmt_text, local_text
from retail_assets.sandbox.generator import read_world
from retail_assets.sandbox.profiles import BANKS, STORES
from retail_assets.sandbox.storage import change_state, encode
from retail_assets.sandbox.woo_webhooks import change_webhooks

_BROKEN: Final = "_broken"
_PLANTED_FILE: Final = "planted_faults.json"

#: Amounts that no order can have: a comma, a negative total, more digits than any ledger holds.
IMPOSSIBLE_AMOUNTS: Final = ("12,50", "-5.00", "1e30")


def corrupt_bank_file(home: Path, bank_id: str) -> Path:
    """Add a statement to a bank's folder that breaks off in the middle of an entry.

    It is a copy of the newest statement under a later name, so that no good statement is lost.

    Returns:
        The broken file.

    Raises:
        ValueError: there is no such bank.
        FileNotFoundError: the bank has no statements to copy.
    """
    if bank_id not in BANKS:
        raise ValueError(f"no bank {bank_id!r}; there are {', '.join(BANKS)}")
    folder = home / "inbox" / bank_id
    found = sorted(folder.glob(f"{bank_id}_*.xml"))
    good = [path for path in found if _BROKEN not in path.stem]
    if not good:
        raise FileNotFoundError(f"no statements in {folder}; generate the simulated retailer first")
    content = good[-1].read_bytes()
    broken = folder / f"{good[-1].stem}{_BROKEN}{len(found) - len(good) + 1}.xml"
    temporary = folder / f".{broken.name}.part"
    temporary.write_bytes(content[: len(content) * 2 // 3])
    temporary.replace(broken)
    _note(home, {"what": f"broken bank file {broken.name}"})
    return broken


def impossible_order(home: Path, store_id: str, total: str = IMPOSSIBLE_AMOUNTS[0]) -> int:
    """Add an unpaid order to a store whose total is no possible amount; a running server shows it at once.

    Args:
        home: RETAIL_HOME with a generated world.
        store_id: the store.
        total: what stands in the order's total, for example ``12,50``.

    Returns:
        The order's id.

    Raises:
        ValueError: there is no such store.
        FileNotFoundError: no world was generated.
    """
    with _store(home, store_id) as (connection, changed):
        last = connection.execute("select * from orders order by id desc limit 1").fetchone()
        (last_refund,) = connection.execute("select coalesce(max(id), 0) from refunds").fetchone()
        order_id = max(last["id"], last_refund) + 1
        body = json.loads(last["body"].replace(f"/orders/{last['id']}", f"/orders/{order_id}"), parse_float=Decimal)
        good_total = body["total"]
        body |= {
            "id": order_id, "number": f"{order_id}-X", "status": "pending", "total": total, "transaction_id": "",
            "order_key": f"wc_order_impossible{order_id}", "refunds": [], "meta_data": [], "date_paid": None,
            "date_paid_gmt": None, "date_completed": None, "date_completed_gmt": None, **_modified(store_id, changed),
        }  # fmt: skip
        connection.execute(
            "insert into orders values (?, ?, 'pending', ?, ?, ?, ?)",
            (order_id, body["number"], last["created"], int(changed.timestamp()), last["customer"], encode(body)),
        )
    key = f"{store_id}:{order_id}"
    _note(home, {"what": f"order {key} with total {total}", "order_key": key, "good_total": good_total})
    return order_id


def disabled_webhooks(home: Path, store_id: str) -> int:
    """Switch all webhooks of a store off, as WooCommerce does after some failures; returns how many.

    Raises:
        ValueError: there is no such store.
        FileNotFoundError: no world was generated.
    """
    with _store(home, store_id) as (connection, _):
        return len(change_webhooks(connection, store_id, "disabled"))


def mend_order(home: Path, store_id: str, order_id: int) -> None:
    """Give an order that ``impossible_order`` added the total it should have, as if somebody had corrected it.

    Raises:
        ValueError: there is no such store, or the order was not planted.
        FileNotFoundError: no world was generated.
    """
    planted = planted_faults(home)
    fault = next((one for one in planted if one.get("order_key") == f"{store_id}:{order_id}"), None)
    if fault is None:
        raise ValueError(f"{store_id}:{order_id} is no impossible order")
    with _store(home, store_id) as (connection, changed):
        row = connection.execute("select body from orders where id = ?", (order_id,)).fetchone()
        body = json.loads(row["body"], parse_float=Decimal)
        # A second later than it was planted, as a loader that has seen it asks only for what is newer.
        later = changed + timedelta(seconds=1)
        body |= {"total": fault["good_total"], **_modified(store_id, later)}
        connection.execute(
            "update orders set body = ?, modified = ? where id = ?", (encode(body), int(later.timestamp()), order_id)
        )
    _write_notes(home, [one for one in planted if one is not fault])


def planted_faults(home: Path) -> list[dict[str, str]]:
    """The bad data planted so far and not mended, each with ``what`` it is; a new world starts without any."""
    path = home / "sandbox" / _PLANTED_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


@contextmanager
def _store(home: Path, store_id: str) -> Iterator[tuple[sqlite3.Connection, datetime]]:
    """The state of a store for changing, and the moment at which the change happens: the end of the simulated time."""
    if store_id not in STORES:
        raise ValueError(f"no store {store_id!r}; there are {', '.join(STORES)}")
    world = read_world(home)
    if world is None:
        raise FileNotFoundError(f"there is no simulated retailer in {home}; run `retail sandbox generate` first")
    with change_state(home / "sandbox" / f"{store_id}.sqlite") as connection:
        yield connection, datetime.fromisoformat(world.as_of)


def _modified(store_id: str, moment: datetime) -> dict[str, str]:
    zone = ZoneInfo(STORES[store_id].zone)
    return {"date_modified": local_text(moment, zone), "date_modified_gmt": gmt_text(moment)}


def _note(home: Path, fault: dict[str, str]) -> None:
    _write_notes(home, [*planted_faults(home), fault])


def _write_notes(home: Path, faults: list[dict[str, str]]) -> None:
    path = home / "sandbox" / _PLANTED_FILE
    path.write_text(json.dumps(faults, indent=2) + "\n", encoding="utf-8")
