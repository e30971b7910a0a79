"""Applying a plan: every document of it is at the ERP once, whatever dies where.

For each document: claim it in the outbox (durably), look its key up at the ERP, note that it is being sent (durably),
send it, read it back, compare, and note it as posted together with its audit entry. An answer that was lost is looked
up before anything is sent again. A process that dies leaves the document ``claimed`` (nothing was sent) or ``sent``
(look it up), and the next run goes on from there.
"""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import Connection, Engine

from retail_assets.accounting.plan import CANCELLED_AT_ERP, Plan, PlanItem
from retail_assets.erp.compare import differences
from retail_assets.erp.payload import to_payload
from retail_assets.erp.protocol import ErpUnavailable, KeyAlreadyUsed, OutcomeUnknown, Poster, RejectedByErp
from retail_assets.ops import audit, outbox
from retail_assets.ops.outbox import ClaimLostError, NewPosting, Posting, PostingConflictError
from retail_assets.ops.store import exclusive, reading, writing

Outcome = Literal["posted", "adopted", "already", "rejected", "drift", "unknown", "unavailable", "outdated", "not_sent"]
"""``adopted``: it was at the ERP already, from an earlier attempt. ``already``: nothing was left to do. ``outdated``:
the outbox has moved on since the plan was made. ``not_sent``: it turned out never to have arrived, and is not wanted
now."""

_DONE: Final = frozenset({"posted", "adopted", "already"})
_MOST_SENDS: Final = 3
_TRIES_WHEN_UNAVAILABLE: Final = 2
_LONGEST_PAUSE_SECONDS: Final = 60.0
_FIRST_PAUSE_SECONDS: Final = 0.5
_SMALL_WITHDRAWAL: Final = 20
_DRIFT: Final = "posted_drift"


class PosterNotReadyError(Exception):
    """The ERP is not set up so that posting twice is impossible; ``problems`` says what is missing."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("nothing was posted: " + "; ".join(problems))
        self.problems = tuple(problems)


class MassWithdrawalError(Exception):
    """The plan would reverse most of the books, which is what an empty or half-built ledger looks like."""


class PostingStoppedError(Exception):
    """The ERP did not answer several times in a row; ``result`` holds what was done until then."""

    def __init__(self, message: str, result: "PostingResult") -> None:
        super().__init__(message)
        self.result = result


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one document of the plan."""

    posting_key: str
    outcome: Outcome
    document: str | None = None
    message: str | None = None


@dataclass(slots=True)
class PostingResult:
    """What became of the documents of a plan, in its order; those never reached are missing."""

    entity_code: str
    items: list[ItemResult] = field(default_factory=list)

    def count(self, *outcomes: Outcome) -> int:
        """How many documents had one of these outcomes."""
        return sum(item.outcome in outcomes for item in self.items)

    @property
    def complete(self) -> bool:
        """Whether everything that was reached is at the ERP as intended."""
        return all(item.outcome in _DONE for item in self.items)

    @property
    def problems(self) -> list[ItemResult]:
        """The documents that need a look or another run."""
        return [item for item in self.items if item.outcome not in _DONE]


