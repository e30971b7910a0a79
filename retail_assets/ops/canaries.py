"""Canaries: synthetic orders of ours, from before they are placed until the marts have shown them."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine, insert, select, update

from retail_assets.ops.models import canaries
from retail_assets.ops.store import reading, writing

_TOKEN_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Canary:
    """One synthetic order; ``token`` is what it carries, ``order_id`` None until the store has answered, or it came."""

    token: str
    store_id: str
    state: str
    order_id: int | None
    placed_at: datetime
    answered_at: datetime | None
    loaded_at: datetime | None
    seen_at: datetime | None
    message: str | None
    removed_at: datetime | None


def begin(engine: Engine, store_id: str, *, now: datetime) -> str:
    """Write down that one is about to be placed; returns the token that it carries."""
    token = secrets.token_hex(_TOKEN_BYTES)
    with writing(engine) as connection:
        connection.execute(insert(canaries).values(token=token, store_id=store_id, state="placing", placed_at=now))
    return token


def placed(engine: Engine, token: str, order_id: int, *, now: datetime) -> None:
    """The store has taken it."""
    _set(engine, token, state="placed", order_id=order_id, answered_at=now)


def refused(engine: Engine, token: str, message: str, *, now: datetime) -> None:
    """The store has not taken it."""
    _set(engine, token, state="refused", message=message, answered_at=now)


def unanswered(engine: Engine, token: str, message: str) -> None:
    """Whether the store has taken it is not known: the answer was lost. The next load tells."""
    _set(engine, token, state="unanswered", message=message)


def seen(engine: Engine, token: str, order_id: int, *, loaded_at: datetime, now: datetime) -> None:
    """The marts show it, as this order of its store: also if no answer of the store said so."""
    _set(engine, token, state="seen", order_id=order_id, loaded_at=loaded_at, seen_at=now)


def removed(engine: Engine, token: str, *, now: datetime) -> None:
    """Its order is in the store's trash."""
    _set(engine, token, removed_at=now)


def all_of(engine: Engine, store_id: str | None = None) -> list[Canary]:
    """Every canary, of one store or all, the newest first."""
    statement = select(canaries).order_by(canaries.c.placed_at.desc(), canaries.c.token)
    if store_id is not None:
        statement = statement.where(canaries.c.store_id == store_id)
    with reading(engine) as connection:
        return [Canary(**row._mapping) for row in connection.execute(statement)]


def rows(engine: Engine) -> Iterator[dict[str, Any]]:
    """Every canary with the columns of ``raw_ops.canaries``."""
    with reading(engine) as connection:
        for row in connection.execute(select(canaries).order_by(canaries.c.placed_at, canaries.c.token)):
            yield dict(row._mapping)


def _set(engine: Engine, token: str, **values: Any) -> None:
    with writing(engine) as connection:
        connection.execute(update(canaries).where(canaries.c.token == token).values(**values))
