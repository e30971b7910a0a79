"""The dlt source of one WooCommerce store."""

import hashlib
import json
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final

import dlt
import msgspec
from dlt.sources import DltResource

from retail_assets.contracts import Table, table
from retail_assets.http import HttpStatusError
from retail_assets.ops.quarantine import Rejection
from retail_assets.settings import Store
from retail_assets.sources.ahead import ahead
from retail_assets.sources.cursors import believed
from retail_assets.sources.intake import Intake, merge_item
from retail_assets.sources.records import Batch, convert, from_rows
from retail_assets.sources.schema import compute as pc
from retail_assets.sources.woocommerce.client import BrokenRecordError, StoreClient
from retail_assets.sources.woocommerce.fulfilment import Fulfilments
from retail_assets.sources.woocommerce.giftcards import with_readable_cards
from retail_assets.sources.woocommerce.ids import IdSet
from retail_assets.sources.woocommerce.known import Known
from retail_assets.sources.woocommerce.pages import Unreadable, identity_of
from retail_assets.sources.woocommerce.reading import Reading, is_interrupted
from retail_assets.sources.woocommerce.sweep import Finding, Sweep, naive_gmt, orders_by_id, plan_sweep, shown_of
from retail_assets.sources.woocommerce.vanished import Vanished, tombstone
from retail_assets.sources.woocommerce.walk import Mark, Page, Walk

#: Read again on every run: covers second-resolution cursors, late commits and clocks that differ a little.
OVERLAP: Final = timedelta(minutes=10)

