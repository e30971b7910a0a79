"""The anti-entropy sweep: what the store shows against what the warehouse holds, order by order.

It finds what no change filter and no webhook tells: orders deleted for good, deleted refunds, edits that did not move
the modification date, and orders that a page seam or a restored backup kept from us. One cheap list of all orders is
enough (``_fields``: a twentieth of the bytes), and whatever it finds is read again by id.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from retail_assets.sources.woocommerce.client import BrokenRecordError, StoreClient
from retail_assets.sources.woocommerce.ids import IdSet
from retail_assets.sources.woocommerce.known import ControlTotals, Known, KnownOrder, LastSweep
from retail_assets.sources.woocommerce.pages import Unreadable
from retail_assets.sources.woocommerce.walk import Page

_FIELDS: Final = "id,status,date_modified_gmt,total,refunds"
#: A list that fits on so few pages is swept on every load.
_SMALL: Final = 1_000
#: On older order storage, a store with so few orders is read whole on every load.
_VERY_SMALL: Final = 300
#: Each deletion is proved by asking for the order; of more than these the rest waits for the next load.
_MOST_PROVED: Final = 2_000
_CHUNK: Final = 100
_HIGHEST: Final = 2**63 - 1
#: WooCommerce itself deletes drafts of abandoned checkouts every day; they need no proof of their own.
_DRAFTS: Final = ("checkout-draft", "auto-draft")


class _Listed(msgspec.Struct):
    id: int
    status: Any = None
    date_modified_gmt: Any = None
    total: Any = None
    refunds: Any = None


_LISTED: Final = msgspec.json.Decoder(_Listed)


@dataclass(frozen=True, slots=True)
class Shown:
    """One order as the store shows it; None for what cannot be read."""

    order_id: int
    status: str | None
    modified: datetime | None
    total: Decimal | None
    refunds: frozenset[int] | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference that no change of the store's own had told of. Kinds: see the contract of ``sweep_findings``."""

    kind: str
    order_id: int
    refund_id: int | None = None
    known: KnownOrder | None = None
    shown: Shown | None = None

    def row(self, swept_at: datetime) -> dict[str, Any]:
        """The row of ``sweep_findings``; the same difference has the same id."""
        known, shown = self.known, self.shown
        row = {
            "kind": self.kind,
            "order_id": self.order_id,
            "refund_id": self.refund_id,
            "known_status": known.status if known else None,
            "known_total": known.total if known else None,
            "known_modified_gmt": known.modified if known else None,
            "found_status": shown.status if shown else None,
            "found_total": shown.total if shown else None,
            "found_modified_gmt": shown.modified if shown else None,
        }
        text = "|".join(str(value) for value in row.values())
        return {"finding_id": hashlib.sha256(text.encode()).hexdigest()[:20], "swept_at": swept_at, **row}


@dataclass(frozen=True, slots=True)
class Deletion:
    """A tombstone, or with ``is_deleted`` false its withdrawal. ``cause``: ``itself``, or ``with_order``."""

    resource: str
    record_id: int
    order_id: int
    cause: str
    last_status: str | None
    is_deleted: bool

    def row(self, noticed_at: datetime) -> dict[str, Any]:
        """The row of ``deletions``."""
        return {
            "resource": self.resource,
            "id": self.record_id,
            "order_id": self.order_id,
            "cause": self.cause,
            "last_status": self.last_status,
            "is_deleted": self.is_deleted,
            "noticed_at": noticed_at,
        }


