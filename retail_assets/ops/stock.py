"""What was written into the stock of stores: before, after and read back; and when each article was last right.

A write sets a quantity, it adds nothing: one whose answer was lost may be sent again, and what was noted as sent is
settled by the next look at the store.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

from sqlalchemy import Engine, insert, select, update

from retail_assets.ops import audit
from retail_assets.ops.canonical import canonical_json, sha256_hex
from retail_assets.ops.models import stock_confirmations, stock_writes
from retail_assets.ops.store import EXCLUDED, reading, upsert, writing

WriteState = Literal["sent", "confirmed", "differs", "refused", "unanswered"]
SENT: Final = "sent"
_ID_LENGTH: Final = 32
_QUANTITIES: Final = ("before_quantity", "target_quantity", "read_back_quantity")


@dataclass(frozen=True, slots=True)
class StockWrite:
    """One quantity set in one store; ``variation_id`` None for a product without variations."""

    write_id: str
    store_id: str
    product_id: int
    variation_id: int | None
    sku: str
    run_id: str
    before: Decimal
    target: Decimal


@dataclass(frozen=True, slots=True)
class Settled:
    """How a write ended: ``shown`` is what the store showed afterwards, None if it could not be read."""

    write: StockWrite
    state: WriteState
    shown: Decimal | None
    message: str | None = None


def write_of(
    store_id: str, product_id: int, variation_id: int | None, sku: str, run_id: str, before: Decimal, target: Decimal
) -> StockWrite:
    """A write with its id: the same article in the same run has the same, forever."""
    content = canonical_json([store_id, product_id, variation_id, run_id])
    return StockWrite(sha256_hex(content)[:_ID_LENGTH], store_id, product_id, variation_id, sku, run_id, before, target)


def lock_name(store_id: str) -> str:
    """The lock under which a store's stock is written."""
    return f"stock:{store_id}"


def note_sent(engine: Engine, writes: Sequence[StockWrite], *, actor: str, now: datetime) -> None:
    """Write down, with the audit entry, what is about to be sent to one store."""
    with writing(engine) as connection:
        connection.execute(
            insert(stock_writes),
            [
                {
                    "write_id": write.write_id,
                    "store_id": write.store_id,
                    "product_id": write.product_id,
                    "variation_id": write.variation_id,
                    "sku": write.sku,
                    "run_id": write.run_id,
                    "actor": actor,
                    "before_quantity": str(write.before),
                    "target_quantity": str(write.target),
                    "state": SENT,
                    "sent_at": now,
                }
                for write in writes
            ],
        )
        audit.append(
            connection,
            at=now,
            actor=actor,
            action="stock_sent",
            subject=f"stock:{writes[0].store_id}",
            details={
                "run_id": writes[0].run_id,
                "articles": {one.sku: {"before": one.before, "target": one.target} for one in writes},
            },
        )


def note_settled(engine: Engine, settled: Sequence[Settled], *, actor: str, now: datetime) -> None:
    """Write down, with the audit entry, how writes to one store ended."""
    if not settled:
        return
    with writing(engine) as connection:
        for one in settled:
            connection.execute(
                update(stock_writes)
                .where(stock_writes.c.write_id == one.write.write_id)
                .values(
                    state=one.state,
                    read_back_quantity=None if one.shown is None else str(one.shown),
                    message=one.message,
                    settled_at=now,
                )
            )
        audit.append(
            connection,
            at=now,
            actor=actor,
            action="stock_settled",
            subject=f"stock:{settled[0].write.store_id}",
            details={
                "articles": {
                    one.write.sku: {
                        "run_id": one.write.run_id,
                        "state": one.state,
                        "read_back": one.shown,
                        "message": one.message,
                    }
                    for one in settled
                }
            },
        )


def note_confirmed(engine: Engine, store_id: str, shown: Mapping[str, tuple[Decimal, datetime]]) -> None:
    """Write down which articles the store was seen to show as they are to be promised.

    Args:
        shown: by SKU what it shows, and the moment of the ERP's stock that this follows from.
    """
    rows = [
        {"store_id": store_id, "sku": sku, "quantity": str(quantity), "confirmed_at": counted_at}
        for sku, (quantity, counted_at) in sorted(shown.items())
    ]
    with writing(engine) as connection:
        upsert(connection, stock_confirmations, rows, {"quantity": EXCLUDED, "confirmed_at": EXCLUDED})


def unsettled(engine: Engine, store_id: str) -> list[StockWrite]:
    """Writes to a store of which nobody noted how they ended: whoever sent them died before."""
    statement = (
        select(stock_writes)
        .where(stock_writes.c.store_id == store_id, stock_writes.c.state == SENT)
        .order_by(stock_writes.c.sent_at, stock_writes.c.write_id)
    )
    with reading(engine) as connection:
        return [
            StockWrite(
                row.write_id,
                row.store_id,
                row.product_id,
                row.variation_id,
                row.sku,
                row.run_id,
                Decimal(row.before_quantity),
                Decimal(row.target_quantity),
            )
            for row in connection.execute(statement)
        ]


def rows(engine: Engine) -> Iterator[dict[str, Any]]:
    """Every write, oldest first, with the columns of ``raw_ops.stock_writes`` and ``actor`` and ``message``."""
    statement = select(stock_writes).order_by(stock_writes.c.sent_at, stock_writes.c.write_id)
    with reading(engine) as connection:
        for row in connection.execute(statement):
            values = dict(row._mapping)
            for name in _QUANTITIES:
                values[name] = None if values[name] is None else Decimal(values[name])
            yield values


def confirmation_rows(engine: Engine) -> Iterator[dict[str, Any]]:
    """When each article was last right, with the columns of ``raw_ops.stock_confirmations``."""
    statement = select(stock_confirmations).order_by(stock_confirmations.c.store_id, stock_confirmations.c.sku)
    with reading(engine) as connection:
        for row in connection.execute(statement):
            yield {**row._mapping, "quantity": Decimal(row.quantity)}
