"""Applying a plan: every document of it is at the ERP once, whatever dies where.

For a batch of documents, each step in one call: claim them in the outbox (durably), look their keys up at the ERP, note
that they are being sent (durably), send them, read them back, compare, and note them as posted together with their
audit entries. An answer that was lost is looked up before anything is sent again; a batch that fails is tried again in
halves, so that one bad document stops no other. A process that dies leaves documents ``claimed`` (nothing was sent) or
``sent`` (look them up), and the next run goes on from there; a draft that it left at the ERP is finished.
"""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import Connection, Engine

from retail_assets.accounting.plan import CANCELLED_AT_ERP, Plan, PlanItem
from retail_assets.erp.compare import differences
from retail_assets.erp.payload import to_payload
from retail_assets.erp.protocol import (
    ErpUnavailable,
    KeyAlreadyUsed,
    OutcomeUnknown,
    PostedDocument,
    Poster,
    RejectedByErp,
)
from retail_assets.ops import audit, outbox, periods
from retail_assets.ops.outbox import NewPosting, Posting, PostingConflictError
from retail_assets.ops.store import exclusive, reading, writing

Outcome = Literal["posted", "adopted", "already", "rejected", "drift", "unknown", "unavailable", "outdated", "not_sent"]
"""``adopted``: it was at the ERP already, from an earlier attempt. ``already``: nothing was left to do. ``outdated``:
the outbox has moved on since the plan was made. ``not_sent``: it turned out never to have arrived, and is not wanted
now."""

_DONE: Final = frozenset({"posted", "adopted", "already"})
_MOST_SENDS: Final = 3
_LONGEST_PAUSE_SECONDS: Final = 60.0
_FIRST_PAUSE_SECONDS: Final = 0.5
_SMALL_WITHDRAWAL: Final = 20
_DRIFT: Final = "posted_drift"
#: What a plan dates anew; a document that may have been sent keeps the day it was sent with.
_DATED: Final = frozenset({"new", "changed", "withdrawn"})