#: With fewer records the work that each conversion costs outweighs theirs.
_CONVERTED_TOGETHER: Final = 500
_CURSOR: Final = "modified_after"
_REFUSED: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
_READ_WHOLE: Final = "read_whole_at"
_HIGHEST_ID: Final = "highest_id"
_PHP_SPEAKS: Final = "the store's PHP speaks before its answers"
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
        return timedelta(hours=0 if self.intake.thorough else max(0, self.store.option("sweep_hours")))

    def sweep(self) -> Sweep | None:
        """The sweep of this load, made when it is first asked for: resources take turns, and none comes first.

        It compares with what the warehouse held before this load. A store that is still being read for the first time,
        or whose refunds are, needs none: all that is still to come would look missed.
        """
        if not self._sweeps:
            cursor = believed(dlt.current.resource_state("orders"), _CURSOR, self.intake.now)
            refunds = dlt.current.resource_state("refunds")
            refunds_are_new = is_interrupted(refunds) and _CURSOR not in refunds
            self._sweeps.append(
                None
                if cursor is None or refunds_are_new
                else plan_sweep(self.client, self.known, self.statuses, _horizon(cursor), self.intake.now, self.every)
            )
        return self._sweeps[0]

    def order_filters(self, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All orders by one list with every status named; two, one for the trash, if the store does not name them."""
        named = [",".join(self.statuses)] if self.statuses else ["any", "trash"]
        return [{"status": status, **filters} for status in named]

    def reading(
        self, resource: str, path: str, filters: Sequence[Mapping[str, Any]], state: dict[str, Any] | None = None
    ) -> Reading:
        """The read of a resource; ``state`` is the resource's own if left out."""
        own = dlt.current.resource_state() if state is None else state
        return Reading(self.client, self.intake, resource, own, path, filters)

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

    Of an intake that asks for records by id there are only those: orders (with their refunds), products (with their
    variations) and customers.

    Args:
        store: address, keys and rhythm.
        intake: counts what comes in and quarantines what breaks its contract.
    """
    load = _Load(store, StoreClient(store), intake)

    def resource(name: str, rows: Callable[[_Load], Iterator[Any]]) -> DltResource:
        return intake.resource(name, load.holding(rows))

    def side_list(name: str, rows: Callable[[_Load], Iterator[Any]]) -> DltResource:
        return resource(name, lambda load: _if_allowed(name, rows, load))

    if intake.asked:
        by_id = {"orders": _orders_asked, "products": _products_asked, "customers": _customers_asked}
        return tuple(resource(name, by_id[name]) for name in intake.asked)
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
    state = dlt.current.resource_state()
    cursor = believed(state, _CURSOR, load.intake.now)
    fulfilments = Fulfilments(load.client, load.known, load.intake)
    # A read that was interrupted comes first; the sweep compares when all of it is there.
    sweep = None if is_interrupted(state) else load.sweep()
    reads_whole = cursor is None or (sweep is not None and sweep.reads_whole)
    filters = load.order_filters({} if reads_whole else _since(cursor))
    if cursor is None and load.statuses:
        filters.append({"status": "any"})
    reading = load.reading("orders", "orders", filters, state)

    def is_for_unlisted(number: int) -> bool:
        return cursor is None and bool(load.statuses) and number > 0

    def is_needed(number: int) -> bool:
        return not is_for_unlisted(number) or (reading.complete and _has_unlisted(load, reading))

    def fresh(page: Page) -> Page:
        if sweep is not None and sweep.reads_whole:
            return _changed_only(page, load.known, sweep)
        if is_for_unlisted(reading.number) and reading.is_resumed:
            return _not_held(page, load.known)
        return page

    def converted(read: tuple[Page, Mark | None]) -> Batch:
        return _convert(table("woocommerce", "orders"), read[0], load.intake)

    refused: set[int] = set()
    together = min(_CONVERTED_TOGETHER, load.intake.portion)
    for walk in reading.each(is_needed):
        pages = ((fresh(page), mark) for page, mark in walk.gathered(together))
        for (page, mark), batch in ahead(converted, pages):
            reading.saw(_latest(batch))
            reading.refused += len(batch.rejected)
            refused |= _refused(batch, page)
            if batch.received:
                yield from load.intake.take(batch, "orders")
                yield from fulfilments.of(page)
            if not (sweep is not None and sweep.reads_whole) and reading.stops(mark):
                return
    is_first = cursor is None and reading.complete
    _advance(state, reading, load.intake, "orders")
    if sweep is None and cursor is not None:
        late = load.sweep()
        sweep = None if late is None or late.reads_whole else late  # That one is the next load's.
    if sweep is not None:
        sweep.unreadable += len(sweep.coming & refused)
        again = [id_ for id_ in dict.fromkeys(sweep.reread) if id_ not in reading]
        for page in orders_by_id(load.client, load.statuses, again):
            batch = _convert(table("woocommerce", "orders"), page, load.intake)
            _forget_unreadable(sweep, batch, page)
            yield from load.intake.take(batch, "orders")
            yield from fulfilments.of(page)
        if not sweep.is_complete:
            load.intake.counts_of("orders").notes.append(
                f"the sweep over {sweep.listed} orders was not finished; the next load goes on with it"
            )
    yield from _sweep_rows(load, sweep, reading if is_first else None)


def _has_unlisted(load: _Load, reading: Reading) -> bool:
    """Whether there are orders whose status a plugin made and does not list: they are in "any", but not by name."""
    before = {"before": naive_gmt(reading.started_at or datetime.now(UTC)), "dates_are_gmt": "true"}
    there = sum(max(0, load.client.count("orders", {"status": name, **before}) or 0) for name in ("any", "trash"))
    return there > reading.listed


def _not_held(page: Page, known: Known) -> Page:
    """The orders that no earlier portion of this read has brought."""
    ids = [identity for identity in page.identities if isinstance(identity, int)]
    held = known.orders_between(min(ids) - 1, max(ids)) if ids else {}
    kept = [
        (record, identity)
        for record, identity in zip(page.records, page.identities, strict=True)
        if not isinstance(identity, int)
        or identity not in held
        or held[identity].payload_sha256 != hashlib.sha256(record).hexdigest()
    ]
    return replace(page, records=[record for record, _ in kept], identities=[identity for _, identity in kept])


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
    return replace(page, records=changed, identities=[identity_of(record) for record in changed])


def _forget_unreadable(sweep: Sweep, batch: Batch, page: Page) -> None:
    """An order that breaks its contract is in quarantine and would be missed for ever: it is counted, not a finding."""
    unreadable = _refused(batch, page)
    of_them = [finding for finding in sweep.findings if finding.order_id in unreadable]
    sweep.unreadable += sum(finding.kind == "order_missed" for finding in of_them)
    dropped = [finding for finding in of_them if finding.kind in ("order_missed", "order_changed")]
    sweep.findings = [finding for finding in sweep.findings if finding not in dropped]


def _refused(batch: Batch, page: Page) -> set[int]:
    """The orders of a page that break their contract, or that the store fails to show."""
    if not batch.rejected:
        return set()
    loaded = {int(key) for key in batch.loaded_keys if key.isdigit()}
    shown = {order.order_id for order in map(shown_of, page.records) if order is not None}
    return (shown | {one.identity for one in page.unreadable if isinstance(one.identity, int)}) - loaded


def _sweep_rows(load: _Load, sweep: Sweep | None, first_read: Reading | None) -> Iterator[Any]:
    now = load.intake.now
    rows: dict[str, list[dict[str, Any]]] = {"order_sweeps": [], "sweep_findings": [], "deletions": []}
    if first_read is not None:
        first = Sweep(load.client.storage(), now, is_due=True, reads_whole=False, listed=first_read.listed)
        first.unreadable = first_read.refused
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
    state = dlt.current.resource_state()
    sweep = load.sweep()
    done = IdSet()
    try:
        is_whole = yield from _refund_collection(load, state, done)
    except HttpStatusError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        is_whole = yield from _refunds_by_order(load, state, done)
    if not is_whole:
        return
    for order_id in dict.fromkeys(sweep.refund_orders) if sweep else ():
        for page in _pages_below(load.client.walk(f"orders/{order_id}/refunds", {}, done)):
            batch = _convert(table("woocommerce", "refunds"), page, load.intake, {"parent_id": order_id})
            yield from load.intake.take(batch, "refunds")


def _refund_collection(load: _Load, state: dict[str, Any], done: IdSet) -> Generator[Any, None, bool]:
    """Returns whether it came to its end, and not only to that of a portion."""
    contract = table("woocommerce", "refunds")
    reading = load.reading("refunds", "refunds", [_since_last_load(state, load)], state)
    for walk in reading.each():
        for page in walk.pages():
            batch = _convert(contract, page, load.intake)
            reading.saw(_latest(batch, "date_created_gmt"))
            yield from load.intake.take(batch, "refunds")
            if reading.stops(walk.mark):
                return False
    for identity in reading.seen():
        done.add(identity)
    _advance(state, reading, load.intake, "refunds")
    return True


def _refunds_by_order(load: _Load, state: dict[str, Any], done: IdSet) -> Generator[Any, None, bool]:
    contract, orders = table("woocommerce", "refunds"), table("woocommerce", "orders")
    reading = load.reading("refunds", "orders", load.order_filters(_since_last_load(state, load)), state)
    is_stable: bool = reading.noted.get("is_stable", True)
    for walk in reading.each():
        for page in walk.pages():
            reading.saw(_latest(_convert(orders, replace(page, unreadable=(), notice=None), load.intake)))
            for order in _heads(_ORDER_HEAD, page, load.intake, "refunds"):
                if not order.refunds:
                    continue
                inner = load.client.walk(f"orders/{order.id}/refunds")
                for refunds in _pages_below(inner):
                    batch = _convert(contract, refunds, load.intake, {"parent_id": order.id})
                    yield from load.intake.take(batch, "refunds")
                is_stable = reading.noted["is_stable"] = is_stable and inner.complete
                for identity in inner.seen:
                    done.add(identity)
            if reading.stops(walk.mark):
                return False
    _advance(state, reading, load.intake, "refunds", is_stable=is_stable)
    return True


# -- catalogue, customers, tax rates -----------------------------------------------------------------------------------


def _products(load: _Load) -> Iterator[Any]:
    """Products changed since the last load; at the rhythm of the sweeps all, as a sale moves stock but no date."""
    state = dlt.current.resource_state()
    load.intake.counts_of("products")
    is_whole = _is_due(state, load)
    since = {} if is_whole else _since_last_load(state, load)
    reading = load.reading("products", "products", [{"status": "any", **since}], state)
    vanished = _vanished(load, state, reading, "products") if is_whole else None
    if (yield from _list(load, reading, "products", vanished)):
        _advance(state, reading, load.intake, "products")
        if is_whole and reading.complete:
            state[_READ_WHOLE] = load.intake.now.isoformat()


def _variations(load: _Load) -> Iterator[Any]:
    """Variations have no list of their own: those of changed products, and at the rhythm of the sweeps all."""
    contract = table("woocommerce", "product_variations")
    state = dlt.current.resource_state()
    load.intake.counts_of(contract.name)
    is_whole = _is_due(state, load)
    since = {} if is_whole else _since_last_load(state, load)
    reading = load.reading(contract.name, "products", [{"type": "variable", "status": "any", **since}], state)
    is_stable: bool = reading.noted.get("is_stable", True)
    for walk in reading.each():
        for products in walk.pages():
            for product in _heads(_PRODUCT_HEAD, products, load.intake, contract.name):
                below = load.client.walk(f"products/{product.id}/variations")
                for page in _pages_below(below):
                    batch = _convert(contract, page, load.intake, {"parent_id": product.id})
                    yield from load.intake.take(batch, contract.name)
                is_stable = reading.noted["is_stable"] = is_stable and below.complete
            if reading.stops(walk.mark):
                return
    reading.finish()
    if not (reading.complete and is_stable):
        _note_unstable(load.intake, contract.name)
        return
    if reading.started_at is not None:
        state[_CURSOR] = reading.started_at.isoformat(timespec="seconds")
    if is_whole:
        state[_READ_WHOLE] = load.intake.now.isoformat()


def _customers(load: _Load) -> Iterator[Any]:
    """Customers ignore every change filter: new ones by their id, and at the rhythm of the sweeps all."""
    state = dlt.current.resource_state()
    load.intake.counts_of("customers")
    highest: int | None = state.get(_HIGHEST_ID)
    if highest is None or _is_due(state, load):
        reading = load.reading("customers", "customers", [{"role": "all"}], state)
        vanished = _vanished(load, state, reading, "customers")
        if not (yield from _list(load, reading, "customers", vanished)):
            return
        reading.finish()
        highest = reading.highest
        if reading.complete:
            state[_READ_WHOLE] = load.intake.now.isoformat()
        else:
            _note_unstable(load.intake, "customers")
    else:
        # The newest hundred, and on until one comes that is known.
        former = highest
        walk = load.client.walk("customers", {"role": "all"})
        for page in walk.newest_first(lambda identity: isinstance(identity, int) and identity <= former):
            yield from load.intake.take(_convert(table("woocommerce", "customers"), page, load.intake), "customers")
            highest = max([highest, *(identity for identity in page.identities if isinstance(identity, int))])
    if highest is not None:
        state[_HIGHEST_ID] = highest


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


def _vanished(load: _Load, state: dict[str, Any], reading: Reading, resource: str) -> Vanished | None:
    """What looks for deleted records during a whole read; not during the first, before which nothing was held."""
    return Vanished(load.known.ids(resource), reading.noted) if _READ_WHOLE in state else None


def _list(load: _Load, reading: Reading, resource: str, vanished: Vanished | None) -> Generator[Any, None, bool]:
    """Take a list, and what is no longer in it; returns whether it came to its end, and not only a portion's."""
    contract, intake = table("woocommerce", resource), load.intake
    for walk in reading.each():
        for page in walk.pages():
            batch = _convert(contract, page, intake)
            reading.saw(_latest(batch))
            yield from intake.take(batch, resource)
            if vanished is not None:
                vanished.look_at([*page.identities, *(one.identity for one in page.unreadable if one.identity)])
            if reading.stops(walk.mark):
                return False
    if vanished is not None and reading.complete:
        gone: list[dict[str, Any]] = []
        for record_id, record in vanished.proved(load.client, resource):
            if record is None:
                gone.append(tombstone(resource, record_id).row(intake.now))
            elif record_id not in reading:
                page = Page([record], f"GET {resource}/{record_id}", [record_id])
                yield from intake.take(_convert(contract, page, intake), resource)
        if gone:
            deletions = table("woocommerce", "deletions")
            yield merge_item(deletions, from_rows(deletions, gone, instance=intake.instance, loaded_at=intake.now))
    return True


# -- what is asked for by id -------------------------------------------------------------------------------------------


def _orders_asked(load: _Load) -> Iterator[Any]:
    """Orders by id, of whatever status, each with its refunds; one that is gone is left to the sweep."""
    orders, refunds = table("woocommerce", "orders"), table("woocommerce", "refunds")
    fulfilments = Fulfilments(load.client, load.known, load.intake)
    for page in orders_by_id(load.client, load.statuses, load.intake.asked["orders"]):
        yield from load.intake.take(_convert(orders, page, load.intake), "orders")
        yield from fulfilments.of(page)
        for order in _heads(_ORDER_HEAD, page, load.intake, "refunds"):
            if not order.refunds:
                continue
            for below in _pages_below(load.client.walk(f"orders/{order.id}/refunds")):
                batch = _convert(refunds, below, load.intake, {"parent_id": order.id})
                yield from load.intake.take(batch, "refunds")


def _products_asked(load: _Load) -> Iterator[Any]:
    variations = table("woocommerce", "product_variations")
    for product_id in load.intake.asked["products"]:
        page = _record_page(load, "products", product_id)
        if page is None:
            continue
        yield from load.intake.take(_convert(table("woocommerce", "products"), page, load.intake), "products")
        for below in _pages_below(load.client.walk(f"products/{product_id}/variations")):
            batch = _convert(variations, below, load.intake, {"parent_id": product_id})
            yield from load.intake.take(batch, variations.name)


def _customers_asked(load: _Load) -> Iterator[Any]:
    for customer_id in load.intake.asked["customers"]:
        page = _record_page(load, "customers", customer_id)
        if page is not None:
            yield from load.intake.take(_convert(table("woocommerce", "customers"), page, load.intake), "customers")


def _record_page(load: _Load, path: str, record_id: int) -> Page | None:
    """One record as a page of one; None if the store no longer has it."""
    origin = f"GET {path}/{record_id}"
    try:
        record = load.client.record(path, record_id)
    except BrokenRecordError as error:
        return Page([], origin, [], [Unreadable(record_id, 1, str(error))])
    return None if record is None else Page([record], origin, [record_id])


# -- what all have in common -------------------------------------------------------------------------------------------


def _heads(decoder: msgspec.json.Decoder[Any], page: Page, intake: Intake, name: str) -> Iterator[Any]:
    """The records whose own lists are to be read; one that is too broken for that does not stop the others."""
    intake.counts_of(name).notes.extend(
        f"{page.origin}: the store fails to show {one.name}, so what belongs to it is missing"
        for one in page.unreadable
    )
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
    origin = f"{intake.instance}: {page.origin}"
    notes = intake.counts_of(contract.name).notes
    if page.notice is not None and not any(note.startswith(_PHP_SPEAKS) for note in notes):
        notes.append(f"{_PHP_SPEAKS}, which its owner should switch off (display_errors): {page.notice}")
    batch = convert(
        contract,
        page.records,
        instance=intake.instance,
        loaded_at=intake.now,
        origin=origin,
        given=[given] * len(page.records) if given else None,
    )
    if contract.name == "orders":
        batch = with_readable_cards(batch, instance=intake.instance, loaded_at=intake.now, origin=origin)
    if not page.unreadable:
        return batch
    rejected = []
    for one in page.unreadable:
        notes.append(f"{page.origin}: the store fails to show {one.name}, and only that; it is in quarantine")
        key = None if one.identity is None else str(one.identity)
        # There is nothing to keep but its name, and where it stood.
        kept = json.dumps({"id": one.identity} if one.identity is not None else {"record": one.place}).encode()
        reason = "the store fails to show this record, though it shows those around it"
        rejected.append(Rejection(key, None, None, reason, f"{origin}, {one.name}: {one.reason}", kept))
    return replace(batch, received=batch.received + len(rejected), rejected=[*batch.rejected, *rejected])


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


def _latest(batch: Batch, column: str = "date_modified_gmt") -> datetime | None:
    rows = batch.tables.get(batch.contract)
    return pc.max(rows.column(column)).as_py() if rows is not None and rows.num_rows else None


def _advance(state: dict[str, Any], reading: Reading, intake: Intake, name: str, *, is_stable: bool = True) -> None:
    """Move the cursor to the newest change seen, but never past the start of the read nor after an unstable one."""
    reading.finish()
    if not (reading.complete and is_stable):
        _note_unstable(intake, name)
        return
    if reading.newest is None:
        return
    reached = min(moment for moment in (reading.newest, reading.started_at) if moment is not None)
    cursor = reached.astimezone(UTC).isoformat(timespec="seconds")
    state[_CURSOR] = max(cursor, state.get(_CURSOR, cursor))


def _note_unstable(intake: Intake, name: str) -> None:
    intake.counts_of(name).notes.append(
        "the list kept shrinking while it was read: what was read is loaded, and the next run reads it all again"
    )
