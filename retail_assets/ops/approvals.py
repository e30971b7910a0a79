"""Approvals: what waits for a second person, who asked for it, and who decided.

The audit chain is what counts: a decision that only the table tells of approves nothing, and of several decisions in
the chain the first one holds. The table is what lists are made of, and its constraints are the last line of defence.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

from sqlalchemy import Connection, Engine, insert, select, update

from retail_assets.ops import audit
from retail_assets.ops.audit import AuditEntry
from retail_assets.ops.canonical import canonical_json, decimal_text, sha256_hex
from retail_assets.ops.models import approvals, audit_log
from retail_assets.ops.store import reading, writing

Kind = Literal["entry", "write_off", "policy", "link"]
Decision = Literal["approved", "rejected"]

REQUESTED: Final = "approval.requested"
_ACTIONS: Final[Mapping[Decision, str]] = {"approved": "approval.approved", "rejected": "approval.rejected"}
_ID_LENGTH: Final = 32
_CHUNK: Final = 500
#: What a decision must agree on with the request, and the table with both.
_FACTS: Final = ("kind", "subject", "entity_code", "content_hash", "summary", "amount", "currency_code")


class ApprovalError(Exception):
    """The approval cannot be decided like this; the message says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """Something that waits for a second person, in exactly the version that ``content_hash`` names."""

    kind: Kind
    subject: str
    entity_code: str
    content_hash: str
    summary: str
    amount: Decimal | None = None
    currency_code: str | None = None

    @property
    def approval_id(self) -> str:
        """The same for the same content, and for no other."""
        return sha256_hex(canonical_json([self.kind, self.subject, self.content_hash]))[:_ID_LENGTH]


@dataclass(frozen=True, slots=True)
class Approval:
    """A row of the table; ``decision`` is None while it waits."""

    approval_id: str
    kind: Kind
    subject: str
    entity_code: str
    content_hash: str
    summary: str
    amount: str | None
    currency_code: str | None
    requested_by: str
    requested_at: datetime
    decision: Decision | None
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None


def same_person(one: str, other: str) -> bool:
    """Whether two names may be one person's: case, spaces, punctuation and invisible signs tell nobody apart."""
    return _bare(one) == _bare(other)


def request(connection: Connection, wanted: Iterable[Request], *, requested_by: str, now: datetime) -> int:
    """Ask for approvals; what was asked for before is left as it is. Returns how many are new."""
    by_id = {each.approval_id: each for each in wanted}
    ids = list(by_id)
    for start in range(0, len(ids), _CHUNK):
        some = approvals.c.approval_id.in_(ids[start : start + _CHUNK])
        for approval_id in connection.execute(select(approvals.c.approval_id).where(some)).scalars().all():
            del by_id[approval_id]
    if not by_id:
        return 0
    facts = {
        approval_id: {
            "kind": each.kind,
            "subject": each.subject,
            "entity_code": each.entity_code,
            "content_hash": each.content_hash,
            "summary": each.summary,
            "amount": None if each.amount is None else decimal_text(each.amount),
            "currency_code": each.currency_code,
        }
        for approval_id, each in by_id.items()
    }
    connection.execute(
        insert(approvals),
        [
            {"approval_id": approval_id, **values, "requested_by": requested_by, "requested_at": now}
            for approval_id, values in facts.items()
        ],
    )
    for approval_id, details in facts.items():
        audit.append(connection, at=now, actor=requested_by, action=REQUESTED, subject=approval_id, details=details)
    return len(by_id)


def decide(engine: Engine, approval_id: str, decision: Decision, *, actor: str, reason: str, now: datetime) -> Approval:
    """Decide about a request, once and for all.

    Raises:
        KeyError: nobody asked for that.
        ApprovalError: it is decided already, the decider is the one who asked, no reason is given, or the table is not
            what the audit chain says.
    """
    if not reason.strip():
        raise ApprovalError("a decision needs a reason: --reason")
    if not _bare(actor):
        raise ApprovalError("nobody decides without a name")
    with writing(engine) as connection:
        row = _rows(connection, approvals.c.approval_id == approval_id)
        if not row:
            raise KeyError(approval_id)
        (found,) = row
        history = _histories(connection, [approval_id])[approval_id]
        if problem := next(_problems(found, history), None):
            raise ApprovalError(f"{problem}: run retail verify, and find out who changed the operations store")
        asked_by = history[0].actor
        if any(entry.action in _ACTIONS.values() for entry in history):
            raise ApprovalError(f"it was {found.decision} by {found.decided_by} already; a change makes a new request")
        if same_person(actor, asked_by):
            raise ApprovalError(f"{actor} asked for it, so somebody else must decide")
        values = {"decision": decision, "decided_by": actor, "decided_at": now, "reason": reason.strip()}
        connection.execute(update(approvals).where(approvals.c.approval_id == approval_id).values(**values))
        details = {**_facts(found), "requested_by": asked_by, "reason": reason.strip()}
        audit.append(connection, at=now, actor=actor, action=_ACTIONS[decision], subject=approval_id, details=details)
        (decided,) = _rows(connection, approvals.c.approval_id == approval_id)
    return decided


