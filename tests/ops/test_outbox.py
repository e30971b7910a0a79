"""The posting outbox."""

import threading
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from retail_assets.contracts import table
from retail_assets.ops import outbox
from retail_assets.ops.outbox import NewPosting, Posting, PostingConflictError
from retail_assets.ops.store import open_store, writing

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
KEY = "sale/cedar_us:1001#1"


def new(key: str = KEY, payload: str = '{"a":1}', **changes: object) -> NewPosting:
    values = {
        "posting_key": key,
        "entry_id": key.partition("#")[0],
        "revision": 1,
        "kind": "entry",
        "entity_code": "US",
        "erp_id": "erp_main",
        "content_hash": "c" * 64,
        "payload": payload,
        "posting_date": date(2026, 11, 1),
    }
    return NewPosting(**values | changes)  # pyright: ignore[reportArgumentType]


def claim_all(store: Engine, *postings: NewPosting, worker: str = "one") -> dict[str, Posting | PostingConflictError]:
    with writing(store) as connection:
        return outbox.claim(connection, postings, worker=worker, run_id="run", actor="ann", now=NOW)


def claim(store: Engine, posting: NewPosting | None = None, worker: str = "one") -> Posting:
    (row,) = claim_all(store, posting or new(), worker=worker).values()
    if isinstance(row, PostingConflictError):
        raise row
    return row


def sent(store: Engine, worker: str = "one") -> bool:
    with writing(store) as connection:
        return KEY in outbox.mark_sent(connection, [KEY], worker=worker, now=NOW)


def posted(store: Engine, worker: str = "one") -> bool:
    with writing(store) as connection:
        return KEY in outbox.mark_posted(connection, {KEY: "ACC-JV-1"}, worker=worker, now=NOW)


def in_store(store: Engine) -> Posting:
    (row,) = outbox.postings(store)
    return row


def test_the_way_to_posted(store: Engine) -> None:
    """Each state must be in the store before the next step is taken."""
    assert claim(store).state == "claimed"
    assert (sent(store), sent(store)) == (True, True)
    assert (in_store(store).state, in_store(store).attempts) == ("sent", 2)
    assert posted(store)
    row = in_store(store)
    assert (row.state, row.erp_document, row.posted_at, row.claimed_by) == ("posted", "ACC-JV-1", NOW, None)
    assert claim(store, worker="two") == row


def test_rows_have_the_columns_of_the_contract(store: Engine) -> None:
    """The warehouse reads these rows by the names of the contract."""
    claim(store)
    (row,) = outbox.rows(store)
    assert list(row) == [column.name for column in table("ops", "postings").columns]


def test_a_sent_key_keeps_its_content(store: Engine) -> None:
    """With new content under the key of a request that may have arrived, two documents could claim one key."""
    claim(store)
    sent(store)
    with pytest.raises(PostingConflictError, match="new plan"):
        claim(store, new(payload='{"a":2}'))
    posted(store)
    with pytest.raises(PostingConflictError, match="posted with other content"):
        claim(store, new(payload='{"a":2}'))


def test_what_was_never_sent_may_change(store: Engine) -> None:
    """A claim left by a dead worker must not pin yesterday's content."""
    claim(store)
    row = claim(store, new(payload='{"a":2}'), worker="two")
    assert (row.state, row.payload, row.claimed_by) == ("claimed", '{"a":2}', "two")


def test_a_worker_that_lost_its_claim_is_stopped_before_it_sends(store: Engine) -> None:
    """A worker that slept through its lock's end would send what its successor sends as well."""
    claim(store)
    claim(store, worker="two")
    assert not sent(store, worker="one")
    assert sent(store, worker="two")
    assert not posted(store, worker="one")
    assert in_store(store).state == "sent"


def test_a_refusal_keeps_its_reason_and_can_be_tried_again(store: Engine) -> None:
    """The controller must see why, and a mended account must not need a new key."""
    claim(store)
    sent(store)
    with writing(store) as connection:
        outbox.mark_failed(connection, KEY, worker="one", code="LinkValidationError", error="no account", now=NOW)
    (row,) = outbox.postings(store, entity_code="US", states=["failed"])
    assert (row.error_code, row.last_error) == ("LinkValidationError", "no account")
    assert claim(store).state == "claimed"


def test_a_revision_has_one_key(store: Engine) -> None:
    """Two keys for one revision would be two documents."""
    claim(store)
    with pytest.raises(PostingConflictError, match="another key"):
        claim(store, new("other#1", entry_id="sale/cedar_us:1001"))


def test_a_conflict_stops_no_other_claim(store: Engine) -> None:
    """Claims are made many at once; one that cannot be must not take the others with it."""
    claim(store)
    taken = new("other#1", entry_id="sale/cedar_us:1001")
    claimed = claim_all(store, new("a#1"), taken, new("b#1"), new(payload='{"a":3}'), worker="two")
    assert isinstance(claimed["other#1"], PostingConflictError)
    states = {row.posting_key: (row.state, row.payload, row.claimed_by) for row in outbox.postings(store)}
    assert states == {
        KEY: ("claimed", '{"a":3}', "two"),
        "a#1": ("claimed", '{"a":1}', "two"),
        "b#1": ("claimed", '{"a":1}', "two"),
    }
    assert {key: row for key, row in claimed.items() if isinstance(row, Posting)} == {
        row.posting_key: row for row in outbox.postings(store)
    }


def test_posted_needs_a_document(store: Engine) -> None:
    """A row that says posted without a document could never be read back."""
    claim(store)
    with pytest.raises(IntegrityError), writing(store) as connection:
        connection.exec_driver_sql("UPDATE posting_outbox SET state = 'posted'")


def test_of_many_workers_one_gets_to_send(store: Engine, store_url: str) -> None:
    """The race that the outbox exists for: claims that overlap end with one worker that may send."""
    allowed: list[str] = []
    start = threading.Barrier(4)

    def work(name: str) -> None:
        engine = open_store(store_url)
        start.wait()
        claimed = claim_all(engine, new(), worker=name)[KEY]
        if isinstance(claimed, Posting) and sent(engine, worker=name) and posted(engine, worker=name):
            allowed.append(name)
        engine.dispose()

    threads = [threading.Thread(target=work, args=(f"worker-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (row,) = outbox.postings(store)
    assert row.state in {"posted", "sent", "claimed"}
    assert len(allowed) <= 1
