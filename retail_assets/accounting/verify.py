"""Checking the evidence: the audit chain, the outbox against it, and every document at the ERP."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from retail_assets.accounting import proof
from retail_assets.accounting.plan import CANCELLED_AT_ERP
from retail_assets.erp.compare import differences
from retail_assets.erp.payload import from_payload
from retail_assets.erp.protocol import ErpUnavailable, Poster, RejectedByErp
from retail_assets.ops import approvals, audit, certificates, exception_actions, links, outbox, periods
from retail_assets.ops.canonical import sha256_hex
from retail_assets.ops.outbox import Posting


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be: what kind, with what, and in words."""

    code: str
    subject: str
    message: str


def verify(
    engine: Engine,
    anchor_path: Path | None,
    posters: Mapping[str, Poster],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Problem]:
    """Everything that contradicts the evidence; empty when all of it agrees. Changes nothing.

    Args:
        posters: by ERP id; what was posted to an ERP without a poster is reported as not checked.
        progress: called after each batch that was read back with how many documents are done, and how many there are.
    """
    chain = [
        Problem(problem.code, f"audit_log:{problem.seq}", problem.message)
        for problem in audit.verify(engine, anchor_path)
    ]
    rows = outbox.postings(engine)
    evidence, told, decisions = _Evidence(), proof.Chain(), []
    for entry in audit.entries(engine):
        evidence.add(entry)
        told.add(entry)
        if entry.action.startswith("approval."):
            decisions.append(entry)
    decided = [
        Problem("approval_changed", f"approval:{approval_id}", problem)
        for approval_id, problem in approvals.verify(engine, decisions)
    ]
    opened = [Problem("closed_period_changed", "closed_periods", problem) for problem in periods.contradictions(engine)]
    worked = [
        *(
            Problem("exception_action_changed", "exception_actions", text)
            for text in exception_actions.contradictions(engine)
        ),
        *(Problem("manual_link_changed", "manual_links", text) for text in links.contradictions(engine)),
    ]
    folder = anchor_path.with_name(certificates.FOLDER) if anchor_path else None
    payloads = {row.posting_key: row.payload for row in rows}
    certified = [Problem(*problem) for problem in proof.check(certificates.rows(engine), told, payloads, folder)]
    return [
        *chain,
        *decided,
        *opened,
        *worked,
        *certified,
        *_outbox_problems(rows, evidence.posted),
        *_erp_problems(rows, posters, progress),
    ]


@dataclass
class _Evidence:
    """What the audit log says is posted, by key; None once the document was cancelled or is no longer what it was."""

    posted: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)

    def add(self, entry: audit.AuditEntry) -> None:
        if entry.action in ("posting.posted", "posting.attested"):
            self.posted[entry.subject] = entry.content()
        elif entry.action in ("posting.cancelled", "posting.drifted"):
            self.posted[entry.subject] = None


def _outbox_problems(rows: list[Posting], evidence: Mapping[str, Mapping[str, Any] | None]) -> Iterator[Problem]:
    for row in rows:
        if not _payload_is_whole(row):
            yield Problem(
                "outbox_changed", row.posting_key, "its content in the outbox was changed after it was written"
            )
        if row.state == outbox.SENT:
            yield Problem(
                "posting_unsettled",
                row.posting_key,
                f"whether it is at the ERP is unknown ({row.last_error or 'the worker ended'}): post again to settle",
            )
        if row.state == outbox.FAILED and row.erp_document and row.error_code != CANCELLED_AT_ERP:
            yield Problem("posted_drift", row.posting_key, row.last_error or "the document is not what was intended")
        if row.state == outbox.POSTED:
            yield from _against_audit(row, evidence.get(row.posting_key))
    posted = {row.posting_key for row in rows if row.state == outbox.POSTED}
    for key, details in evidence.items():
        if details is not None and key not in posted:
            yield Problem(
                "outbox_row_missing", key, f"it was posted as {details['document']}, but the outbox does not say so"
            )


def _payload_is_whole(row: Posting) -> bool:
    if sha256_hex(row.payload) != row.payload_hash:
        return False
    entry = from_payload(row.payload)
    return (entry.key, entry.posting_date, entry.entity_code) == (row.posting_key, row.posting_date, row.entity_code)


def _against_audit(row: Posting, details: Mapping[str, Any] | None) -> Iterator[Problem]:
    if details is None:
        yield Problem("audit_entry_missing", row.posting_key, "it is posted, but the audit log has no entry of it")
        return
    facts = {
        "document": row.erp_document,
        "payload_hash": row.payload_hash,
        "content_hash": row.content_hash,
        "entry_id": row.entry_id,
        "revision": row.revision,
        "kind": row.kind,
        "erp_id": row.erp_id,
    }
    changed = [name for name, value in facts.items() if details.get(name) != value]
    if changed:
        message = f"outbox and audit log differ in {', '.join(changed)}"
        yield Problem("outbox_changed", row.posting_key, message)


def _erp_problems(
    rows: list[Posting], posters: Mapping[str, Poster], progress: Callable[[int, int], None] | None
) -> Iterator[Problem]:
    posted = sorted((row for row in rows if row.state == outbox.POSTED), key=lambda row: row.erp_id)
    done = 0
    for erp_id, of_erp in groupby(posted, key=lambda row: row.erp_id):
        own = list(of_erp)
        poster = posters.get(erp_id)
        size = poster.batch_size if poster else len(own)
        if poster is None:
            yield Problem("erp_not_checked", erp_id, f"no poster for {erp_id}: its documents were not read back")
        for start in range(0, len(own), size):
            some = own[start : start + size]
            if poster:
                try:
                    yield from _read_back_problems(some, poster)
                except ErpUnavailable as error:
                    yield Problem(
                        "erp_not_checked", erp_id, f"documents from {some[0].posting_key} on were not read: {error}"
                    )
                    poster = None
            done += len(some)
            if progress:
                progress(done, len(posted))


def _read_back_problems(rows: list[Posting], poster: Poster) -> Iterator[Problem]:
    documents = {row.posting_key: row.erp_document or "" for row in rows}
    try:
        found = poster.read_back(list(documents.values()))
        at_keys = poster.look_up([key for key, document in documents.items() if document not in found])
    except RejectedByErp as error:
        if len(rows) > 1:
            for row in rows:
                yield from _read_back_problems([row], poster)
            return
        (key,) = documents
        yield Problem("posted_drift", key, f"{documents[key]} cannot be read: {error}")
        return
    for row in rows:
        document = documents[row.posting_key]
        if document in found:
            for difference in differences(from_payload(row.payload), found[document]):
                yield Problem("posted_drift", row.posting_key, f"{document}: {difference}")
        else:
            at_key = at_keys.get(row.posting_key)
            instead = f", and {at_key} holds its key instead" if at_key else ""
            yield Problem("posted_drift", row.posting_key, f"{document} is gone from the ERP{instead}")
