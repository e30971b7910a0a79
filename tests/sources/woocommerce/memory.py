"""The source over a warehouse in memory: many loads in a second, by the rules that dlt and DuckDB follow otherwise."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from retail_assets.contracts import table
from retail_assets.settings import Store
from retail_assets.sources.intake import PORTION, Counts, Intake
from retail_assets.sources.woocommerce import source as source_module
from retail_assets.sources.woocommerce.client import StoreClient
from retail_assets.sources.woocommerce.known import ControlTotals, Known, KnownOrder, LastSweep

Row = dict[str, Any]


@dataclass
class MemoryWarehouse:
    """Raw tables by key, and each resource's state; a load is applied as a whole."""

    tables: dict[str, dict[tuple[Any, ...], Row]] = field(default_factory=dict)
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    now: datetime = datetime(2026, 12, 1, tzinfo=UTC)
    requests: list[int] = field(default_factory=list)

    def rows(self, name: str) -> list[Row]:
        return list(self.tables.get(name, {}).values())

    def is_gone(self, resource: str, row: Row) -> bool:
        """Whether a record has a tombstone that is not older than it."""
        tombstone = self.tables.get("deletions", {}).get((row["store_id"], resource, row["id"]))
        return bool(tombstone and tombstone["is_deleted"] and tombstone["_loaded_at"] >= row["_loaded_at"])

    def query(self, name: str, *columns: str) -> list[tuple[Any, ...]]:
        """Columns of a table's rows, in order."""
        return sorted(tuple(row[column] for column in columns) for row in self.rows(name))

    def load(
        self,
        store: Store,
        operations_url: str,
        after: timedelta = timedelta(hours=1),
        resources: Sequence[str] = ("orders", "refunds"),
        portion: int = PORTION,
        portions: int | None = None,
    ) -> Mapping[str, Counts]:
        """Load the resources once; they take turns, as they do in dlt.

        Args:
            after: since the load before.
            portion: how many records make a portion full.
            portions: after so many the process is killed.
        """
        self.now += after
        intake = Intake("woocommerce", store.id, self.now, operations_url, portion=portion)
        waiting = set(resources)
        while waiting and portions != 0:
            self._load(store, intake, [name for name in resources if name in waiting])
            waiting = intake.begin_portion()
            portions = None if portions is None else portions - 1
        intake.close()
        return intake.counts

    def _load(self, store: Store, intake: Intake, resources: Sequence[str]) -> None:
        client = StoreClient(store)
        load = source_module._Load(store, client, intake)
        load.__dict__["known"] = MemoryKnown(store.id, warehouse=self)
        states: dict[str, dict[str, Any]] = json.loads(json.dumps(self.states))
        running: list[tuple[str, Iterator[Any]]] = [
            (name, getattr(source_module, f"_{name}")(load)) for name in resources
        ]
        items: list[Any] = []
        current = ""

        def resource_state(name: str | None = None) -> dict[str, Any]:
            return states.setdefault(name or current, {})

        with patch.object(source_module.dlt.current, "resource_state", resource_state):
            while running:
                current, rows = running.pop(0)
                try:
                    items.append(next(rows))
                    running.append((current, rows))
                except StopIteration:
                    continue
        client.close()
        self._apply(items)
        self.states = states
        self.requests.append(client.requests)

    def _apply(self, items: list[Any]) -> None:
        seen: dict[tuple[Any, ...], Any] = {}
        for item in items:
            contract = table("woocommerce", item.meta.hints["table_name"])
            rows = item.data.to_pylist()
            held = self.tables.setdefault(contract.name, {})
            if contract.parent_key:
                parents = {tuple(row[name] for name in contract.parent_key) for row in rows}
                for key in [key for key, row in held.items() if tuple(row[n] for n in contract.parent_key) in parents]:
                    del held[key]
            for row in rows:
                if row.get("_deleted"):
                    continue
                key = tuple(row[name] for name in contract.primary_key)
                version = row.get("_payload_sha256")
                # Which of two versions stays is dlt's to choose: one load must bring one.
                assert seen.setdefault((contract.name, *key), version) == version, f"two versions of {key}"
                held[key] = row


@dataclass
class MemoryKnown(Known):
    """What the warehouse in memory holds."""

    warehouse: MemoryWarehouse = field(default_factory=MemoryWarehouse)

    def connected(self) -> Any:
        return patch.dict({}, {})  # nothing to open

    def orders_between(self, above: int, up_to: int) -> Mapping[int, KnownOrder]:
        alive: dict[int, set[int]] = {}
        gone: dict[int, set[int]] = {}
        for refund in self.warehouse.rows("refunds"):
            group = gone if self.warehouse.is_gone("refunds", refund) else alive
            group.setdefault(refund["parent_id"], set()).add(refund["id"])
        return {
            row["id"]: KnownOrder(
                row["status"],
                row["date_modified_gmt"],
                row["total"],
                row["_payload_sha256"],
                self.warehouse.is_gone("orders", row),
                frozenset(alive.get(row["id"], ())),
                frozenset(gone.get(row["id"], ())),
            )
            for row in self.warehouse.rows("orders")
            if above < row["id"] <= up_to
        }

    def last_sweep(self, now: datetime, *, listings: bool = True) -> LastSweep | None:
        sweeps = [
            row
            for row in self.warehouse.rows("order_sweeps")
            if row["swept_at"] <= now and row["is_complete"] and (listings or row["kind"] != "listing")
        ]
        if not sweeps:
            return None
        newest = max(sweeps, key=lambda row: row["swept_at"])
        return LastSweep(newest["swept_at"], newest["storage"], newest["orders_unreadable"])

    def control_totals(self, resource: str) -> ControlTotals:
        rows = [row for row in self.warehouse.rows(resource) if not self.warehouse.is_gone(resource, row)]
        newest = max((row["date_created_gmt"] for row in rows), default=None)
        return (
            ControlTotals(sum(row["date_created_gmt"] < newest for row in rows), newest)
            if newest
            else ControlTotals(0, None)
        )

    def orphans(self) -> Mapping[int, frozenset[int]]:
        orders = {row["id"] for row in self.warehouse.rows("orders")}
        return {
            row["parent_id"]: frozenset(
                one["id"] for one in self.warehouse.rows("refunds") if one["parent_id"] == row["parent_id"]
            )
            for row in self.warehouse.rows("refunds")
            if row["parent_id"] not in orders and not self.warehouse.is_gone("refunds", row)
        }

    def ids(self, resource: str) -> Sequence[int]:
        return sorted(row["id"] for row in self.warehouse.rows(resource) if not self.warehouse.is_gone(resource, row))

    def fulfillments(self) -> Mapping[int, frozenset[int]]:
        found: dict[int, set[int]] = {}
        for row in self.warehouse.rows("order_fulfillments"):
            found.setdefault(row["order_id"], set()).add(row["id"])
        return {order_id: frozenset(ids) for order_id, ids in found.items()}
