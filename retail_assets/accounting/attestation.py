"""Read-back attestation: everything that was ever posted, closed periods included, as the ERP holds it today.

Posting reads each document back once. What somebody changes at the ERP afterwards shows only to who looks again. A
document that is no longer what was posted goes back to ``failed`` in the outbox, which holds its entry: reversing or
amending it would build on sand. Once the ERP holds again what was posted, it is ``posted`` again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine

from retail_assets.accounting.plan import CANCELLED_AT_ERP
from retail_assets.erp.compare import differences
from retail_assets.erp.payload import from_payload
from retail_assets.erp.protocol import PostedDocument, Poster, RejectedByErp
from retail_assets.ops import attestations, audit, outbox
from retail_assets.ops.attestations import EQUAL, AttestedState
from retail_assets.ops.outbox import Posting
from retail_assets.ops.store import exclusive, writing

#: Error code of a document that is at the ERP and is not what was posted.
DRIFT: Final = "posted_drift"

_MOST_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """A document that is not, or no longer, what was posted."""

    posting_key: str
    document: str
    state: AttestedState
    detail: str


@dataclass(slots=True)
class Attested:
    """What one look at an entity's documents found."""

    entity_code: str
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    @property
    def documents(self) -> int:
        return self.counts.total()

    @property
    def clean(self) -> bool:
        return not self.findings


def attest(
    engine: Engine,
    poster: Poster,
    entity_code: str,
    *,
    now: datetime,
    actor: str,
    run_id: str,
    progress: Callable[[int, int], None] | None = None,
    wait_seconds: float = 600,
) -> Attested:
    """Compare everything that was posted for an entity with what the ERP holds, and write down what was found.

    Args:
        poster: of the entity's ERP; only reads.
        progress: called after each batch with how many documents are done, and how many there are.
        wait_seconds: how long to wait for a worker that posts for this entity.

    Raises:
        ErpUnavailable: the ERP did not answer; what was read until then is written down.
        LockHeldError: somebody was still posting for this entity after ``wait_seconds``.
    """
    result = Attested(entity_code)
    with exclusive(engine, outbox.posting_lock_name(entity_code), wait_seconds=wait_seconds):
        postings = [row for row in outbox.postings(engine, entity_code=entity_code) if _was_posted(row)]
        for start in range(0, len(postings), _MOST_AT_ONCE):
            found = list(_look(poster, postings[start : start + _MOST_AT_ONCE]))
            with writing(engine) as connection:
                for posting, state, detail in found:
                    before = attestations.record(connection, posting, state, detail, now=now)
                    changed = _settle(connection, posting, state, detail, now)
                    if changed or (before or EQUAL) != state:
                        action = "posting.attested" if state == EQUAL else "posting.drifted"
                        details = _facts(posting) | {"state": state, "detail": detail, "run_id": run_id}
                        audit.append(
                            connection, at=now, actor=actor, action=action, subject=posting.posting_key, details=details
                        )
            result.counts.update(state for _, state, _ in found)
            result.findings += [
                Finding(posting.posting_key, posting.erp_document or "", state, detail or "")
                for posting, state, detail in found
                if state != EQUAL
            ]
            if progress:
                progress(result.documents, len(postings))
        if postings:
            with writing(engine) as connection:
                details = {"run_id": run_id, "documents": result.documents, "states": dict(result.counts)}
                audit.append(
                    connection, at=now, actor=actor, action="attestation.made", subject=f"entity:{entity_code}",
                    details=details,
                )  # fmt: skip
    return result


def _was_posted(row: Posting) -> bool:
    """At the ERP by our own account: posted, or found there with other content (but not one that a person gave up)."""
    return row.state == outbox.POSTED or (
        row.state == outbox.FAILED and row.erp_document is not None and row.error_code != CANCELLED_AT_ERP
    )


def _look(poster: Poster, batch: Sequence[Posting]) -> Iterator[tuple[Posting, AttestedState, str | None]]:
    """Each document's state; a batch that the ERP refuses is halved down to the document at fault."""
    try:
        held = poster.read_back([row.erp_document or "" for row in batch])
    except RejectedByErp as error:
        if len(batch) == 1:
            yield batch[0], "unreadable", str(error)
            return
        middle = len(batch) // 2
        yield from _look(poster, batch[:middle])
        yield from _look(poster, batch[middle:])
        return
    gone = [row.posting_key for row in batch if row.erp_document not in held]
    elsewhere = poster.look_up(gone) if gone else {}
    for row in batch:
        yield row, *_compare(row, held.get(row.erp_document or ""), elsewhere.get(row.posting_key))


def _compare(row: Posting, held: PostedDocument | None, elsewhere: str | None) -> tuple[AttestedState, str | None]:
    if held is None:
        instead = f"; {elsewhere} holds its key instead" if elsewhere else ""
        return "missing", f"{row.erp_document} is gone from the ERP{instead}"
    found = differences(from_payload(row.payload), held)
    return ("differs", "; ".join(map(str, found))) if found else (EQUAL, None)


def _settle(connection: Connection, row: Posting, state: AttestedState, detail: str | None, now: datetime) -> bool:
    """Make the outbox say what was found; returns whether it said something else before."""
    drifted = row.state == outbox.FAILED
    if drifted == (state != EQUAL):
        return False
    if drifted:
        outbox.mark_as_posted_again(connection, row.posting_key, now=now)
    else:
        outbox.mark_drifted(connection, row.posting_key, code=DRIFT, error=detail or state, now=now)
    return True


def _facts(row: Posting) -> dict[str, Any]:
    """What ``posting.posted`` says, too: with a document that is posted again the evidence is whole again."""
    return {
        "document": row.erp_document,
        "entry_id": row.entry_id,
        "revision": row.revision,
        "kind": row.kind,
        "entity_code": row.entity_code,
        "erp_id": row.erp_id,
        "payload_hash": row.payload_hash,
        "content_hash": row.content_hash,
    }
