"""Bad data on demand: a broken bank file, or an order with an impossible amount, as they come in real life."""

import json
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from retail_assets.sandbox.catalogue import gmt_text, local_text
from retail_assets.sandbox.generator import read_world
from retail_assets.sandbox.profiles import BANKS, STORES
from retail_assets.sandbox.storage import change_state

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
    good = sorted(folder.glob(f"{bank_id}_*.xml"))
    if not good:
        raise FileNotFoundError(f"no statements in {folder}; generate the simulated retailer first")
    content = good[-1].read_bytes()
    broken = folder / f"{good[-1].stem}_broken.xml"
    temporary = folder / f".{broken.name}.part"
    temporary.write_bytes(content[: len(content) * 2 // 3])
    temporary.replace(broken)
    _note(home, f"broken bank file {broken.name}")
    return broken


def impossible_order(home: Path, store_id: str, total: str = IMPOSSIBLE_AMOUNTS[0]) -> int:
    """Add an order to a store whose total is no possible amount; a running server shows it at once.

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
    if store_id not in STORES:
        raise ValueError(f"no store {store_id!r}; there are {', '.join(STORES)}")
    world = read_world(home)
    if world is None:
        raise FileNotFoundError(f"there is no simulated retailer in {home}; run `retail sandbox generate` first")
    changed = datetime.fromisoformat(world.as_of)
    with change_state(home / "sandbox" / f"{store_id}.sqlite") as connection:
        last = connection.execute("select * from orders order by id desc limit 1").fetchone()
        (last_refund,) = connection.execute("select coalesce(max(id), 0) from refunds").fetchone()
        order_id = max(last["id"], last_refund) + 1
        body = json.loads(last["body"].replace(f"/orders/{last['id']}", f"/orders/{order_id}"))
        body |= {
            "id": order_id, "number": f"{order_id}-bad", "status": "processing", "total": total, "transaction_id": "",
            "order_key": f"wc_order_impossible{order_id}", "refunds": [], "meta_data": [],
            "date_modified": local_text(changed, ZoneInfo(STORES[store_id].zone)),
            "date_modified_gmt": gmt_text(changed),
        }  # fmt: skip
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        connection.execute(
            "insert into orders values (?, ?, 'processing', ?, ?, ?, ?)",
            (order_id, body["number"], last["created"], int(changed.timestamp()), last["customer"], content),
        )
    _note(home, f"order {store_id}:{order_id} with total {total}")
    return order_id


def planted_faults(home: Path) -> list[dict[str, str]]:
    """The bad data planted so far, each with ``what`` it is; a new world starts without any."""
    path = home / "sandbox" / _PLANTED_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def _note(home: Path, what: str) -> None:
    path = home / "sandbox" / _PLANTED_FILE
    found = [*planted_faults(home), {"what": what}]
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
