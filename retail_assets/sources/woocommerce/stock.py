"""A store's stock: read anew, and set in batches; a quantity is set, never added to."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from retail_assets.sources.woocommerce.client import StoreClient
from retail_assets.sources.woocommerce.pages import UnexpectedAnswerError, body_of

#: WooCommerce refuses batches, and pages, of more.
BATCH_SIZE: Final = 100
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_FIELDS: Final = "id,manage_stock,stock_quantity"
#: What has taken its pieces off the stock that the store shows, and not left yet.
_OPEN: Final = "processing,on-hold"


@dataclass(frozen=True, slots=True, order=True)
class Article:
    """A product, or a variation of one (0: no variation)."""

    product_id: int
    variation_id: int = 0

    @property
    def record_id(self) -> int:
        """The id that the store answers with."""
        return self.variation_id or self.product_id


@dataclass(frozen=True, slots=True)
class Shown:
    """What a store shows of an article; it tracks no quantity of one that is not managed by itself."""

    is_managed: bool
    quantity: Decimal | None


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that keeps pieces: (SKU, quantity) of each line that has an SKU."""

    order_id: int
    pieces: tuple[tuple[str, Decimal], ...]


def batches(articles: Iterable[Article]) -> Iterator[tuple[str, list[Article]]]:
    """Articles as they can be asked for and sent together: the path of their list, and at most 100 of them."""
    by_path: dict[str, list[Article]] = defaultdict(list)
    for article in sorted(articles):
        path = f"products/{article.product_id}/variations" if article.variation_id else "products"
        by_path[path].append(article)
    for path, found in by_path.items():
        for start in range(0, len(found), BATCH_SIZE):
            yield path, found[start : start + BATCH_SIZE]


def read_stock(client: StoreClient, articles: Iterable[Article]) -> dict[Article, Shown]:
    """What the store shows now; an article that it does not have is left out.

    Raises:
        HttpError: the store does not answer, or refuses.
    """
    found: dict[Article, Shown] = {}
    for path, some in batches(articles):
        ids = ",".join(str(article.record_id) for article in some)
        records = _list(client.get(path, {"include": ids, "per_page": BATCH_SIZE, "_fields": _FIELDS}))
        by_id = {record.get("id"): record for record in records}
        for article in some:
            record = by_id.get(article.record_id)
            if record is not None:
                # A variation may say "parent": its number is the product's, and not its own to set.
                managed = record.get("manage_stock") is True
                found[article] = Shown(managed, _number(record.get("stock_quantity")))
    return found


def set_stock(client: StoreClient, path: str, quantities: Mapping[Article, int]) -> dict[Article, str]:
    """Set the quantities of one batch; returns what the store refused, in its words.

    Raises:
        HttpStatusError: the store refused the whole batch.
        HttpUnavailableError: there was no answer; it may have been done.
    """
    by_id = {article.record_id: article for article in quantities}
    body = {"update": [{"id": one.record_id, "stock_quantity": quantity} for one, quantity in quantities.items()]}
    answer = _DECODER.decode(body_of(client.post(f"{path}/batch", body)))
    records = answer.get("update") if isinstance(answer, dict) else None
    if not isinstance(records, list):
        raise UnexpectedAnswerError(f"{path}/batch was not answered with the list of what was updated")
    refused: dict[Article, str] = {}
    for record in records:
        error, article = record.get("error"), by_id.get(record.get("id"))
        if error and article is not None:
            refused[article] = f"{error.get('code')}: {error.get('message')}"
    return refused


def open_orders_since(client: StoreClient, moment: datetime) -> Iterator[OpenOrder]:
    """The open orders that changed after ``moment``.

    Raises:
        HttpError: the store does not answer, or refuses.
    """
    # With dates_are_gmt a zone in the value would be shifted once more.
    after = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return _open_orders(client, {"modified_after": after, "dates_are_gmt": "true"})


def open_orders_among(client: StoreClient, order_ids: Iterable[int]) -> Iterator[OpenOrder]:
    """Those of these orders that are open now.

    Raises:
        HttpError: the store does not answer, or refuses.
    """
    wanted = sorted(order_ids)
    for start in range(0, len(wanted), BATCH_SIZE):
        yield from _open_orders(client, {"include": ",".join(map(str, wanted[start : start + BATCH_SIZE]))})


def _open_orders(client: StoreClient, query: Mapping[str, str]) -> Iterator[OpenOrder]:
    query = {
        **query,
        "status": _OPEN,
        "orderby": "id",
        "order": "asc",
        "per_page": str(BATCH_SIZE),
        "_fields": "id,line_items",
    }
    page = 1
    while True:
        records = _list(client.get("orders", {**query, "page": str(page)}))
        for record in records:
            pieces = tuple(
                (line["sku"], quantity)
                for line in record.get("line_items", ())
                if line.get("sku") and (quantity := _number(line.get("quantity")))
            )
            yield OpenOrder(record["id"], pieces)
        if len(records) < BATCH_SIZE:
            return
        page += 1


def _list(response: Any) -> Sequence[Mapping[str, Any]]:
    records = _DECODER.decode(body_of(response))
    if not isinstance(records, list):
        raise UnexpectedAnswerError("the store answered with something else than a list")
    return records


def _number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)
