"""The posting outbox: what is to be posted, is being posted and was posted, one row for each document.

States: ``claimed`` (written down, certainly not sent) → ``sent`` (the request went out; nobody knows yet what became of
it) → ``posted`` (read back and equal to what was intended) or ``failed`` (refused by the ERP, or found there with other
content). Writing ``sent`` before the request leaves is what makes a crash at any point recoverable.

Every change names the worker that claimed the row and touches nothing if the claim has passed to somebody else. Workers
take the lock ``posting_lock_name`` first: it ends with the process that holds it, so whoever holds it may take over the
claims of a dead worker without waiting for a time-out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from retail_assets.ops.canonical import sha256_hex
from retail_assets.ops.models import posting_outbox
from retail_assets.ops.store import reading

CLAIMED: Final = "claimed"
SENT: Final = "sent"
POSTED: Final = "posted"
FAILED: Final = "failed"

_WAREHOUSE_COLUMNS: Final = (
    "posting_key",
    "entry_id",
    "revision",
    "kind",
    "entity_code",
    "erp_id",
    "state",
    "content_hash",
    "erp_document",
    "posting_date",
    "posted_at",
)


class ClaimLostError(Exception):
    """The row is claimed by another worker by now: stop, and leave the document to it."""


class PostingConflictError(Exception):
    """The key already stands for other content: the plan is out of date."""


@dataclass(frozen=True, slots=True)
class NewPosting:
    """A document to be posted.

    ``payload`` is the canonical JSON of the document, ``content_hash`` the hash of the desired entry it comes from.
    """

    posting_key: str
    entry_id: str
    revision: int
    kind: str
    entity_code: str
    erp_id: str
    content_hash: str
    payload: str
    posting_date: date

    @property
    def payload_hash(self) -> str:
        return sha256_hex(self.payload)


@dataclass(frozen=True, slots=True)
class Posting:
    """A row of the outbox."""

    posting_key: str
    entry_id: str
    revision: int
    kind: str
    entity_code: str
    erp_id: str
    state: str
    content_hash: str
    payload: str
    payload_hash: str
    posting_date: date
    erp_document: str | None
    posted_at: datetime | None
    attempts: int
    error_code: str | None
    last_error: str | None
    claimed_by: str | None
    run_id: str
    actor: str
    created_at: datetime
    updated_at: datetime


_COLUMNS: Final = tuple(posting_outbox.c[field.name] for field in fields(Posting))


def posting_lock_name(entity_code: str) -> str:
    """The name of the lock (``store.exclusive``) under which an entity's documents are posted."""
    return f"posting-{entity_code}"


def claim(connection: Connection, new: NewPosting, *, worker: str, run_id: str, actor: str, now: datetime) -> Posting:
    """Claim a document for ``worker``, who holds the entity's posting lock.

    Returns:
        The row. Its state says what to do: ``claimed`` look up, then send; ``sent`` look up, as an earlier worker died
        or lost the answer; ``posted`` nothing.

    Raises:
        PostingConflictError: the key was sent or posted with other content.
    """
    values = {"claimed_by": worker, "run_id": run_id, "actor": actor, "updated_at": now}
    row = _locked(connection, new.posting_key)
    if row is None:
        try:
            # Within a savepoint: on Postgres an error would end the transaction, and with it the claims of others.
            with connection.begin_nested():
                connection.execute(insert(posting_outbox).values(**_first_values(new), **values, created_at=now))
        except IntegrityError as error:
            raise PostingConflictError(
                f"{new.posting_key}: revision {new.revision} ({new.kind}) of {new.entry_id} exists under another key"
            ) from error
        return _existing(connection, new.posting_key)
    if row.state in {SENT, POSTED} and row.payload_hash != new.payload_hash:
        raise PostingConflictError(f"{new.posting_key} was {row.state} with other content: make a new plan")
    if row.state == POSTED:
        return row
    if row.state == SENT:
        return _change(connection, new.posting_key, (SENT,), None, values)
    # Nothing is at the ERP under this key: what was written down before may be replaced.
    content = {
        "state": CLAIMED,
        "content_hash": new.content_hash,
        "payload": new.payload,
        "payload_hash": new.payload_hash,
        "posting_date": new.posting_date,
    }
    return _change(connection, new.posting_key, (CLAIMED, FAILED), None, values | content)


def mark_sent(connection: Connection, posting_key: str, *, worker: str, now: datetime) -> Posting:
    """Note, before the request leaves, that it may reach the ERP."""
    values = {"state": SENT, "attempts": posting_outbox.c.attempts + 1, "updated_at": now}
    return _change(connection, posting_key, (CLAIMED, SENT), worker, values)


def mark_not_sent(
    connection: Connection, posting_key: str, *, worker: str, code: str, error: str, now: datetime
) -> Posting:
    """Note that the request certainly did not reach the ERP (refused at the door, too many requests)."""
    values = {"state": CLAIMED, "error_code": code, "last_error": error, "updated_at": now}
    return _change(connection, posting_key, (CLAIMED, SENT), worker, values)


def mark_unknown(
    connection: Connection, posting_key: str, *, worker: str, code: str, error: str, now: datetime
) -> Posting:
    """Note that nobody knows what became of the request; the row stays ``sent`` until a look-up settles it."""
    return _change(
        connection, posting_key, (SENT,), worker, {"error_code": code, "last_error": error, "updated_at": now}
    )