def apply(
    plan: Plan,
    engine: Engine,
    poster: Poster,
    *,
    now: datetime,
    actor: str,
    run_id: str,
    anchor_path: Path | None = None,
    progress: Callable[[int, int, ItemResult], None] | None = None,
    wait_seconds: float = 600,
    most_unavailable: int = 5,
    allow_mass_withdrawal: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> PostingResult:
    """Post what the plan says. Safe to repeat, to kill, and to run twice at once (the second waits for the first).

    Args:
        now: the time that is written down, aware UTC.
        actor: who is answerable for it.
        anchor_path: where the head of the audit chain is anchored; checked first, and written at the end.
        progress: called after each document with its position (from 1), the number of documents, and the result.
        wait_seconds: how long to wait for another worker that posts for the same entity.
        most_unavailable: after that many documents in a row that the ERP did not answer for, stop.
        allow_mass_withdrawal: reverse even if that is most of what is posted.
        pause: waits that many seconds, between attempts at an ERP that is unavailable.

    Raises:
        ErpUnavailable: the ERP did not answer the first check; nothing was sent.
        PosterNotReadyError: the ERP could not refuse a second document; nothing was sent.
        MassWithdrawalError: more than half of the posted entries, and more than 20, would be reversed.
        PostingStoppedError: the ERP is unavailable; run again later.
        AnchorMismatchError: the operations store is not the one that was anchored, so what it says of past postings
            cannot be trusted; nothing was sent.
        LockHeldError: another worker was still posting for this entity after ``wait_seconds``.
    """
    result = PostingResult(plan.entity_code)
    _refuse_mass_withdrawal(plan, allow_mass_withdrawal)
    if anchor_path:
        audit.require_anchor_holds(engine, anchor_path)
    if not plan.items:
        return result
    with exclusive(engine, outbox.posting_lock_name(plan.entity_code), wait_seconds=wait_seconds):
        problems = poster.check()
        if problems:
            raise PosterNotReadyError(problems)
        if anchor_path:
            _note_missing_anchor(engine, anchor_path, now, actor)
            # Before the first posting as well: after a crash a missing anchor must not look like a stolen one.
            audit.write_anchor(engine, anchor_path, now=now)
        worker = _Worker(engine, poster, plan, now, actor, run_id, pause)
        try:
            for item in worker.run(most_unavailable, result):
                result.items.append(item)
                if progress:
                    progress(len(result.items), len(plan.items), item)
        finally:
            worker.note_run(result)
            if anchor_path:
                audit.write_anchor(engine, anchor_path, now=now)
    return result


def acknowledge_cancelled(
    engine: Engine, poster: Poster, posting_key: str, *, now: datetime, actor: str, reason: str
) -> Posting:
    """Accept that a person cancelled a document at the ERP, so that the next plan may post a new revision.

    This is the way out of ``posted_drift``: someone cancels the wrong document in the ERP, then says so here.

    Raises:
        KeyError: there is no such posting, or it has no document.
        ValueError: the document is not cancelled at the ERP, or it is a reversal, or has been reversed here.
    """
    with reading(engine) as connection:
        posting = outbox.find(connection, posting_key)
        rows = outbox.history(connection, posting.entry_id) if posting else []
    if posting is None or posting.erp_document is None:
        raise KeyError(f"no document was posted as {posting_key!r}")
    is_reversed = any(
        row.kind == "reversal" and row.revision == posting.revision and row.state in {outbox.SENT, outbox.POSTED}
        for row in rows
    )
    if posting.kind == "reversal" or is_reversed:
        raise ValueError(f"{posting_key} is part of a reversal: amend it in the ERP so that the pair cancels out again")
    found = poster.read_back(posting.erp_document)
    if found is not None and found.state != "cancelled":
        raise ValueError(f"{posting.erp_document} is {found.state} at the ERP: cancel it there first")
    with writing(engine) as connection:
        note = f"cancelled at the ERP, acknowledged by {actor}: {reason}"
        changed = outbox.mark_cancelled(connection, posting_key, code=CANCELLED_AT_ERP, error=note, now=now)
        details = {"document": posting.erp_document, "reason": reason, "state_at_erp": found.state if found else "gone"}
        audit.append(connection, at=now, actor=actor, action="posting.cancelled", subject=posting_key, details=details)
    return changed


def _refuse_mass_withdrawal(plan: Plan, allowed: bool) -> None:
    count = len(plan.withdrawn)
    posted = count + len(plan.changed) + len(plan.unchanged) + sum(1 for held in plan.held if held.posted_revision)
    if count > _SMALL_WITHDRAWAL and count * 2 > posted and not allowed:
        raise MassWithdrawalError(
            f"{plan.entity_code}: the plan reverses {count} of {posted} posted entries. If the ledger was built in "
            "full and this is meant, allow it explicitly; otherwise rebuild the marts and plan again"
        )


def _note_missing_anchor(engine: Engine, path: Path, now: datetime, actor: str) -> None:
    with writing(engine) as connection:
        last = audit.head(connection)
        if last.seq and not path.exists():
            details = {"anchor": path.name, "entries": last.seq}
            audit.append(
                connection, at=now, actor=actor, action="audit.anchor_missing", subject="audit_log", details=details
            )


class _StillUnknownError(Exception):
    """Sent several times, never answered, and never found."""


class _Worker:
    """One run over one plan. ``token`` marks its claims; a row that another worker has taken over is left to it."""

    def __init__(
        self,
        engine: Engine,
        poster: Poster,
        plan: Plan,
        now: datetime,
        actor: str,
        run_id: str,
        pause: Callable[[float], None],
    ) -> None:
        self._engine = engine
        self._poster = poster
        self._plan = plan
        self._now = now
        self._actor = actor
        self._run_id = run_id
        self._pause = pause
        self._token = f"{run_id}/{uuid.uuid4().hex}"

    def run(self, most_unavailable: int, result: PostingResult) -> Iterator[ItemResult]:
        """Post the items; those of one entry depend on one another, entries do not."""
        silent = 0
        for _, items in groupby(self._plan.items, key=lambda item: item.entry_id):
            for item in items:
                outcome = self._one(item)
                yield outcome
                silent = silent + 1 if outcome.outcome in {"unknown", "unavailable"} else 0
                if silent >= most_unavailable:
                    message = (
                        f"stopped after {silent} documents in a row without an answer from the ERP; the last error: "
                        f"{outcome.message}. Nothing is lost or doubled: run again when it is back"
                    )
                    raise PostingStoppedError(message, result)
                if outcome.outcome not in _DONE:
                    break

    def note_run(self, result: PostingResult) -> None:
        """One audit entry for the run as a whole, unless it changed nothing."""
        counts = Counter(item.outcome for item in result.items)
        if counts["posted"] + counts["adopted"] == 0:
            return
        details = {
            "run_id": self._run_id,
            "plan_digest": self._plan.digest(),
            "documents": len(self._plan.items),
            "outcomes": dict(counts),
        }
        with writing(self._engine) as connection:
            self._audit(connection, "plan.applied", f"plan:{self._plan.entity_code}", details)

    def _one(self, item: PlanItem) -> ItemResult:
        key = item.posting_key
        try:
            return self._when_available(item)
        except RejectedByErp as error:
            return self._failed(item, "rejected", error.code, str(error))
        except OutcomeUnknown as error:
            return ItemResult(key, "unknown", message=str(error))
        except _StillUnknownError as error:
            return ItemResult(key, "unknown", message=str(error))
        except ErpUnavailable as error:
            return ItemResult(key, "unavailable", message=str(error))
        except (ClaimLostError, PostingConflictError) as error:
            return ItemResult(key, "outdated", message=str(error))

    def _when_available(self, item: PlanItem) -> ItemResult:
        for attempt in range(1, _TRIES_WHEN_UNAVAILABLE):
            try:
                return self._post(item)
            except ErpUnavailable as error:
                self._pause(min(error.retry_after or _FIRST_PAUSE_SECONDS * attempt, _LONGEST_PAUSE_SECONDS))
        return self._post(item)

    def _post(self, item: PlanItem) -> ItemResult:
        row = self._claim(item)
        if row.state == outbox.POSTED:
            return ItemResult(item.posting_key, "already", row.erp_document)
        document, adopted = self._poster.look_up(item.posting_key), True
        if document is None and item.reason == "settle":
            return self._not_sent(item, row)
        if document is None:
            document, adopted = self._send(item)
        return self._prove(item, document, adopted)

    def _claim(self, item: PlanItem) -> Posting:
        new = NewPosting(
            posting_key=item.posting_key,
            entry_id=item.entry_id,
            revision=item.revision,
            kind=item.kind,
            entity_code=self._plan.entity_code,
            erp_id=self._plan.books.erp_id,
            content_hash=item.content_hash,
            payload=to_payload(item.entry),
            posting_date=item.entry.posting_date,
        )
        with writing(self._engine) as connection:
            _refuse_outdated(item, self._plan.entity_code, outbox.history(connection, item.entry_id))
            return outbox.claim(
                connection, new, worker=self._token, run_id=self._run_id, actor=self._actor, now=self._now
            )

    def _send(self, item: PlanItem) -> tuple[str, bool]:
        """Send until it is known to be there; returns the document and whether an earlier attempt made it."""
        key, last_error = item.posting_key, ""
        for attempt in range(1, _MOST_SENDS + 1):
            with writing(self._engine) as connection:
                outbox.mark_sent(connection, key, worker=self._token, now=self._now)
            try:
                return self._poster.post(item.entry), False
            except (OutcomeUnknown, KeyAlreadyUsed) as error:
                last_error = str(error)
                code = error.code if isinstance(error, KeyAlreadyUsed) else "outcome_unknown"
                with writing(self._engine) as connection:
                    outbox.mark_unknown(connection, key, worker=self._token, code=code, error=last_error, now=self._now)
            except ErpUnavailable as error:
                with writing(self._engine) as connection:
                    outbox.mark_not_sent(
                        connection, key, worker=self._token, code="erp_unavailable", error=str(error), now=self._now
                    )
                raise
            # The pause lets a request that is still being worked on at the ERP end before it is looked for.
            self._pause(_FIRST_PAUSE_SECONDS * attempt)
            document = self._poster.look_up(key)
            if document is not None:
                return document, True
        raise _StillUnknownError(f"{key} was sent {_MOST_SENDS} times without an answer: {last_error}")

    def _prove(self, item: PlanItem, document: str, adopted: bool) -> ItemResult:
        key = item.posting_key
        posted = self._poster.read_back(document)
        if posted is None:
            return self._failed(item, "drift", _DRIFT, f"{document} was there and is gone", document)
        found = differences(item.entry, posted)
        if found:
            return self._failed(item, "drift", _DRIFT, f"{document}: " + "; ".join(map(str, found)), document)
        with writing(self._engine) as connection:
            row = outbox.mark_posted(connection, key, worker=self._token, document=document, now=self._now)
            details = {
                "document": document,
                "entry_id": item.entry_id,
                "revision": item.revision,
                "kind": item.kind,
                "entity_code": row.entity_code,
                "erp_id": row.erp_id,
                "payload_hash": row.payload_hash,
                "content_hash": row.content_hash,
                "run_id": self._run_id,
                "found_at_erp": adopted,
            }
            self._audit(connection, "posting.posted", key, details)
        return ItemResult(key, "adopted" if adopted else "posted", document)

    def _not_sent(self, item: PlanItem, row: Posting) -> ItemResult:
        key, message = item.posting_key, "it never arrived at the ERP, and is not wanted any more"
        if row.state == outbox.SENT:
            with writing(self._engine) as connection:
                outbox.mark_not_sent(connection, key, worker=self._token, code="not_sent", error=message, now=self._now)
        return ItemResult(key, "not_sent", message=message)

    def _failed(
        self, item: PlanItem, outcome: Outcome, code: str, message: str, document: str | None = None
    ) -> ItemResult:
        key = item.posting_key
        try:
            with writing(self._engine) as connection:
                before = outbox.find(connection, key)
                outbox.mark_failed(
                    connection, key, worker=self._token, code=code, error=message, now=self._now, document=document
                )
                # The same refusal again is no news, and a run that changes nothing leaves no trace.
                if before is None or (before.error_code, before.last_error) != (code, message):
                    details = {"code": code, "message": message, "document": document, "run_id": self._run_id}
                    self._audit(connection, "posting.failed", key, details)
        except ClaimLostError as error:
            return ItemResult(key, "outdated", document, str(error))
        return ItemResult(key, outcome, document, message)

    def _audit(self, connection: Connection, action: str, subject: str, details: dict[str, Any]) -> None:
        audit.append(connection, at=self._now, actor=self._actor, action=action, subject=subject, details=details)


def _refuse_outdated(item: PlanItem, entity_code: str, history: Sequence[Posting]) -> None:
    """The outbox may have moved on between plan and claim: a revision may only follow a reversed one."""
    here = [row for row in history if row.entity_code == entity_code]
    at_erp = {(row.kind, row.revision) for row in here if row.state in {outbox.SENT, outbox.POSTED}}
    live = {revision for kind, revision in at_erp if kind == "entry" and ("reversal", revision) not in at_erp}
    key = item.posting_key
    if item.kind == "entry" and live - {item.revision}:
        raise PostingConflictError(
            f"{key}: revision {min(live - {item.revision})} is posted and not reversed: plan again"
        )
    if item.kind == "reversal" and ("entry", item.revision) not in at_erp:
        raise PostingConflictError(
            f"{key}: revision {item.revision} is not posted, there is nothing to reverse: plan again"
        )