class PosterNotReadyError(Exception):
    """The ERP is not set up so that posting twice is impossible; ``problems`` says what is missing."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("nothing was posted: " + "; ".join(problems))
        self.problems = tuple(problems)


class PeriodClosedError(Exception):
    """A month was closed after the plan was made, which would still date documents in it; plan again."""


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
    """What became of the documents of a plan, as it became known; those never reached are missing."""

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
        most_unavailable: after that many documents in a row that the ERP did not answer for, each tried again, stop.
        allow_mass_withdrawal: reverse even if that is most of what is posted.
        pause: waits that many seconds, between attempts at an ERP that is unavailable.

    Raises:
        ErpUnavailable: the ERP did not answer the first check; nothing was sent.
        PosterNotReadyError: the ERP could not refuse a second document; nothing was sent.
        MassWithdrawalError: more than half of the posted entries, and more than 20, would be reversed.
        PeriodClosedError: a month was closed since the plan was made; nothing was sent.
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
        _refuse_closed_period(plan, engine)
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
) -> None:
    """Accept that a person cancelled a document at the ERP, so that the next plan may post a new revision.

    This is the way out of ``posted_drift``: someone cancels the wrong document in the ERP, then says so here.

    Raises:
        KeyError: there is no such posting, or it has no document.
        ValueError: the document is not cancelled at the ERP, or it is a reversal, or has been reversed here.
    """
    with reading(engine) as connection:
        posting = outbox.find(connection, posting_key)
        rows = outbox.histories(connection, [posting.entry_id])[posting.entry_id] if posting else []
    if posting is None or posting.erp_document is None:
        raise KeyError(f"no document was posted as {posting_key!r}")
    is_reversed = any(
        row.kind == "reversal" and row.revision == posting.revision and row.state in {outbox.SENT, outbox.POSTED}
        for row in rows
    )
    if posting.kind == "reversal" or is_reversed:
        raise ValueError(f"{posting_key} is part of a reversal: amend it in the ERP so that the pair cancels out again")
    found = poster.read_back([posting.erp_document]).get(posting.erp_document)
    if found is not None and found.state != "cancelled":
        raise ValueError(f"{posting.erp_document} is {found.state} at the ERP: cancel it there first")
    with writing(engine) as connection:
        note = f"cancelled at the ERP, acknowledged by {actor}: {reason}"
        outbox.mark_cancelled(connection, posting_key, code=CANCELLED_AT_ERP, error=note, now=now)
        details = {"document": posting.erp_document, "reason": reason, "state_at_erp": found.state if found else "gone"}
        audit.append(connection, at=now, actor=actor, action="posting.cancelled", subject=posting_key, details=details)


def _refuse_mass_withdrawal(plan: Plan, allowed: bool) -> None:
    count = len(plan.withdrawn)
    posted = count + len(plan.changed) + len(plan.unchanged) + sum(1 for held in plan.held if held.posted_revision)
    if count > _SMALL_WITHDRAWAL and count * 2 > posted and not allowed:
        raise MassWithdrawalError(
            f"{plan.entity_code}: the plan reverses {count} of {posted} posted entries. If the ledger was built in "
            "full and this is meant, allow it explicitly; otherwise rebuild the marts and plan again"
        )


def _refuse_closed_period(plan: Plan, engine: Engine) -> None:
    """Closing takes the posting lock, too: what is open now stays open until this run is through."""
    open_from = periods.open_from(engine, plan.entity_code)
    late = [item for item in plan.items if open_from and item.reason in _DATED and item.entry.posting_date < open_from]
    if late:
        raise PeriodClosedError(
            f"{plan.entity_code}: the books are open from {open_from} now, and the plan dates {len(late)} documents "
            f"before that (first {late[0].posting_key} of {late[0].entry.posting_date}): plan again"
        )


def _note_missing_anchor(engine: Engine, path: Path, now: datetime, actor: str) -> None:
    with writing(engine) as connection:
        last = audit.head(connection)
        if last.seq and not path.exists():
            details = {"anchor": path.name, "entries": last.seq}
            audit.append(
                connection, at=now, actor=actor, action="audit.anchor_missing", subject="audit_log", details=details
            )


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
        self._payload_hashes: dict[str, str] = {}

    def run(self, most_unavailable: int, result: PostingResult) -> Iterator[ItemResult]:
        """Post the items; see ``apply``."""
        silent = 0
        for outcome in self._outcomes():
            yield outcome
            silent = silent + 1 if outcome.outcome in {"unknown", "unavailable"} else 0
            if silent >= most_unavailable:
                message = (
                    f"stopped after {silent} documents in a row without an answer from the ERP; the last error: "
                    f"{outcome.message}. Nothing is lost or doubled: run again when it is back"
                )
                raise PostingStoppedError(message, result)

    def _outcomes(self) -> Iterator[ItemResult]:
        """Items of one entry depend on one another and go one after the other; entries do not and go together."""
        entries = [list(items) for _, items in groupby(self._plan.items, key=lambda item: item.entry_id)]
        for start in range(0, len(entries), self._poster.batch_size):
            waiting = entries[start : start + self._poster.batch_size]
            while waiting:
                done: set[str] = set()
                for outcome in self._batch([items[0] for items in waiting]):
                    yield outcome
                    if outcome.outcome in _DONE:
                        done.add(outcome.posting_key)
                waiting = [items[1:] for items in waiting if items[1:] and items[0].posting_key in done]

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

    def _batch(self, items: Sequence[PlanItem]) -> Iterator[ItemResult]:
        unposted: list[PlanItem] = []
        with writing(self._engine) as connection:
            histories = outbox.histories(connection, [item.entry_id for item in items])
            outdated = {item.posting_key: _outdated(item, self._plan.entity_code, histories) for item in items}
            timely = [self._wanted(item) for item in items if not outdated[item.posting_key]]
            claimed = outbox.claim(
                connection, timely, worker=self._token, run_id=self._run_id, actor=self._actor, now=self._now
            )
        for item in items:
            row = claimed.get(item.posting_key)
            if row is None or isinstance(row, PostingConflictError):
                message = outdated[item.posting_key] if row is None else str(row)
                yield ItemResult(item.posting_key, "outdated", message=message)
            elif row.state == outbox.POSTED:
                yield ItemResult(item.posting_key, "already", row.erp_document)
            else:
                unposted.append(item)
                self._payload_hashes[item.posting_key] = row.payload_hash
        if unposted:
            yield from self._settle(unposted)

    def _settle(self, items: Sequence[PlanItem], tries: int = 1, message: str = "") -> Iterator[ItemResult]:
        """Bring claimed documents to the ERP. What fails is tried again in halves, down to what fails by itself."""
        left = {item.posting_key: item for item in items}
        try:
            for result in self._attempt(items, None if tries <= _MOST_SENDS else message):
                del left[result.posting_key]
                yield result
            return
        except (ErpUnavailable, OutcomeUnknown, RejectedByErp) as error:
            trouble = error
        rest = list(left.values())
        if isinstance(trouble, RejectedByErp) and not isinstance(trouble, KeyAlreadyUsed):
            if len(rest) == 1:
                yield self._failed(rest[0], "rejected", trouble.code, str(trouble))
                return
        elif tries > _MOST_SENDS:
            outcome: Outcome = "unavailable" if isinstance(trouble, ErpUnavailable) else "unknown"
            yield ItemResult(rest[0].posting_key, outcome, message=str(trouble))
            return
        else:
            # A request that is still being worked on at the ERP is to end before it is looked for.
            asked = trouble.retry_after if isinstance(trouble, ErpUnavailable) else None
            self._pause(min(asked or _FIRST_PAUSE_SECONDS * tries, _LONGEST_PAUSE_SECONDS))
        if len(rest) == 1:
            yield from self._settle(rest, tries + 1, str(trouble))
            return
        half = len(rest) // 2
        yield from self._settle(rest[:half])
        yield from self._settle(rest[half:])

    def _attempt(self, items: Sequence[PlanItem], given_up: str | None) -> Iterator[ItemResult]:
        """Look up, send what is missing, and prove. Nothing is sent any more where it is ``given_up``, and why."""
        found = self._poster.look_up([item.posting_key for item in items])
        there = [(item, found[item.posting_key]) for item in items if item.posting_key in found]
        missing = [item for item in items if item.posting_key not in found]
        yield from self._prove(there, adopted=True)
        for item in missing:
            if item.reason == "settle":
                yield self._not_sent(item)
            elif given_up is not None:
                sent = f"{item.posting_key} was sent {_MOST_SENDS} times without an answer: {given_up}"
                yield ItemResult(item.posting_key, "unknown", message=sent)
        wanted = [item for item in missing if item.reason != "settle"]
        if wanted and given_up is None:
            sent = yield from self._send(wanted)
            yield from self._prove(sent, adopted=False)

    def _wanted(self, item: PlanItem) -> NewPosting:
        return NewPosting(
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

    def _send(self, items: Sequence[PlanItem]) -> Generator[ItemResult, None, list[tuple[PlanItem, str]]]:
        """Send in one call; returns each item with its document. What another worker has taken over is left out."""
        ours, lost = self._noted(items, outbox.mark_sent)
        yield from lost
        if not ours:
            return []
        try:
            documents = self._poster.post([item.entry for item in ours])
        except (OutcomeUnknown, KeyAlreadyUsed) as error:
            code = error.code if isinstance(error, KeyAlreadyUsed) else "outcome_unknown"
            self._noted(ours, outbox.mark_unknown, code=code, error=str(error))
            raise
        except ErpUnavailable as error:
            self._noted(ours, outbox.mark_not_sent, code="erp_unavailable", error=str(error))
            raise
        return list(zip(ours, documents, strict=True))

    def _noted(
        self, items: Sequence[PlanItem], note: Callable[..., set[str]], **details: str
    ) -> tuple[list[PlanItem], list[ItemResult]]:
        """Note something in the outbox; returns the items that are still ours, and the results of the others."""
        with writing(self._engine) as connection:
            keys = note(connection, [item.posting_key for item in items], worker=self._token, now=self._now, **details)
        lost = [item.posting_key for item in items if item.posting_key not in keys]
        return [item for item in items if item.posting_key in keys], [_lost(key) for key in lost]

    def _prove(self, sent: Sequence[tuple[PlanItem, str]], *, adopted: bool) -> Iterator[ItemResult]:
        """Read back, compare, and note what is as intended as posted."""
        if not sent:
            return
        posted = self._poster.read_back([document for _, document in sent])
        drafts = [document for item, document in sent if _is_unfinished(item, posted.get(document))]
        for document in drafts:
            self._poster.finish(document)
        if drafts:
            posted |= self._poster.read_back(drafts)
        flaws = {item.posting_key: _flaws(item, document, posted.get(document)) for item, document in sent}
        good = [(item, document) for item, document in sent if not flaws[item.posting_key]]
        yield from self._posted(good, adopted) if good else ()
        for item, document in sent:
            if flaws[item.posting_key]:
                yield self._failed(item, "drift", _DRIFT, flaws[item.posting_key], document)

    def _posted(self, proven: Sequence[tuple[PlanItem, str]], adopted: bool) -> list[ItemResult]:
        """Note documents as posted, together with their audit entries."""
        documents = {item.posting_key: document for item, document in proven}
        with writing(self._engine) as connection:
            ours = outbox.mark_posted(connection, documents, worker=self._token, now=self._now)
            details = {
                item.posting_key: {
                    "document": document,
                    "entry_id": item.entry_id,
                    "revision": item.revision,
                    "kind": item.kind,
                    "entity_code": self._plan.entity_code,
                    "erp_id": self._plan.books.erp_id,
                    "payload_hash": self._payload_hashes[item.posting_key],
                    "content_hash": item.content_hash,
                    "run_id": self._run_id,
                    "found_at_erp": adopted,
                }
                for item, document in proven
                if item.posting_key in ours
            }
            audit.append_all(connection, details, at=self._now, actor=self._actor, action="posting.posted")
        outcome: Outcome = "adopted" if adopted else "posted"
        return [
            ItemResult(key, outcome, document) if key in ours else _lost(key) for key, document in documents.items()
        ]

    def _not_sent(self, item: PlanItem) -> ItemResult:
        key, message = item.posting_key, "it never arrived at the ERP, and is not wanted any more"
        _, lost = self._noted([item], outbox.mark_not_sent, code="not_sent", error=message)
        return lost[0] if lost else ItemResult(key, "not_sent", message=message)

    def _failed(
        self, item: PlanItem, outcome: Outcome, code: str, message: str, document: str | None = None
    ) -> ItemResult:
        key = item.posting_key
        with writing(self._engine) as connection:
            before = outbox.find(connection, key)
            ours = outbox.mark_failed(
                connection, key, worker=self._token, code=code, error=message, now=self._now, document=document
            )
            # The same refusal again is no news, and a run that changes nothing leaves no trace.
            if ours and (before is None or (before.error_code, before.last_error) != (code, message)):
                details = {"code": code, "message": message, "document": document, "run_id": self._run_id}
                self._audit(connection, "posting.failed", key, details)
        return ItemResult(key, outcome, document, message) if ours else _lost(key)

    def _audit(self, connection: Connection, action: str, subject: str, details: dict[str, Any]) -> None:
        audit.append(connection, at=self._now, actor=self._actor, action=action, subject=subject, details=details)


def _is_unfinished(item: PlanItem, found: PostedDocument | None) -> bool:
    """Whether it is a draft of exactly what was intended, as an attempt that was cut short leaves it."""
    return found is not None and found.state == "draft" and not differences(item.entry, replace(found, state="posted"))


def _flaws(item: PlanItem, document: str, found: PostedDocument | None) -> str:
    """In what the document departs from what was intended, in words; empty if in nothing."""
    if found is None:
        return f"{document} was there and is gone"
    flaws = differences(item.entry, found)
    return f"{document}: " + "; ".join(map(str, flaws)) if flaws else ""


def _lost(key: str) -> ItemResult:
    return ItemResult(key, "outdated", message=f"{key} is no longer ours: another worker has taken it over")


def _outdated(item: PlanItem, entity_code: str, histories: Mapping[str, Sequence[Posting]]) -> str:
    """Why the outbox has moved on since the plan was made, if it has: a revision may only follow a reversed one."""
    here = [row for row in histories[item.entry_id] if row.entity_code == entity_code]
    at_erp = {(row.kind, row.revision) for row in here if row.state in {outbox.SENT, outbox.POSTED}}
    live = {revision for kind, revision in at_erp if kind == "entry" and ("reversal", revision) not in at_erp}
    key = item.posting_key
    if item.kind == "entry" and live - {item.revision}:
        return f"{key}: revision {min(live - {item.revision})} is posted and not reversed: plan again"
    if item.kind == "reversal" and ("entry", item.revision) not in at_erp:
        return f"{key}: revision {item.revision} is not posted, there is nothing to reverse: plan again"
    return ""