@dataclass
class Sweep:
    """What one sweep found and what is to be read again.

    ``horizon``: what the store says was modified after it reaches us by the ordinary way and is no finding.
    ``reads_whole``: besides the list all orders are read whole, as on older storage edits leave no other trace.
    ``coming``: orders that are not known yet and reach us by the ordinary way.
    """

    storage: str
    horizon: datetime
    is_due: bool
    reads_whole: bool
    listed: int = 0
    is_complete: bool = True
    unreadable: int = 0
    unreadable_before: int = 0
    findings: list[Finding] = field(default_factory=list)
    deletions: list[Deletion] = field(default_factory=list)
    reread: list[int] = field(default_factory=list)
    refund_orders: list[int] = field(default_factory=list)
    coming: set[int] = field(default_factory=set)

    @property
    def is_worth_recording(self) -> bool:
        """Sweeps between two due ones leave a row only if they found something: a quiet store's tables stay as is."""
        return (
            self.is_due
            or not self.is_complete
            or bool(self.findings or self.deletions)
            or self.unreadable != self.unreadable_before
        )

    def row(self, swept_at: datetime) -> dict[str, Any]:
        """The row of ``order_sweeps``."""
        return {
            "swept_at": swept_at,
            "kind": "full_compare" if self.reads_whole else "listing",
            "storage": self.storage,
            "orders_listed": self.listed,
            "orders_unreadable": self.unreadable,
            "findings": len(self.findings),
            "is_complete": self.is_complete,
        }

    def compare(self, shown: Iterable[Shown], known: Mapping[int, KnownOrder]) -> None:
        """Note how ``shown`` differs from ``known``; what is known but not shown is not its business."""
        for order in shown:
            self.listed += 1
            held = known.get(order.order_id)
            comes_anyway = order.modified is not None and order.modified > self.horizon
            if held is None:
                if comes_anyway:
                    self.coming.add(order.order_id)
                else:
                    self.findings.append(Finding("order_missed", order.order_id, shown=order))
                    self.reread.append(order.order_id)
                    if order.refunds:
                        self.refund_orders.append(order.order_id)
                continue
            if held.is_deleted:
                self._found_again(order, held)
            elif not comes_anyway and (order.status, order.modified, order.total) != (
                held.status, held.modified, held.total,
            ):  # fmt: skip
                self.findings.append(Finding("order_changed", order.order_id, known=held, shown=order))
                self.reread.append(order.order_id)
            self._compare_refunds(order, held, comes_anyway=comes_anyway)

    def _found_again(self, order: Shown, held: KnownOrder) -> None:
        self.findings.append(Finding("order_returned", order.order_id, known=held, shown=order))
        self.deletions.append(Deletion("orders", order.order_id, order.order_id, "itself", held.status, False))
        self.reread.append(order.order_id)

    def _compare_refunds(self, order: Shown, held: KnownOrder, *, comes_anyway: bool) -> None:
        if order.refunds is None:
            return
        if order.status == "trash" and not order.refunds and self.storage != "hpos":
            return  # Older storage puts the refunds into the trash with their order; that says nothing about them.
        gone = held.refunds - order.refunds
        returned = order.refunds & held.deleted_refunds
        missed = frozenset() if comes_anyway else order.refunds - held.refunds - held.deleted_refunds
        for kind, refund_ids in (("refund_deleted", gone), ("refund_returned", returned), ("refund_missed", missed)):
            for refund_id in sorted(refund_ids):
                self.findings.append(Finding(kind, order.order_id, refund_id, held, order))
        for refund_id in sorted(gone):
            self.deletions.append(Deletion("refunds", refund_id, order.order_id, "itself", None, True))
        for refund_id in sorted(returned):
            self.deletions.append(Deletion("refunds", refund_id, order.order_id, "itself", None, False))
        if (gone or returned or missed) and self.reread[-1:] != [order.order_id]:
            self.reread.append(order.order_id)
        if returned or missed:
            self.refund_orders.append(order.order_id)

    def gone(self, order_id: int, held: KnownOrder) -> None:
        """Note that an order was deleted for good, and its refunds with it."""
        self.findings.append(Finding("order_deleted", order_id, known=held))
        self.deletions.append(Deletion("orders", order_id, order_id, "itself", held.status, True))
        for refund_id in sorted(held.refunds):
            self.deletions.append(Deletion("refunds", refund_id, order_id, "with_order", None, True))

    def gone_with_unknown_order(self, order_id: int, refund_ids: frozenset[int]) -> None:
        """Note refunds whose order was deleted before it could be read."""
        for refund_id in sorted(refund_ids):
            self.findings.append(Finding("refund_deleted", order_id, refund_id))
            self.deletions.append(Deletion("refunds", refund_id, order_id, "with_order", None, True))


