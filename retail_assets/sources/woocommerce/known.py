"""What the warehouse holds of a store, for comparison with what the store shows.

The warehouse itself is asked, not a memory of our own: it is what must equal the store, a million orders need no state
beside it, and state that is lost or restored cannot disagree with it. Rows come in ranges of ids, so that no more than
a page's worth is held at a time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import dlt
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.destinations.sql_client import SqlClientBase


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """An order as last loaded; ``refunds`` are the ids of its refunds that are not known to be gone."""

    status: str
    modified: datetime | None
    total: Decimal
    payload_sha256: str
    is_deleted: bool
    refunds: frozenset[int] = frozenset()
    deleted_refunds: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class LastSweep:
    """When the last sweep that was recorded took place, and how many listed orders it could not load."""

    swept_at: datetime
    storage: str
    unreadable: int


@dataclass(frozen=True, slots=True)
class ControlTotals:
    """How many records created before ``newest`` are held: what the store must count as well."""

    count: int
    newest: datetime | None


# A tombstone holds unless the record was loaded again after it: a restored backup brings ids back.
_ORDERS = """
select
    orders.id, orders.status, orders.date_modified_gmt, orders.total, orders._payload_sha256,
    coalesce(gone.is_deleted and gone._loaded_at >= orders._loaded_at, false)
from {orders} as orders
left join {deletions} as gone
    on gone.store_id = orders.store_id and gone.resource = 'orders' and gone.id = orders.id
where orders.store_id = %s and orders.id > %s and orders.id <= %s
"""
_REFUNDS = """
select
    refunds.id, refunds.parent_id, coalesce(gone.is_deleted and gone._loaded_at >= refunds._loaded_at, false)
from {refunds} as refunds
left join {deletions} as gone
    on gone.store_id = refunds.store_id and gone.resource = 'refunds' and gone.id = refunds.id
where refunds.store_id = %s and refunds.parent_id > %s and refunds.parent_id <= %s
"""
_ORPHANS = """
select refunds.id, refunds.parent_id
from {refunds} as refunds
left join {orders} as orders on orders.store_id = refunds.store_id and orders.id = refunds.parent_id
left join {deletions} as gone
    on gone.store_id = refunds.store_id and gone.resource = 'refunds' and gone.id = refunds.id
    and gone.is_deleted and gone._loaded_at >= refunds._loaded_at
where refunds.store_id = %s and orders.id is null and gone.id is null
"""
_SWEEP = """
select swept_at, storage, orders_unreadable
from {order_sweeps}
where store_id = %s and swept_at <= %s and is_complete and (kind <> 'listing' or %s)
order by swept_at desc
limit 1
"""
_TOTALS = """
with alive as (
    select records.date_created_gmt as created
    from {table} as records
    left join {deletions} as gone
        on gone.store_id = records.store_id and gone.resource = %s and gone.id = records.id
        and gone.is_deleted and gone._loaded_at >= records._loaded_at
    where records.store_id = %s and gone.id is null
),

newest as (
    select max(created) as created from alive
)

select (select count(*) from alive where alive.created < newest.created), newest.created from newest
"""
_ALIVE = """
select records.id
from {table} as records
left join {deletions} as gone
    on gone.store_id = records.store_id and gone.resource = %s and gone.id = records.id
    and gone.is_deleted and gone._loaded_at >= records._loaded_at
where records.store_id = %s and gone.id is null
order by records.id
"""
_FULFILLMENTS = "select id, order_id from {order_fulfillments} where store_id = %s and date_deleted is null"


@dataclass
class Known:
    """The warehouse's view of one store; ``connected`` opens it for as long as it is asked."""

    store_id: str
    _client: SqlClientBase[Any] | None = field(default=None, repr=False)

    @contextmanager
    def connected(self) -> Iterator["Known"]:
        """One connection for several questions; none is left open when the load begins to write."""
        if self._client is not None:
            yield self
            return
        with dlt.current.pipeline().sql_client() as client:
            self._client = client
            try:
                yield self
            finally:
                self._client = None

    def _rows(self, statement: str, *parameters: Any, **names: str) -> list[tuple[Any, ...]]:
        if self._client is None:
            with self.connected():
                return self._rows(statement, *parameters, **names)
        tables = {
            name: self._client.make_qualified_table_name(names.get(name, name))
            for name in ("orders", "refunds", "deletions", "order_sweeps", "order_fulfillments", "table")
        }
        try:
            with self._client.execute_query(statement.format(**tables), *parameters) as cursor:
                return [tuple(row) for row in cursor.fetchall()]
        except DestinationUndefinedEntity:
            return []  # nothing was ever loaded

    def orders_between(self, above: int, up_to: int) -> Mapping[int, KnownOrder]:
        """The orders with ``above < id <= up_to``, with their refunds."""
        with self.connected():
            alive: dict[int, set[int]] = {}
            gone: dict[int, set[int]] = {}
            for refund_id, order_id, is_gone in self._rows(_REFUNDS, self.store_id, above, up_to):
                (gone if is_gone else alive).setdefault(order_id, set()).add(refund_id)
            return {
                order_id: KnownOrder(
                    status,
                    _utc(modified),
                    total,
                    payload,
                    is_gone,
                    frozenset(alive.get(order_id, ())),
                    frozenset(gone.get(order_id, ())),
                )
                for order_id, status, modified, total, payload, is_gone in self._rows(
                    _ORDERS, self.store_id, above, up_to
                )
            }

    def last_sweep(self, now: datetime, *, listings: bool = True) -> LastSweep | None:
        """The newest recorded sweep that was carried through; of those that read whole orders, if not ``listings``.

        One from the future, when a clock was wrong, would keep all others away.
        """
        for swept_at, storage, unreadable in self._rows(_SWEEP, self.store_id, now, listings):
            return LastSweep(swept_at.astimezone(UTC), storage, unreadable)
        return None

    def control_totals(self, resource: str) -> ControlTotals:
        """Records of ``orders`` or ``refunds`` that are not known to be gone, up to the newest one's second."""
        for number, newest in self._rows(_TOTALS, resource, self.store_id, table=resource):
            return ControlTotals(number or 0, _utc(newest))
        return ControlTotals(0, None)

    def ids(self, resource: str) -> Sequence[int]:
        """Ids of the ``products`` or ``customers`` that are not known to be gone, in ascending order."""
        return [record_id for (record_id,) in self._rows(_ALIVE, resource, self.store_id, table=resource)]

    def fulfillments(self) -> Mapping[int, frozenset[int]]:
        """Ids of the fulfilments held, by order."""
        return _by_order(self._rows(_FULFILLMENTS, self.store_id))

    def orphans(self) -> Mapping[int, frozenset[int]]:
        """Refunds whose order was never loaded, by order: it was deleted after the refund was read and before it."""
        return _by_order(self._rows(_ORPHANS, self.store_id))


def _by_order(rows: Iterable[tuple[Any, ...]]) -> Mapping[int, frozenset[int]]:
    found: dict[int, set[int]] = {}
    for record_id, order_id in rows:
        found.setdefault(order_id, set()).add(record_id)
    return {order_id: frozenset(ids) for order_id, ids in found.items()}


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
