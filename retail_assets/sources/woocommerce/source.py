"""The dlt source of one WooCommerce store."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final

import dlt
import msgspec
from dlt.sources import DltResource

from retail_assets.contracts import Table, table
from retail_assets.http import HttpStatusError
from retail_assets.settings import Store
from retail_assets.sources.cursors import believed
from retail_assets.sources.intake import Intake, merge_item
from retail_assets.sources.records import Batch, convert, from_rows
from retail_assets.sources.schema import compute as pc
from retail_assets.sources.warehouse import SCHEMA_CONTRACT
from retail_assets.sources.woocommerce.client import StoreClient
from retail_assets.sources.woocommerce.fulfilment import Fulfilments
from retail_assets.sources.woocommerce.ids import NO_IDS, IdSet
from retail_assets.sources.woocommerce.known import Known
from retail_assets.sources.woocommerce.sweep import Finding, Sweep, naive_gmt, orders_by_id, plan_sweep, shown_of
from retail_assets.sources.woocommerce.walk import Page, Walk, identity_of

#: Read again on every run: covers second-resolution cursors, late commits and clocks that differ a little.
OVERLAP: Final = timedelta(minutes=10)

_CURSOR: Final = "modified_after"
_REFUSED: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
_READ_WHOLE: Final = "read_whole_at"
_HIGHEST_ID: Final = "highest_id"
_LOG: Final = logging.getLogger(__name__)


class _OrderHead(msgspec.Struct):
    id: int
    refunds: list[Any] | None = None


_ORDER_HEAD: Final = msgspec.json.Decoder(_OrderHead)


class _ProductHead(msgspec.Struct):
    id: int


_PRODUCT_HEAD: Final = msgspec.json.Decoder(_ProductHead)


@dataclass
class _Load:
    """What the resources of one load share: the client, what the warehouse holds, and the sweep."""

    store: Store
    client: StoreClient
    intake: Intake
    running: int = 0
    _sweeps: list[Sweep | None] = field(default_factory=list)

    @cached_property
    def known(self) -> Known:
        return Known(self.intake.instance)

    @cached_property
    def statuses(self) -> Sequence[str]:
        return self.client.statuses()

    @property
    def every(self) -> timedelta:
        """How long what has no change filter may stay as it was read."""
        return timedelta(hours=max(0, self.store.option("sweep_hours")))

    def sweep(self) -> Sweep | None:
        """The sweep of this load, made when it is first asked for: resources take turns, and none comes first.

        It compares with what the warehouse held before this load. A store that is still being read for the first time
        needs none.
        """
        if not self._sweeps:
            cursor = believed(dlt.current.resource_state("orders"), _CURSOR, self.intake.now)
            self._sweeps.append(
                None
                if cursor is None
                else plan_sweep(self.client, self.known, self.statuses, _horizon(cursor), self.intake.now, self.every)
            )
        return self._sweeps[0]

    def order_walks(self, filters: Mapping[str, Any]) -> Iterator[Walk]:
        """All orders by one list with every status named; two, one for the trash, if the store does not name them."""
        if self.statuses:
            yield self.client.walk("orders", {"status": ",".join(self.statuses), **filters})
            return
        seen: list[Walk] = []
        for status in ("any", "trash"):
            elsewhere = seen[0].seen if seen else NO_IDS
            seen.append(self.client.walk("orders", {"status": status, **filters}, elsewhere))
            yield seen[-1]

    def holding(self, rows: Callable[["_Load"], Iterator[Any]]) -> Callable[[], Iterator[Any]]:
        """``rows`` as a resource; the connections are given back when the last one that runs has ended."""

        def generate() -> Iterator[Any]:
            self.running += 1
            try:
                yield from rows(self)
            finally:
                self.running -= 1
                if self.running == 0:
                    self.client.close()
                    _LOG.info("%s: %d requests so far", self.intake.instance, self.client.requests)

        return generate


@dlt.source(name="woocommerce", max_table_nesting=0)
def woocommerce_source(store: Store, intake: Intake) -> Sequence[DltResource]:
    """Orders, refunds, products, variations, customers and tax rates of one store.

    Orders, refunds and products are read from where the last load ended, less an overlap. Customers and variations, for
    which WooCommerce has no usable change filter, and products, whose stock moves without a date, are read whole every
    ``sweep_hours`` as well, and by what is new in between; tax rates whole. With the orders come the sweeps and what
    they found, and fulfilments. Nothing is read before the resource is iterated.

    Args:
        store: address, keys and rhythm.
        intake: counts what comes in and quarantines what breaks its contract.
    """
    load = _Load(store, StoreClient(store), intake)

    def resource(name: str, rows: Callable[[_Load], Iterator[Any]]) -> DltResource:
        return dlt.resource(load.holding(rows), name=name, schema_contract=SCHEMA_CONTRACT, write_disposition="merge")

    def side_list(name: str, rows: Callable[[_Load], Iterator[Any]]) -> DltResource:
        return resource(name, lambda load: _if_allowed(name, rows, load))

    return (
        resource("orders", _orders),
        resource("refunds", _refunds),
        side_list("products", _products),
        side_list("product_variations", _variations),
        side_list("customers", _customers),
        side_list("tax_rates", _tax_rates),
    )


def _if_allowed(name: str, rows: Callable[[_Load], Iterator[Any]], load: _Load) -> Iterator[Any]:
    """A list beside the orders; one that the store refuses keeps no order away. The orders report a wrong key."""
    try:
        yield from rows(load)
    except HttpStatusError as error:
        if error.status not in _REFUSED:
            raise
        load.intake.counts_of(name).notes.append(
            f"the store refuses this list (HTTP {error.status}), so what is there of it stays as it was: give the "
            "key's user the right to read it, or tell the firewall"
        )


# -- orders ------------------------------------------------------------------------------------------------------------


def _orders(load: _Load) -> Iterator[Any]:
    """Orders changed since the last load, then those that the sweep wants read again, then what the sweep found."""
    client, intake, contract = load.client, load.intake, table("woocommerce", "orders")
    state = dlt.current.resource_state()
    cursor = believed(state, _CURSOR, intake.now)
    counts = intake.counts_of("orders")
    fulfilments = Fulfilments(client, load.known, intake)
    sweep = load.sweep()
    reads_whole = cursor is None or (sweep is not None and sweep.reads_whole)
    walks: list[Walk] = []
    newest: datetime | None = None

    def take(page: Page) -> Iterator[Any]:
        batch = _convert(contract, page, intake)
        yield from intake.take(batch, "orders")
        yield from fulfilments.of(page)

    for walk in load.order_walks({} if reads_whole else _since(cursor)):
        walks.append(walk)
        for page in walk.pages():
            changed = _changed_only(page, load.known, sweep) if sweep and sweep.reads_whole else page
            if changed.records:
                batch = _convert(contract, changed, intake)
                newest = _newest(newest, batch, contract)
                yield from intake.take(batch, "orders")
                yield from fulfilments.of(changed)
    if cursor is None and load.statuses and walks[0].complete and (unlisted := _unlisted(load, walks[0])):
        walks.append(unlisted)
        for page in unlisted.pages():
            yield from take(page)
    _advance(state, newest, walks, intake, "orders")
    if sweep is not None:
        again = [id_ for id_ in dict.fromkeys(sweep.reread) if not any(id_ in walk.seen for walk in walks)]
        for page in orders_by_id(client, load.statuses, again):
            batch = _convert(contract, page, intake)
            _forget_unreadable(sweep, batch, page)
            yield from intake.take(batch, "orders")
            yield from fulfilments.of(page)
        if not sweep.is_complete:
            counts.notes.append(f"the sweep over {sweep.listed} orders was not finished; the next load goes on with it")
    yield from _sweep_rows(load, sweep, sum(len(walk.seen) for walk in walks), cursor is None and _whole(walks))


def _unlisted(load: _Load, walk: Walk) -> Walk | None:
    """A walk over the orders whose status a plugin made and does not list: they are in "any", but not by name."""
    started = walk.started_at or datetime.now(UTC)
    before = {"before": naive_gmt(started), "dates_are_gmt": "true"}
    there = sum(max(0, load.client.count("orders", {"status": name, **before}) or 0) for name in ("any", "trash"))
    return load.client.walk("orders", {"status": "any"}, walk.seen) if there > len(walk.seen) else None


def _changed_only(page: Page, known: Known, sweep: Sweep) -> Page:
    """The orders whose bytes are not those in the warehouse; an edit that moved no date is a finding."""
    shown = {record: shown_of(record) for record in page.records}
    ids = [order.order_id for order in shown.values() if order is not None]
    held = known.orders_between(min(ids) - 1, max(ids)) if ids else {}
    found = {finding.order_id for finding in sweep.findings}
    changed = []
    for record, order in shown.items():
        before = held.get(order.order_id) if order is not None else None
        if order is None or before is None or before.is_deleted:
            changed.append(record)
        elif before.payload_sha256 != hashlib.sha256(record).hexdigest():
            changed.append(record)
            is_silent = order.modified is None or order.modified <= sweep.horizon
            if is_silent and order.order_id not in found:
                sweep.findings.append(Finding("order_changed", order.order_id, known=before, shown=order))
    return Page(changed, page.origin)


def _forget_unreadable(sweep: Sweep, batch: Batch, page: Page) -> None:
    """An order that breaks its contract is in quarantine and would be missed for ever: it is counted, not a finding."""
    if not batch.rejected:
        return
    loaded = {int(key) for key in batch.loaded_keys if key.isdigit()}
    unreadable = {order.order_id for order in map(shown_of, page.records) if order is not None} - loaded
    of_them = [finding for finding in sweep.findings if finding.order_id in unreadable]
    sweep.unreadable += sum(finding.kind == "order_missed" for finding in of_them)
    dropped = [finding for finding in of_them if finding.kind in ("order_missed", "order_changed")]
    sweep.findings = [finding for finding in sweep.findings if finding not in dropped]


def _sweep_rows(load: _Load, sweep: Sweep | None, seen: int, is_first: bool) -> Iterator[Any]:
    now = load.intake.now
    rows: dict[str, list[dict[str, Any]]] = {"order_sweeps": [], "sweep_findings": [], "deletions": []}
    if is_first:
        first = Sweep(load.client.storage(), now, is_due=True, reads_whole=False, listed=seen)
        first.unreadable = load.intake.counts_of("orders").quarantined
        rows["order_sweeps"].append({**first.row(now), "kind": "first_load"})
    elif sweep is not None and sweep.is_worth_recording:
        rows["order_sweeps"].append(sweep.row(now))
        rows["sweep_findings"] = [finding.row(now) for finding in sweep.findings]
        rows["deletions"] = [deletion.row(now) for deletion in sweep.deletions]
    for name, found in rows.items():
        if found:
            contract = table("woocommerce", name)
            yield merge_item(contract, from_rows(contract, found, instance=load.intake.instance, loaded_at=now))


# -- refunds -----------------------------------------------------------------------------------------------------------


def _refunds(load: _Load) -> Iterator[Any]:
    """Refunds by their own collection; WooCommerce before 9.0 lacks it and is asked order by order."""
    load.intake.counts_of("refunds")
    done = IdSet()
    sweep = load.sweep()
    try:
        yield from _refund_collection(load, done)
    except HttpStatusError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        yield from _refunds_by_order(load, done)
    for order_id in dict.fromkeys(sweep.refund_orders) if sweep else ():
        for page in _pages_below(load.client.walk(f"orders/{order_id}/refunds", {}, done)):
            batch = _convert(table("woocommerce", "refunds"), page, load.intake, {"parent_id": order_id})
            yield from load.intake.take(batch, "refunds")


def _refund_collection(load: _Load, done: IdSet) -> Iterator[Any]:
    state = dlt.current.resource_state()
    contract = table("woocommerce", "refunds")
    walk = load.client.walk("refunds", _since_last_load(state, load))
    newest: datetime | None = None
    for page in walk.pages():
        batch = _convert(contract, page, load.intake)
        newest = _newest(newest, batch, contract, "date_created_gmt")
        yield from load.intake.take(batch, "refunds")
    for identity in walk.seen:
        done.add(identity)
    _advance(state, newest, [walk], load.intake, "refunds")


def _refunds_by_order(load: _Load, done: IdSet) -> Iterator[Any]:
    state = dlt.current.resource_state()
    contract, orders = table("woocommerce", "refunds"), table("woocommerce", "orders")
    newest: datetime | None = None
    walks: list[Walk] = []
    inner: list[Walk] = []
    for walk in load.order_walks(_since_last_load(state, load)):
        walks.append(walk)
        for page in walk.pages():
            newest = _newest(newest, _convert(orders, page, load.intake), orders)
            for order in _heads(_ORDER_HEAD, page, load.intake, "refunds"):
                if not order.refunds:
                    continue
                inner.append(load.client.walk(f"orders/{order.id}/refunds"))
                for refunds in _pages_below(inner[-1]):
                    batch = _convert(contract, refunds, load.intake, {"parent_id": order.id})
                    yield from load.intake.take(batch, "refunds")
                for identity in inner[-1].seen:
                    done.add(identity)
    _advance(state, newest, [*walks, *inner], load.intake, "refunds")


# -- catalogue, customers, tax rates -----------------------------------------------------------------------------------


def _products(load: _Load) -> Iterator[Any]:
    """Products changed since the last load; at the rhythm of the sweeps all, as a sale moves stock but no date."""
    state = dlt.current.resource_state()
    contract = table("woocommerce", "products")
    load.intake.counts_of("products")
    is_whole = _is_due(state, load)
    walk = load.client.walk("products", {"status": "any", **({} if is_whole else _since_last_load(state, load))})
    newest: datetime | None = None
    for page in walk.pages():
        batch = _convert(contract, page, load.intake)
        newest = _newest(newest, batch, contract)
        yield from load.intake.take(batch, "products")
    _advance(state, newest, [walk], load.intake, "products")
    if is_whole and walk.complete:
        state[_READ_WHOLE] = load.intake.now.isoformat()


def _variations(load: _Load) -> Iterator[Any]:
    """Variations have no list of their own: those of changed products, and at the rhythm of the sweeps all."""
    contract = table("woocommerce", "product_variations")
    state = dlt.current.resource_state()
    load.intake.counts_of(contract.name)
    is_whole = _is_due(state, load)
    walk = load.client.walk(
        "products",
        {"type": "variable", "status": "any", **({} if is_whole else _since_last_load(state, load))},
    )
    for products in walk.pages():
        for product in _heads(_PRODUCT_HEAD, products, load.intake, contract.name):
            below = load.client.walk(f"products/{product.id}/variations")
            for page in _pages_below(below):
                batch = _convert(contract, page, load.intake, {"parent_id": product.id})
                yield from load.intake.take(batch, contract.name)
            walk.complete = walk.complete and below.complete
    if not walk.complete:
        _note_unstable(load.intake, contract.name)
        return
    if walk.started_at is not None:
        state[_CURSOR] = walk.started_at.isoformat(timespec="seconds")
    if is_whole:
        state[_READ_WHOLE] = load.intake.now.isoformat()


def _customers(load: _Load) -> Iterator[Any]:
    """Customers ignore every change filter: new ones by their id, and at the rhythm of the sweeps all."""
    contract = table("woocommerce", "customers")
    state = dlt.current.resource_state()
    load.intake.counts_of("customers")
    highest: int | None = state.get(_HIGHEST_ID)
    is_whole = highest is None or _is_due(state, load)
    pages = _all_customers(load, state) if is_whole else _newest_customers(load, highest or 0)
    for page in pages:
        yield from load.intake.take(_convert(contract, page, load.intake), "customers")
        identities = map(identity_of, page.records)
        highest = max([highest or 0, *(identity for identity in identities if isinstance(identity, int))])
    if highest is not None:
        state[_HIGHEST_ID] = highest


def _all_customers(load: _Load, state: dict[str, Any]) -> Iterator[Page]:
    walk = load.client.walk("customers", {"role": "all"})
    yield from walk.pages()
    if walk.complete:
        state[_READ_WHOLE] = load.intake.now.isoformat()
    else:
        _note_unstable(load.intake, "customers")


def _newest_customers(load: _Load, highest: int) -> Iterator[Page]:
    """The newest hundred, and on until one comes that is known."""
    walk = load.client.walk("customers", {"role": "all"})
    yield from walk.newest_first(lambda identity: isinstance(identity, int) and identity <= highest)


def _tax_rates(load: _Load) -> Iterator[Any]:
    contract = table("woocommerce", "tax_rates")
    load.intake.counts_of("tax_rates")
    walk = load.client.walk("taxes", {})
    for page in walk.pages():
        yield from load.intake.take(_convert(contract, page, load.intake), "tax_rates")
    if not walk.complete:
        _note_unstable(load.intake, "tax_rates")


def _is_due(state: dict[str, Any], load: _Load) -> bool:
    read_at = believed(state, _READ_WHOLE, load.intake.now)
    return read_at is None or load.intake.now - datetime.fromisoformat(read_at) >= load.every


# -- what all have in common -------------------------------------------------------------------------------------------


def _heads(decoder: msgspec.json.Decoder[Any], page: Page, intake: Intake, name: str) -> Iterator[Any]:
    """The records whose own lists are to be read; one that is too broken for that does not stop the others."""
    for record in page.records:
        try:
            yield decoder.decode(record)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            start = record[:80].decode("utf-8", "replace")
            intake.counts_of(name).notes.append(f"{page.origin}: a record cannot be read ({error}); it begins {start}")


def _pages_below(walk: Walk) -> Iterator[Page]:
    """The pages of a record's own list; a record that was deleted meanwhile has none."""
    try:
        yield from walk.pages()
    except HttpStatusError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        walk.complete = True