def shown_of(record: bytes) -> Shown | None:
    """An order of a list, whole or cut; None if not even its id can be read."""
    try:
        listed = _LISTED.decode(record)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return Shown(
        listed.id,
        listed.status if isinstance(listed.status, str) else None,
        _moment(listed.date_modified_gmt),
        _amount(listed.total),
        _refund_ids(listed.refunds),
    )


def plan_sweep(
    client: StoreClient, known: Known, statuses: Sequence[str], horizon: datetime, now: datetime, every: timedelta
) -> Sweep | None:
    """Sweep now if one is due, if the store is small, or if its control totals disagree with the warehouse's.

    Args:
        statuses: all order statuses by name, trash included; empty if the store does not tell them.
        horizon: what was modified later is read by the ordinary walk of this load.
        every: at most so long between two sweeps.

    Returns:
        What it found; None when there was no need for one.
    """
    with known.connected():
        last, whole = known.last_sweep(now), known.last_sweep(now, listings=False)
        is_due = last is None or now - last.swept_at >= every
        storage = client.storage() if last is None or is_due else last.storage
        held = known.control_totals("orders")
        whole_is_due = storage != "hpos" and (whole is None or now - whole.swept_at >= every)
        is_due = is_due or whole_is_due
        reads_whole = storage != "hpos" and (whole_is_due or held.count < _VERY_SMALL)
        if not (is_due or held.count < _SMALL) and _totals_agree(client, known, held, last, storage):
            return None
        unreadable = last.unreadable if last else 0
        sweep = Sweep(storage, horizon, is_due, reads_whole, unreadable_before=unreadable)
        _list_and_compare(client, known, statuses, sweep)
    return sweep


def _totals_agree(client: StoreClient, known: Known, held: ControlTotals, last: LastSweep | None, storage: str) -> bool:
    """Whether store and warehouse count the same records up to the newest known one; later ones are still to come."""
    unreadable = last.unreadable if last else 0
    checks = [("orders", held, unreadable)]
    if storage == "hpos":  # Older storage leaves refunds of trashed orders out.
        checks.append(("refunds", known.control_totals("refunds"), 0))
    for path, totals, expected in checks:
        if totals.newest is None:
            continue
        there = 0
        filters = ({"status": "any"}, {"status": "trash"}) if path == "orders" else ({},)
        for filter_ in filters:
            counted = client.count(path, {**filter_, "before": naive_gmt(totals.newest), "dates_are_gmt": "true"})
            if counted is None or counted < 0:
                break
            there += counted
        else:
            if there - totals.count != expected:
                return False
    return True


def _list_and_compare(client: StoreClient, known: Known, statuses: Sequence[str], sweep: Sweep) -> None:
    trashed: dict[int, Shown] = {}
    if not statuses:
        for page in client.walk("orders", {"status": "trash", "_fields": _FIELDS}).pages():
            trashed |= {order.order_id: order for order in _shown(page)}
    walk = client.walk("orders", {"status": ",".join(statuses) or "any", "_fields": _FIELDS})
    missing: dict[int, KnownOrder] = {}
    orphans = dict(known.orphans())
    reached = 0
    for page in walk.pages():
        orders = {order.order_id: order for order in _shown(page)}
        highest = max(orders, default=reached)
        orders |= {order_id: trashed.pop(order_id) for order_id in list(trashed) if order_id <= highest}
        held = dict(known.orders_between(reached, highest))
        for order_id in orders:
            orphans.pop(order_id, None)
            if order_id <= reached:  # It came into the list behind the walk.
                held |= known.orders_between(order_id - 1, order_id)
                missing.pop(order_id, None)
        sweep.compare(orders.values(), held)
        missing |= {id_: order for id_, order in held.items() if id_ not in orders and not order.is_deleted}
        reached = max(reached, highest)
    held = known.orders_between(reached, _HIGHEST)
    sweep.compare(trashed.values(), held)
    missing |= {id_: order for id_, order in held.items() if id_ not in trashed and not order.is_deleted}
    sweep.is_complete = walk.complete
    if statuses and sweep.is_due:
        _look_for_unlisted(client, known, walk.seen, sweep)
    _prove_gone(client, missing, orphans, sweep)


