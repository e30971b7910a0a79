"""What a store shows of the ERP's stock: what may be promised, but for a few articles that are planted otherwise."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

from retail_assets.sandbox.erp_seed import ShippedLine
from retail_assets.sandbox.plan import StockCase
from retail_assets.sandbox.storage import change_state, encode, open_state

#: Pieces of each article that are on the shelf beyond what is promised.
_FREE: Final = 100
_EACH: Final = 2
#: By so many pieces more than the ERP has is promised.
_TOO_MANY: Final = 2
#: By so many pieces a store shows too much where nobody has told it of the last movement.
_BEHIND: Final = 3


@dataclass(frozen=True, slots=True)
class Planted:
    """An article with a case; ``amount`` is what paid orders wait for of one that is oversold, as text.

    ``shown`` is what the store shows of it, while nobody has written its stock.
    """

    case: StockCase
    product_key: str
    amount: str
    shown: int


def written_since(sandbox: Path, planted: Mapping[str, int]) -> set[str]:
    """Articles of which a store shows another quantity than was planted: somebody has written its stock.

    Args:
        sandbox: the folder of the world.
        planted: article → what was planted.
    """
    found: set[str] = set()
    for key, shown in planted.items():
        store_id, _, article = key.partition(":")
        path = sandbox / f"{store_id}.sqlite"
        if not path.exists():
            continue  # Only the truth was kept: nobody can have written anything.
        with closing(open_state(path)) as state:
            (body,) = state.execute(
                "select body from documents where resource in ('products', 'variations') and id = ?", (article,)
            ).fetchone()
        if json.loads(body)["stock_quantity"] != shown:
            found.add(key)
    return found


class Shelf:
    """The articles of one store, from its finished state file.

    Args:
        state: the state file, whose articles are changed by ``show``.
        store_id: the store.
        reserved: pieces by SKU that the ERP has reserved.
        moved: SKU → last movement in the ERP; other articles are not in the ERP and stay as they are.
        settled: a movement before this moment should be shown by now.
        rng: chooses the articles that are planted; None plants none.
    """

    def __init__(
        self, state: Path, store_id: str, *, reserved: Mapping[str, int], moved: Mapping[str, datetime],
        settled: datetime, rng: Random | None,
    ) -> None:  # fmt: skip
        self._state, self._store_id, self._moved = state, store_id, moved
        self._waiting: dict[str, Decimal] = {}
        open_orders = self._open()
        self._taken = {sku: max(open_orders.get(sku, 0), reserved.get(sku, 0)) for sku in moved}
        self._oversold: list[str] = []
        self._late: list[str] = []
        if rng:
            self._oversold = _chosen([sku for sku in sorted(moved) if self._taken[sku] >= _TOO_MANY], rng)
            seen = [sku for sku in sorted(moved) if moved[sku] < settled and sku not in self._oversold]
            self._late = _chosen(seen, rng)

    @property
    def on_hand(self) -> dict[str, int]:
        """Pieces in the ERP by SKU, promised ones included."""
        return {
            sku: taken - _TOO_MANY if sku in self._oversold else taken + _FREE for sku, taken in self._taken.items()
        }

    def show(self) -> list[Planted]:
        """Write into the store what it shows; returns what is planted, by article."""
        planted: list[Planted] = []
        with change_state(self._state) as connection:
            rows = connection.execute(
                "select resource, id, body from documents where resource in ('products', 'variations') order by id"
            ).fetchall()
            for row in rows:
                body: dict[str, Any] = json.loads(row["body"], parse_float=Decimal)
                sku, key = body["sku"], f"{self._store_id}:{row['id']}"
                if sku not in self._moved or body["type"] == "variable":
                    continue
                body["stock_quantity"] = 0 if sku in self._oversold else _FREE + _BEHIND * (sku in self._late)
                body["stock_status"] = "instock" if body["stock_quantity"] else "outofstock"
                connection.execute(
                    "update documents set body = ? where resource = ? and id = ?",
                    (encode(body), row["resource"], row["id"]),
                )
                case, amount = None, Decimal(0)
                if sku in self._oversold:
                    case, amount = StockCase.OVERSOLD, self._waiting.get(sku, amount)
                elif sku in self._late:
                    case = StockCase.DELAY
                if case:
                    planted.append(Planted(case, key, f"{amount:.2f}", body["stock_quantity"]))
        return planted

    def _open(self) -> dict[str, int]:
        """Pieces by SKU that open orders wait for, less what was refunded of them."""
        found: dict[str, int] = {}
        with change_state(self._state) as connection:
            orders = "select id, status, body from orders where status in ('processing', 'on-hold')"
            refunds = (
                "select body from refunds where parent_id in (select id from orders where status = ? or status = ?)"
            )
            for row in connection.execute(orders):
                for line in _lines(row["body"]):
                    found[line["sku"]] = found.get(line["sku"], 0) + line["quantity"]
                    if row["status"] == "processing":
                        waiting = self._waiting.get(line["sku"], Decimal(0))
                        self._waiting[line["sku"]] = waiting + Decimal(line["total"])
            for row in connection.execute(refunds, ("processing", "on-hold")):
                for line in _lines(row["body"]):
                    found[line["sku"]] = found.get(line["sku"], 0) + line["quantity"]
        return found


def last_movements(shipped: Iterable[ShippedLine]) -> dict[str, datetime]:
    """SKU → when it last left or came back."""
    found: dict[str, datetime] = {}
    for line in shipped:
        at = line.shipped_at.replace(tzinfo=UTC)
        found[line.sku] = max(at, found.get(line.sku, at))
    return found


def _chosen(skus: list[str], rng: Random) -> list[str]:
    return rng.sample(skus, min(_EACH, len(skus)))


def _lines(body: str) -> Iterator[dict[str, Any]]:
    yield from json.loads(body, parse_float=Decimal)["line_items"]
