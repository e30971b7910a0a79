"""The posting outbox: what is to be posted, is being posted and was posted, one row for each document.

States: ``claimed`` (written down, certainly not sent) → ``sent`` (the request went out; nobody knows yet what became of
it) → ``posted`` (read back and equal to what was intended) or ``failed`` (refused by the ERP, or found there with other
content). Writing ``sent`` before the request leaves is what makes a crash at any point recoverable.

Every change is made to many rows at once, names the worker that claimed them, and leaves those alone whose claim has
passed to somebody else. Workers take the lock ``posting_lock_name`` first: it ends with the process that holds it, so
whoever holds it may take over the claims of a dead worker without waiting for a time-out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, case, func, insert, select, update
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


def claim(
    connection: Connection, wanted: Sequence[NewPosting], *, worker: str, run_id: str, actor: str, now: datetime
) -> dict[str, Posting | PostingConflictError]:
    """Claim documents for ``worker``, who holds the entity's posting lock.

    Returns:
        For each key its row, or why it cannot be claimed: it was sent or posted with other content. The row's state
        says what to do: ``claimed`` look up, then send; ``sent`` look up, as an earlier worker died or lost the answer;
        ``posted`` nothing.
    """
    values = {"claimed_by": worker, "run_id": run_id, "actor": actor, "updated_at": now}
    there = _locked(connection, [new.posting_key for new in wanted])
    fresh = [new for new in wanted if new.posting_key not in there]
    claimed = _inserted(connection, fresh, values | {"created_at": now})
    for new in wanted:
        row = there.get(new.posting_key)
        if row is not None:
            claimed[new.posting_key] = _taken_over(connection, row, new, values)
    return claimed


def mark_sent(connection: Connection, keys: Sequence[str], *, worker: str, now: datetime) -> set[str]:
    """Note, before a request leaves, that it may reach the ERP.

    Returns:
        The keys that are still claimed by the worker; the others are not its to send, and were left alone. The same
        holds for the other notes.
    """
    values = {"state": SENT, "attempts": posting_outbox.c.attempts + 1, "updated_at": now}
    return _change(connection, keys, (CLAIMED, SENT), worker, values)


def mark_not_sent(
    connection: Connection, keys: Sequence[str], *, worker: str, code: str, error: str, now: datetime
) -> set[str]:
    """Note that a request certainly did not reach the ERP (refused at the door, too many requests)."""
    values = {"state": CLAIMED, "error_code": code, "last_error": error, "updated_at": now}
    return _change(connection, keys, (CLAIMED, SENT), worker, values)


def mark_unknown(
    connection: Connection, keys: Sequence[str], *, worker: str, code: str, error: str, now: datetime
) -> set[str]:
    """Note that nobody knows what became of a request; the rows stay ``sent`` until a look-up settles it."""
    values = {"error_code": code, "last_error": error, "updated_at": now}
    return _change(connection, keys, (SENT,), worker, values)


def mark_posted(connection: Connection, documents: Mapping[str, str], *, worker: str, now: datetime) -> set[str]:
    """Note that these documents, by key, were read back from the ERP and are what was intended."""
    values = {
        "state": POSTED,
        "erp_document": case(documents, value=posting_outbox.c.posting_key),
        "posted_at": now,
        "error_code": None,
        "last_error": None,
        "claimed_by": None,
        "updated_at": now,
    }
    return _change(connection, list(documents), (CLAIMED, SENT), worker, values)


def mark_failed(
    connection: Connection,
    posting_key: str,
    *,
    worker: str,
    code: str,
    error: str,
    now: datetime,
    document: str | None = None,
) -> set[str]:
    """Note that the ERP refused the document or, with ``document``, holds another one under its key."""
    values = {
        "state": FAILED,
        "erp_document": document,
        "error_code": code,
        "last_error": error,
        "claimed_by": None,
        "updated_at": now,
    }
    return _change(connection, [posting_key], (CLAIMED, SENT), worker, values)


def mark_cancelled(connection: Connection, posting_key: str, *, code: str, error: str, now: datetime) -> set[str]:
    """Note that a person cancelled the document at the ERP; its key stays taken there."""
    values = {"state": FAILED, "posted_at": None, "error_code": code, "last_error": error, "updated_at": now}
    return _change(connection, [posting_key], (POSTED, FAILED), None, values)


def mark_drifted(connection: Connection, posting_key: str, *, code: str, error: str, now: datetime) -> set[str]:
    """Note that the ERP no longer holds what was posted."""
    values = {"state": FAILED, "error_code": code, "last_error": error, "updated_at": now}
    return _change(connection, [posting_key], (POSTED,), None, values)


def mark_as_posted_again(connection: Connection, posting_key: str, *, now: datetime) -> set[str]:
    """Note that the ERP holds what was intended after all, which it did not when somebody looked before."""
    values = {
        "state": POSTED,
        "posted_at": func.coalesce(posting_outbox.c.posted_at, now),
        "error_code": None,
        "last_error": None,
        "updated_at": now,
    }
    return _change(connection, [posting_key], (FAILED,), None, values)


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


def _locked(connection: Connection, keys: Sequence[str]) -> dict[str, Posting]:
    # SQLite has locked the whole file for this transaction already, and drops FOR UPDATE.
    statement = select(*_COLUMNS).where(posting_outbox.c.posting_key.in_(keys))
    rows = connection.execute(statement.order_by(posting_outbox.c.posting_key).with_for_update())
    return {row.posting_key: Posting(*row) for row in rows}


def _inserted(
    connection: Connection, fresh: Sequence[NewPosting], values: Mapping[str, Any]
) -> dict[str, Posting | PostingConflictError]:
    """New rows, all at once; if one of them cannot be, each by itself."""
    if not fresh:
        return {}
    rows = [_row(new, values) for new in fresh]
    try:
        # Within a savepoint: on Postgres an error would end the transaction, and with it the claims of others.
        with connection.begin_nested():
            connection.execute(insert(posting_outbox), [_values(row) for row in rows])
    except IntegrityError:
        if len(fresh) > 1:
            return {key: row for new in fresh for key, row in _inserted(connection, [new], values).items()}
        (new,) = fresh
        conflict = f"{new.posting_key}: revision {new.revision} ({new.kind}) of {new.entry_id} exists under another key"
        return {new.posting_key: PostingConflictError(conflict)}
    return {row.posting_key: row for row in rows}


def _row(new: NewPosting, values: Mapping[str, Any]) -> Posting:
    first = {field.name: getattr(new, field.name) for field in fields(NewPosting)}
    nothing = dict.fromkeys(("erp_document", "posted_at", "error_code", "last_error"))
    return Posting(**first, **nothing, payload_hash=new.payload_hash, state=CLAIMED, attempts=0, **values)


def _values(row: Posting) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in fields(Posting)}


def _taken_over(
    connection: Connection, row: Posting, new: NewPosting, values: dict[str, Any]
) -> Posting | PostingConflictError:
    if row.state in {SENT, POSTED} and row.payload_hash != new.payload_hash:
        return PostingConflictError(f"{new.posting_key} was {row.state} with other content: make a new plan")
    if row.state == POSTED:
        return row
    if row.state == SENT:
        _change(connection, [row.posting_key], (SENT,), None, values)
        return replace(row, **values)
    # Nothing is at the ERP under this key: what was written down before may be replaced.
    content = {
        "state": CLAIMED,
        "content_hash": new.content_hash,
        "payload": new.payload,
        "payload_hash": new.payload_hash,
        "posting_date": new.posting_date,
    }
    _change(connection, [row.posting_key], (CLAIMED, FAILED), None, values | content)
    return replace(row, **values | content)


def _change(
    connection: Connection, keys: Sequence[str], states: tuple[str, ...], worker: str | None, values: dict[str, Any]
) -> set[str]:
    """Change the rows that are in one of the states and claimed by the worker, if one is named; returns their keys."""
    statement = (
        update(posting_outbox)
        .where(posting_outbox.c.posting_key.in_(keys), posting_outbox.c.state.in_(states))
        .values(**values)
        .returning(posting_outbox.c.posting_key)
    )
    if worker is not None:
        statement = statement.where(posting_outbox.c.claimed_by == worker)
    return set(connection.execute(statement).scalars())