def _look_for_unlisted(client: StoreClient, known: Known, seen: IdSet, sweep: Sweep) -> None:
    """Orders whose status a plugin invented and does not list are in "any" only."""
    there = sum(max(0, client.count("orders", {"status": status}) or 0) for status in ("any", "trash"))
    if there <= len(seen):
        return
    for page in client.walk("orders", {"status": "any", "_fields": _FIELDS}, seen).pages():
        for order in _shown(page):
            sweep.compare([order], known.orders_between(order.order_id - 1, order.order_id))


def _prove_gone(
    client: StoreClient, missing: Mapping[int, KnownOrder], orphans: Mapping[int, frozenset[int]], sweep: Sweep
) -> None:
    """An order that no list shows is only believed to be deleted when WooCommerce says that there is none."""
    for order_id, refund_ids in orphans.items():
        if _is_gone(client, order_id):
            sweep.gone_with_unknown_order(order_id, refund_ids)
    proved = 0
    for order_id, held in sorted(missing.items()):
        if held.status in _DRAFTS:
            sweep.gone(order_id, held)
            continue
        if proved == _MOST_PROVED:
            sweep.is_complete = False
            return
        proved += 1
        if _is_gone(client, order_id):
            sweep.gone(order_id, held)
        else:
            sweep.reread.append(order_id)


def _is_gone(client: StoreClient, order_id: int) -> bool:
    try:
        return client.order(order_id) is None
    except BrokenRecordError:
        return False


def orders_by_id(client: StoreClient, statuses: Sequence[str], order_ids: Sequence[int]) -> Iterator[Page]:
    """Orders of whatever status, whole; those that are gone meanwhile are left out."""
    for start in range(0, len(order_ids), _CHUNK):
        chunk = order_ids[start : start + _CHUNK]
        found: dict[int, bytes] = {}
        broken: dict[int, Unreadable] = {}
        for status in [",".join(statuses)] if statuses else ["any", "trash"]:
            walk = client.walk("orders", {"status": status, "include": ",".join(map(str, chunk))})
            for page in walk.pages():
                for record in page.records:
                    order = shown_of(record)
                    if order is not None:
                        found[order.order_id] = record
        for place, order_id in enumerate(chunk, start=1):
            if order_id in found:
                continue
            try:
                record = client.order(order_id)
            except BrokenRecordError as error:
                broken[order_id] = Unreadable(order_id, place, str(error))
                continue
            if record is not None:
                found[order_id] = record
        if found or broken:
            origin = f"GET orders?include={chunk[0]}…"
            yield Page(list(found.values()), origin, list(found), list(broken.values()))


def naive_gmt(moment: datetime) -> str:
    """Naive GMT, to go with ``dates_are_gmt``: the one form that WooCommerce does not shift by the site's time zone."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")


def _shown(page: Page) -> Iterator[Shown]:
    for record in page.records:
        order = shown_of(record)
        if order is not None:
            yield order


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        return None


def _amount(value: Any) -> Decimal | None:
    try:
        return Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        return None


def _refund_ids(value: Any) -> frozenset[int] | None:
    if not isinstance(value, list):
        return None
    ids = [refund.get("id") for refund in value if isinstance(refund, dict)]
    return frozenset(refund_id for refund_id in ids if isinstance(refund_id, int))