def _convert(contract: Table, page: Page, intake: Intake, given: Mapping[str, Any] | None = None) -> Batch:
    return convert(
        contract,
        page.records,
        instance=intake.instance,
        loaded_at=intake.now,
        origin=f"{intake.instance}: {page.origin}",
        given=[given] * len(page.records) if given else None,
    )


def _horizon(cursor: str) -> datetime:
    return (datetime.fromisoformat(cursor) - OVERLAP).astimezone(UTC)


def _since(cursor: str | None) -> dict[str, str]:
    """The filter for what changed since ``cursor``, less the overlap; never an upper bound, which edits would leave."""
    if cursor is None:
        return {}
    return {"modified_after": naive_gmt(_horizon(cursor)), "dates_are_gmt": "true"}


def _since_last_load(state: dict[str, Any], load: _Load) -> dict[str, str]:
    """The filter for what changed since a resource's own cursor; none if it has none, or one from the future."""
    return _since(believed(state, _CURSOR, load.intake.now))


def _newest(
    so_far: datetime | None, batch: Batch, contract: Table, column: str = "date_modified_gmt"
) -> datetime | None:
    rows = batch.tables.get(contract)
    latest = pc.max(rows.column(column)).as_py() if rows is not None and rows.num_rows else None
    return max((moment for moment in (so_far, latest) if moment is not None), default=None)


def _whole(walks: Sequence[Walk]) -> bool:
    return bool(walks) and all(walk.complete for walk in walks)


def _advance(state: dict[str, Any], newest: datetime | None, walks: Sequence[Walk], intake: Intake, name: str) -> None:
    """Move the cursor to the newest change seen, but never past the start of the walk nor after an unstable one."""
    if not _whole(walks):
        _note_unstable(intake, name)
        return
    started = [walk.started_at for walk in walks if walk.started_at is not None]
    reached = [moment for moment in (newest, *started) if moment is not None]
    if newest is None or not reached:
        return
    cursor = min(reached).astimezone(UTC).isoformat(timespec="seconds")
    state[_CURSOR] = max(cursor, state.get(_CURSOR, cursor))


def _note_unstable(intake: Intake, name: str) -> None:
    intake.counts_of(name).notes.append(
        "the list kept shrinking while it was read: what was read is loaded, and the next run reads it all again"
    )