def decisions(engine: Engine, entity_code: str) -> dict[str, Approval]:
    """What was decided for an entity, by approval id; only what the audit chain bears out."""
    with reading(engine) as connection:
        return decided_in(connection, entity_code)


def decided_in(connection: Connection, entity_code: str) -> dict[str, Approval]:
    """The same, as a transaction sees it."""
    condition = (approvals.c.entity_code == entity_code) & approvals.c.decision.is_not(None)
    rows = _rows(connection, condition)
    histories = _histories(connection, [row.approval_id for row in rows])
    return {row.approval_id: row for row in rows if next(_problems(row, histories[row.approval_id]), None) is None}


def rows(engine: Engine, *, undecided_only: bool = False, entity_code: str | None = None) -> list[Approval]:
    """What was asked for, oldest first."""
    condition = approvals.c.approval_id.is_not(None)
    if undecided_only:
        condition &= approvals.c.decision.is_(None)
    if entity_code is not None:
        condition &= approvals.c.entity_code == entity_code
    with reading(engine) as connection:
        return _rows(connection, condition)


def find(engine: Engine, identifier: str) -> Approval:
    """The approval with that id, or whose id begins so; KeyError if there is not exactly one."""
    found = [row for row in rows(engine) if identifier and row.approval_id.startswith(identifier)]
    if len(found) != 1:
        raise KeyError(identifier)
    return found[0]


def verify(engine: Engine, chain: Iterable[AuditEntry]) -> Iterator[tuple[str, str]]:
    """Each approval whose row and audit entries contradict one another, with what is wrong.

    Args:
        chain: the audit log; entries of other actions are passed over.
    """
    actions = {REQUESTED, *_ACTIONS.values()}
    histories: dict[str, list[AuditEntry]] = defaultdict(list)
    for entry in chain:
        if entry.action in actions:
            histories[entry.subject].append(entry)
    there = {row.approval_id: row for row in rows(engine)}
    for approval_id, row in there.items():
        for problem in _problems(row, histories.get(approval_id, [])):
            yield approval_id, problem
    for approval_id in histories.keys() - there.keys():
        yield approval_id, "the audit log tells of it, but it is gone from the approvals"


def _problems(row: Approval, history: Sequence[AuditEntry]) -> Iterator[str]:
    """What is wrong between a row and its audit entries, oldest first."""
    if not history or history[0].action != REQUESTED:
        yield "the audit log does not say that anybody asked for it"
        return
    asked, decided = history[0], [entry for entry in history if entry.action in _ACTIONS.values()]
    facts = _facts(row)
    changed = [name for name in _FACTS if any(entry.content().get(name) != facts[name] for entry in (asked, *decided))]
    if row.approval_id != sha256_hex(canonical_json([row.kind, row.subject, row.content_hash]))[:_ID_LENGTH]:
        changed.append("approval_id")
    if row.requested_by != asked.actor:
        changed.append("requested_by")
    told = (_ACTIONS[row.decision], row.decided_by, row.reason) if row.decision else None
    first = (decided[0].action, decided[0].actor, decided[0].content().get("reason")) if decided else None
    if told != first:
        changed.append("decision")
    if changed:
        yield f"the approval and the audit log differ in {', '.join(changed)}"
    if len(decided) > 1:
        yield "it was decided more than once"
    if any(same_person(entry.actor, asked.actor) for entry in decided):
        yield f"{asked.actor} both asked for it and decided"


def _facts(row: Approval) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _FACTS}


def _rows(connection: Connection, condition: Any) -> list[Approval]:
    names = Approval.__dataclass_fields__
    statement = select(*(approvals.c[name] for name in names)).where(condition)
    found = connection.execute(statement.order_by(approvals.c.requested_at, approvals.c.approval_id))
    return [Approval(*row) for row in found]


def _histories(connection: Connection, approval_ids: Sequence[str]) -> dict[str, list[AuditEntry]]:
    found: dict[str, list[AuditEntry]] = {approval_id: [] for approval_id in approval_ids}
    columns = [audit_log.c[name] for name in AuditEntry.__dataclass_fields__]
    for start in range(0, len(approval_ids), _CHUNK):
        some = audit_log.c.subject.in_(approval_ids[start : start + _CHUNK])
        statement = select(*columns).where(some, audit_log.c.action.in_((REQUESTED, *_ACTIONS.values())))
        for row in connection.execute(statement.order_by(audit_log.c.seq)):
            found[row.subject].append(AuditEntry(*row))
    return found


def _bare(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in folded if letter.isalnum())
