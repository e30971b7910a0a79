"""What the ERP was found to hold of each document that we ever posted: the last word, one row a document."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

from sqlalchemy import Connection, Engine, insert, select, update

from retail_assets.ops.models import attestations, posting_outbox
from retail_assets.ops.outbox import Posting
from retail_assets.ops.store import reading

AttestedState = Literal["equal", "differs", "missing", "unreadable"]
EQUAL: Final = "equal"


@dataclass(frozen=True, slots=True)
class Attestation:
    """One document: ``detail`` says in words in what it departs from what was posted; None when it is equal."""

    posting_key: str
    entity_code: str
    erp_id: str
    erp_document: str
    state: AttestedState
    detail: str | None
    since: datetime
    checked_at: datetime


def record(
    connection: Connection, posting: Posting, state: AttestedState, detail: str | None, *, now: datetime
) -> AttestedState | None:
    """Write down what a look at the ERP found; returns the state before, None if nobody had looked yet."""
    found = attestations.c.posting_key == posting.posting_key
    before = connection.execute(
        select(attestations.c.state, attestations.c.since).where(found).with_for_update()
    ).one_or_none()
    values = {
        "entity_code": posting.entity_code,
        "erp_id": posting.erp_id,
        "erp_document": posting.erp_document,
        "state": state,
        "detail": detail,
        "since": before.since if before and before.state == state else now,
        "checked_at": now,
    }
    if before is None:
        connection.execute(insert(attestations).values(posting_key=posting.posting_key, **values))
        return None
    connection.execute(update(attestations).where(found).values(**values))
    return before.state


def attested(engine: Engine, *, entity_code: str | None = None) -> list[Attestation]:
    """What was found at the last look, by posting key."""
    statement = select(attestations).order_by(attestations.c.posting_key)
    if entity_code is not None:
        statement = statement.where(attestations.c.entity_code == entity_code)
    with reading(engine) as connection:
        return [Attestation(**row._mapping) for row in connection.execute(statement)]


def rows(engine: Engine) -> Iterator[dict[str, Any]]:
    """Every attestation with the columns of ``raw_ops.attestations``; ``amount`` in the currency of the books."""
    statement = (
        select(attestations, posting_outbox.c.entry_id, posting_outbox.c.payload)
        .join(posting_outbox, posting_outbox.c.posting_key == attestations.c.posting_key)
        .order_by(attestations.c.posting_key)
    )
    with reading(engine) as connection:
        for row in connection.execute(statement):
            values = dict(row._mapping)
            payload = json.loads(values.pop("payload"))
            values["amount"] = sum((Decimal(line["base_debit"]) for line in payload["lines"]), Decimal(0))
            values["currency_code"] = payload["base_currency_code"]
            yield values
