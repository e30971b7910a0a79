"""The dlt source of one WooCommerce store."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

import dlt
import msgspec
from dlt.sources import DltResource

from retail_assets.contracts import Table, table
from retail_assets.http import HttpStatusError
from retail_assets.settings import Store
from retail_assets.sources.intake import Intake
from retail_assets.sources.records import Batch, convert
from retail_assets.sources.schema import compute as pc
from retail_assets.sources.warehouse import SCHEMA_CONTRACT
from retail_assets.sources.woocommerce.client import Page, StoreClient, Walk

#: Read again on every run: covers second-resolution cursors, late commits and clocks that differ a little.
OVERLAP: Final = timedelta(minutes=10)

_CURSOR: Final = "modified_after"


class _OrderHead(msgspec.Struct):
    id: int
    refunds: list[Any] | None = None


_ORDER_HEAD: Final = msgspec.json.Decoder(_OrderHead)


class _ProductHead(msgspec.Struct):
    id: int


_PRODUCT_HEAD: Final = msgspec.json.Decoder(_ProductHead)


@dlt.source(name="woocommerce", max_table_nesting=0)
def woocommerce_source(store: Store, intake: Intake) -> Sequence[DltResource]:
    """Orders, refunds, products, variations, customers and tax rates of one store.

    Orders, refunds and products are read from where the last load ended, less an overlap; customers, variations and tax
    rates, for which WooCommerce has no usable change filter, in full. Nothing is read before the resource is iterated.

    Args:
        store: address and keys.
        intake: counts what comes in and quarantines what breaks its contract.
    """
    client = StoreClient(store)

    def resource(name: str, rows: Any) -> DltResource:
        return dlt.resource(rows, name=name, schema_contract=SCHEMA_CONTRACT, write_disposition="merge")

    return (
        resource("orders", lambda: _orders(client, intake)),
        resource("refunds", lambda: _refunds(client, intake)),
        resource("products", lambda: _changed(client, intake, "products", {"status": "any"})),
        resource("product_variations", lambda: _variations(client, intake)),
        resource("customers", lambda: _all(client, intake, "customers", "customers", {"role": "all"})),
        resource("tax_rates", lambda: _all(client, intake, "tax_rates", "taxes", {})),
    )


def _orders(client: StoreClient, intake: Intake) -> Iterator[Any]:
    # Trashed orders leave every other list, "any" included, and have to be asked for by themselves.
    yield from _changed(client, intake, "orders", {"status": "any"}, {"status": "trash"})


def _changed(client: StoreClient, intake: Intake, name: str, *walks: Mapping[str, Any]) -> Iterator[Any]:
    """Records changed since the last load, over one or more lists of the same table."""
    state = dlt.current.resource_state()
    params = _since(state.get(_CURSOR))
    intake.counts_of(name)
    done: list[Walk] = []
    newest: datetime | None = None
    for filters in walks:
        walk = client.walk(name, {**filters, **params}, frozenset().union(*(earlier.seen for earlier in done)))
        for page in walk.pages():
            batch = _convert(table("woocommerce", name), page, intake)
            newest = _newest(newest, batch, table("woocommerce", name))
            yield from intake.take(batch, name)
        done.append(walk)
    _advance(state, newest, done, intake, name)


def _refunds(client: StoreClient, intake: Intake) -> Iterator[Any]:
    """Refunds by their own collection; WooCommerce before 9.0 lacks it and is asked order by order."""
    intake.counts_of("refunds")
    if client.has("refunds"):
        yield from _refund_collection(client, intake)
    else:
        yield from _refunds_by_order(client, intake)


def _refund_collection(client: StoreClient, intake: Intake) -> Iterator[Any]:
    state = dlt.current.resource_state()
    contract = table("woocommerce", "refunds")
    walk = client.walk("refunds", _since(state.get(_CURSOR)))
    newest: datetime | None = None
    for page in walk.pages():
        batch = _convert(contract, page, intake)
        newest = _newest(newest, batch, contract, "date_created_gmt")
        yield from intake.take(batch, "refunds")
    _advance(state, newest, [walk], intake, "refunds")


def _refunds_by_order(client: StoreClient, intake: Intake) -> Iterator[Any]:
    state = dlt.current.resource_state()
    contract = table("woocommerce", "refunds")
    newest: datetime | None = None
    walks = [client.walk("orders", {"status": status, **_since(state.get(_CURSOR))}) for status in ("any", "trash")]
    orders = table("woocommerce", "orders")
    inner: list[Walk] = []
    for walk in walks:
        for page in walk.pages():
            newest = _newest(newest, _convert(orders, page, intake), orders)
            for order in _heads(_ORDER_HEAD, page, intake, "refunds"):
                if not order.refunds:
                    continue
                inner.append(client.walk(f"orders/{order.id}/refunds"))
                for refunds in _pages_below(inner[-1]):
                    batch = _convert(contract, refunds, intake, {"parent_id": order.id})
                    yield from intake.take(batch, "refunds")
    _advance(state, newest, [*walks, *inner], intake, "refunds")


def _variations(client: StoreClient, intake: Intake) -> Iterator[Any]:
    contract = table("woocommerce", "product_variations")
    intake.counts_of(contract.name)
    for products in client.walk("products", {"type": "variable", "status": "any"}).pages():
        for product in _heads(_PRODUCT_HEAD, products, intake, contract.name):
            for page in _pages_below(client.walk(f"products/{product.id}/variations")):
                yield from intake.take(_convert(contract, page, intake, {"parent_id": product.id}), contract.name)


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


def _all(client: StoreClient, intake: Intake, name: str, path: str, filters: Mapping[str, Any]) -> Iterator[Any]:
    intake.counts_of(name)
    walk = client.walk(path, filters)
    for page in walk.pages():
        yield from intake.take(_convert(table("woocommerce", name), page, intake), name)
    if not walk.complete:
        _note_unstable(intake, name)


def _convert(contract: Table, page: Page, intake: Intake, given: Mapping[str, Any] | None = None) -> Batch:
    return convert(
        contract,
        page.records,
        instance=intake.instance,
        loaded_at=intake.now,
        origin=f"{intake.instance}: {page.origin}",
        given=[given] * len(page.records) if given else None,
    )


def _since(cursor: str | None) -> dict[str, str]:
    """Naive GMT with the flag: the one form that WooCommerce does not shift by the site's time zone."""
    if cursor is None:
        return {}
    start = datetime.fromisoformat(cursor) - OVERLAP
    return {"modified_after": start.replace(tzinfo=None).isoformat(timespec="seconds"), "dates_are_gmt": "true"}


def _newest(
    so_far: datetime | None, batch: Batch, contract: Table, column: str = "date_modified_gmt"
) -> datetime | None:
    rows = batch.tables.get(contract)
    latest = pc.max(rows.column(column)).as_py() if rows is not None and rows.num_rows else None
    return max((moment for moment in (so_far, latest) if moment is not None), default=None)


def _advance(state: dict[str, Any], newest: datetime | None, walks: Sequence[Walk], intake: Intake, name: str) -> None:
    """Move the cursor to the newest change seen, but never past the start of the walk nor after an unstable one."""
    if not all(walk.complete for walk in walks):
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
        "the list changed during each of three walks: what was read is loaded, and the next run reads it all again"
    )
