"""Writing a store's stock: noted, sent, read back, compared, noted again."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from sqlalchemy import Engine

from retail_assets.defs.inventory.planning import Change, StockPlan, plan_stock, store_with_stock
from retail_assets.http import HttpError, HttpStatusError
from retail_assets.ops import audit, stock
from retail_assets.ops.stock import Settled, StockWrite
from retail_assets.ops.store import exclusive
from retail_assets.settings import Settings
from retail_assets.sources.woocommerce.client import StoreClient
from retail_assets.sources.woocommerce.pages import UnexpectedAnswerError
from retail_assets.sources.woocommerce.stock import Article, Shown, batches, read_stock, set_stock

_WAIT_SECONDS: Final = 60


class TooManyChangesError(Exception):
    """The run would change more than is allowed at once; nothing was sent."""


@dataclass(slots=True)
class PushResult:
    """What a run did: ``settled`` what it sent, ``resumed`` what an earlier run had sent and not settled."""

    plan: StockPlan
    settled: list[Settled] = field(default_factory=list)
    resumed: list[Settled] = field(default_factory=list)

    @property
    def problems(self) -> list[Settled]:
        """Writes that did not end as they were meant."""
        return [one for one in self.settled if one.state != "confirmed"]

    @property
    def ok(self) -> bool:
        return not self.problems


def push_stock(
    settings: Settings,
    operations: Engine,
    store_id: str,
    *,
    run_id: str,
    actor: str,
    allow_large: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> PushResult:
    """Make a store show what may be promised, and prove that it does.

    What is to be sent is written down first. A run that dies may be followed by another at any moment: quantities are
    set and not added to, and what the dead one had sent is settled by what the store shows.

    Raises:
        StockError: the marts are no ground to write on.
        TooManyChangesError: more would change than the store's limits allow; nothing was sent.
        HttpError: the store does not answer, or refuses all.
        LockHeldError: another run is writing this store's stock.
    """
    store, limits = store_with_stock(settings, store_id)
    with exclusive(operations, stock.lock_name(store_id), wait_seconds=_WAIT_SECONDS):
        audit.require_anchor_holds(operations, settings.audit_anchor_path)
        left = stock.unsettled(operations, store_id)
        plan = plan_stock(settings, store_id, also=[_article(write) for write in left])
        result = PushResult(plan)
        with closing(StoreClient(store)) as client:
            if left:
                shown = read_stock(client, [_article(write) for write in left])
                result.resumed = [_resumed(write, shown.get(_article(write))) for write in left]
                stock.note_settled(operations, result.resumed, actor=actor, now=settings.now())
            refusal = None if allow_large else plan.refusal(limits)
            if refusal is None:
                result.settled = _send_all(settings, operations, client, plan, run_id, actor, progress)
        right = dict(plan.right)
        counted = {change.sku: change.counted_at for change in plan.changes}
        for one in result.settled:
            if one.state == "confirmed":
                right[one.write.sku] = (one.write.target, counted[one.write.sku])
        stock.note_confirmed(operations, store_id, right)
        if result.settled or result.resumed:
            audit.write_anchor(operations, settings.audit_anchor_path, now=settings.now())
    if refusal is not None:
        raise TooManyChangesError(refusal)
    return result


def _send_all(
    settings: Settings,
    operations: Engine,
    client: StoreClient,
    plan: StockPlan,
    run_id: str,
    actor: str,
    progress: Callable[[str], None],
) -> list[Settled]:
    settled: list[Settled] = []
    changes = {change.article: change for change in plan.changes}
    for path, some in batches(changes):
        writes = [_write(plan.store_id, run_id, changes[article]) for article in some]
        stock.note_sent(operations, writes, actor=actor, now=settings.now())
        done = _send(client, path, writes)
        stock.note_settled(operations, done, actor=actor, now=settings.now())
        settled += done
        progress(f"{len(settled)} of {len(changes)} articles")
    return settled


def _send(client: StoreClient, path: str, writes: Sequence[StockWrite]) -> list[Settled]:
    """Send one batch and look at what the store shows then: its answer alone proves nothing."""
    by_article = {_article(write): write for write in writes}
    refused: dict[Article, str] = {}
    whole: str | None = None
    try:
        refused = set_stock(client, path, {article: int(write.target) for article, write in by_article.items()})
    except HttpStatusError as error:
        whole = f"the store refused the batch: {error}" + (
            "; give the store a key that may write (WooCommerce, Settings, Advanced, REST API)"
            if error.status in (401, 403)
            else ""
        )
    except (HttpError, UnexpectedAnswerError) as error:
        whole = str(error)
    try:
        shown = read_stock(client, by_article)
    except (HttpError, UnexpectedAnswerError) as error:
        message = refused or whole or f"it was sent and cannot be read back: {error}"
        return [Settled(write, "unanswered", None, _text(message, article)) for article, write in by_article.items()]
    return [_settled(write, shown.get(article), refused.get(article) or whole) for article, write in by_article.items()]


def _text(message: str | dict[Article, str], article: Article) -> str:
    return message if isinstance(message, str) else message.get(article, "it was sent and cannot be read back")


def _settled(write: StockWrite, shown: Shown | None, refusal: str | None) -> Settled:
    quantity = shown.quantity if shown else None
    if quantity == write.target:
        return Settled(write, "confirmed", quantity)
    if refusal is not None:
        return Settled(write, "refused", quantity, refusal)
    if quantity is None:
        return Settled(write, "differs", None, "the store does not show the article any more")
    return Settled(
        write, "differs", quantity, f"the store shows {quantity:f}: it was sold or changed meanwhile, or not taken"
    )


def _resumed(write: StockWrite, shown: Shown | None) -> Settled:
    quantity: Decimal | None = shown.quantity if shown else None
    if quantity == write.target:
        return Settled(write, "confirmed", quantity, "the run that sent it died; the store shows it")
    return Settled(write, "differs", quantity, "the run that sent it died; the store shows something else")


def _write(store_id: str, run_id: str, change: Change) -> StockWrite:
    article = change.article
    return stock.write_of(
        store_id, article.product_id, article.variation_id or None, change.sku, run_id, change.shown, change.target
    )


def _article(write: StockWrite) -> Article:
    return Article(write.product_id, write.variation_id or 0)