def mark_posted(connection: Connection, posting_key: str, *, worker: str, document: str, now: datetime) -> Posting:
    """Note that the document was read back from the ERP and is what was intended."""
    values = {
        "state": POSTED,
        "erp_document": document,
        "posted_at": now,
        "error_code": None,
        "last_error": None,
        "claimed_by": None,
        "updated_at": now,
    }
    return _change(connection, posting_key, (CLAIMED, SENT), worker, values)


def mark_failed(
    connection: Connection,
    posting_key: str,
    *,
    worker: str,
    code: str,
    error: str,
    now: datetime,
    document: str | None = None,
) -> Posting:
    """Note that the ERP refused the document or, with ``document``, holds another one under its key."""
    values = {
        "state": FAILED,
        "erp_document": document,
        "error_code": code,
        "last_error": error,
        "claimed_by": None,
        "updated_at": now,
    }
    return _change(connection, posting_key, (CLAIMED, SENT), worker, values)


def mark_cancelled(connection: Connection, posting_key: str, *, code: str, error: str, now: datetime) -> Posting:
    """Note that a person cancelled the document at the ERP; its key stays taken there."""
    values = {"state": FAILED, "posted_at": None, "error_code": code, "last_error": error, "updated_at": now}
    return _change(connection, posting_key, (POSTED, FAILED), None, values)


def mark_drifted(connection: Connection, posting_key: str, *, code: str, error: str, now: datetime) -> Posting:
    """Note that the ERP no longer holds what was posted."""
    values = {"state": FAILED, "error_code": code, "last_error": error, "updated_at": now}
    return _change(connection, posting_key, (POSTED,), None, values)


def mark_as_posted_again(connection: Connection, posting_key: str, *, now: datetime) -> Posting:
    """Note that the ERP holds what was intended after all, which it did not when somebody looked before."""
    values = {
        "state": POSTED,
        "posted_at": func.coalesce(posting_outbox.c.posted_at, now),
        "error_code": None,
        "last_error": None,
        "updated_at": now,
    }
    return _change(connection, posting_key, (FAILED,), None, values)


def find(connection: Connection, posting_key: str) -> Posting | None:
    """The row of a key, if there is one."""
    row = connection.execute(select(*_COLUMNS).where(posting_outbox.c.posting_key == posting_key)).one_or_none()
    return Posting(*row) if row else None


def histories(connection: Connection, entry_ids: Sequence[str]) -> dict[str, list[Posting]]:
    """Every row of these entries, by revision, an entry before its reversal."""
    statement = select(*_COLUMNS).where(posting_outbox.c.entry_id.in_(entry_ids))
    found: dict[str, list[Posting]] = {entry_id: [] for entry_id in entry_ids}
    for row in connection.execute(statement.order_by(posting_outbox.c.revision, posting_outbox.c.kind)):
        posting = Posting(*row)
        found[posting.entry_id].append(posting)
    return found


def postings(engine: Engine, *, entity_code: str | None = None, states: Sequence[str] = ()) -> list[Posting]:
    """Rows of the outbox in the order of entry, revision and kind (an entry before its reversal)."""
    statement = select(*_COLUMNS).order_by(posting_outbox.c.entry_id, posting_outbox.c.revision, posting_outbox.c.kind)
    if entity_code is not None:
        statement = statement.where(posting_outbox.c.entity_code == entity_code)
    if states:
        statement = statement.where(posting_outbox.c.state.in_(states))
    with reading(engine) as connection:
        return [Posting(*row) for row in connection.execute(statement)]


def rows(engine: Engine) -> Iterator[dict[str, Any]]:
    """Every posting with the columns of ``raw_ops.postings``."""
    for posting in postings(engine):
        yield {name: getattr(posting, name) for name in _WAREHOUSE_COLUMNS}


def _first_values(new: NewPosting) -> dict[str, Any]:
    return {field.name: getattr(new, field.name) for field in fields(NewPosting)} | {
        "payload_hash": new.payload_hash,
        "state": CLAIMED,
        "attempts": 0,
    }


def _locked(connection: Connection, posting_key: str) -> Posting | None:
    # SQLite has locked the whole file for this transaction already, and drops FOR UPDATE.
    statement = select(*_COLUMNS).where(posting_outbox.c.posting_key == posting_key).with_for_update()
    row = connection.execute(statement).one_or_none()
    return Posting(*row) if row else None


def _existing(connection: Connection, posting_key: str) -> Posting:
    posting = find(connection, posting_key)
    if posting is None:
        raise ClaimLostError(f"{posting_key} is not in the outbox")
    return posting


def _change(
    connection: Connection, posting_key: str, states: tuple[str, ...], worker: str | None, values: dict[str, Any]
) -> Posting:
    statement = (
        update(posting_outbox)
        .where(posting_outbox.c.posting_key == posting_key, posting_outbox.c.state.in_(states))
        .values(**values)
        .returning(*_COLUMNS)
    )
    if worker is not None:
        statement = statement.where(posting_outbox.c.claimed_by == worker)
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise ClaimLostError(f"{posting_key} is no longer claimed by {worker}: another worker has taken it over")
    return Posting(*row)
