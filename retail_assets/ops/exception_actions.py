"""What people do about exceptions: who has one, until when it sleeps, why it is settled, whether it is written off.

Rows are only ever added, each with an entry of the audit chain that says the same; a row that the chain does not bear
out counts for nothing. An exception's state is what its rows come to.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from sqlalchemy import Connection, Engine, insert, select

from retail_assets.ops import approvals, audit
from retail_assets.ops.approvals import Approval
from retail_assets.ops.canonical import canonical_json, decimal_text, sha256_hex, utc_text
from retail_assets.ops.models import audit_log, exception_actions
from retail_assets.ops.store import reading

Action = Literal["assign", "comment", "snooze", "resolve", "reopen", "write_off"]
WriteOff = Literal["waiting", "approved", "rejected"]

_PREFIX: Final = "exception."
_NEEDS_REASON: Final = frozenset({"comment", "resolve", "reopen", "write_off"})
_CHUNK: Final = 500


class ExceptionActionError(Exception):
    """That cannot be done about the exception; the message says why and what can."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An exception as it was when somebody acted on it: what ``marts.rec_exceptions`` said of it.

    Amounts are in major units of ``currency_code``, datetimes aware UTC. ``write_off_amount`` is what is to be given up
    of the settlement line, where that is asked for.
    """

    exception_id: str
    exception_type: str
    entity_code: str | None
    store_id: str | None
    gateway_id: str | None
    order_key: str | None
    settlement_key: str | None
    settlement_line_key: str | None
    bank_line_key: str | None
    amount_at_risk: Decimal
    currency_code: str | None
    opened_at: datetime
    evidence: str | None = None
    write_off_amount: Decimal | None = None

    @classmethod
    def from_text(cls, content: Mapping[str, Any]) -> "Seen":
        """From the canonical JSON that a row keeps."""
        written_off = content["write_off_amount"]
        return cls(
            **{
                **content,
                "amount_at_risk": Decimal(content["amount_at_risk"]),
                "write_off_amount": None if written_off is None else Decimal(written_off),
                "opened_at": datetime.fromisoformat(content["opened_at"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Done:
    """One thing that somebody did."""

    audit_seq: int
    exception_id: str
    action: Action
    actor: str
    acted_at: datetime
    assignee: str | None
    snoozed_until: date | None
    reason: str | None
    approval_id: str | None
    seen: Seen


@dataclass
class Work:
    """What was done about one exception, oldest first, and what it comes to.

    ``resolved`` and ``written_off`` are the acts that settled it, if nobody took them back; ``take_back`` is the act
    that asks to take back a write-off which was approved, until somebody decides.
    """

    history: list[Done] = field(default_factory=list)
    assignee: str | None = None
    snoozed_until: date | None = None
    resolved: Done | None = None
    written_off: Done | None = None
    write_off_state: WriteOff | None = None
    approval: Approval | None = None
    take_back: Done | None = None
    comments: int = 0

    @property
    def seen(self) -> Seen:
        """The exception as it was last seen."""
        return self.history[-1].seen

    def resolves(self, amount_at_risk: Decimal, currency_code: str | None, opened_at: datetime) -> bool:
        """Whether the exception that somebody resolved is this one, as it is now.

        What was resolved is what that person saw: its amount, and since when. A cause that arose later, or one that
        came to be known later, is another, and many have no amount that could tell them apart.
        """
        seen = self.resolved.seen if self.resolved else None
        return seen is not None and (seen.amount_at_risk, seen.currency_code, seen.opened_at) == (
            amount_at_risk,
            currency_code,
            opened_at,
        )

    def status(
        self, amount_at_risk: Decimal, currency_code: str | None, opened_at: datetime, today: date, *, given_up: bool
    ) -> str:
        """open, assigned, snoozed, resolved, write_off_asked or written_off, as ``marts.rec_exceptions`` has it.

        Args:
            given_up: whether suspense still has just what was approved to be written off.
        """
        if given_up and self.write_off_state == "approved":
            return "written_off"
        if self.resolves(amount_at_risk, currency_code, opened_at):
            return "resolved"
        if self.written_off and self.write_off_state == "waiting":
            return "write_off_asked"
        if self.snoozed_until and today < self.snoozed_until:
            return "snoozed"
        return "assigned" if self.assignee else "open"


def act(
    connection: Connection,
    action: Action,
    exceptions: Sequence[Seen],
    *,
    actor: str,
    now: datetime,
    assignee: str | None = None,
    snoozed_until: date | None = None,
    reason: str | None = None,
) -> int:
    """Do the same about each of some exceptions, in the caller's transaction. Returns how many there were.

    A write-off asks for the approval of a second person, and changes nothing before it is given; what two have agreed
    to write off, one alone does not take back either.

    Raises:
        ExceptionActionError: it cannot be done; nothing was.
    """
    reason = (reason or "").strip() or None
    if not actor.strip():
        raise ExceptionActionError("nobody works on an exception without a name: set RETAIL_ACTOR")
    if action in _NEEDS_REASON and reason is None:
        raise ExceptionActionError(f"{action.replace('_', '-')} needs words: say why")
    if action == "assign" and not (assignee or "").strip():
        raise ExceptionActionError("say who takes it: --to NAME")
    if action == "snooze" and (snoozed_until is None or snoozed_until <= now.date()):
        raise ExceptionActionError(f"{snoozed_until} is not a day to come: an exception sleeps until a later one")
    before = _work(connection, [each.exception_id for each in exceptions])
    rows: dict[str, dict[str, Any]] = {}
    for each in exceptions:
        known = before.get(each.exception_id)
        approval_id = None
        if action == "reopen" and (known is None or not (known.resolved or known.snoozed_until or known.written_off)):
            raise ExceptionActionError(f"{each.exception_id} is open: nobody resolved, snoozed or wrote it off")
        if action == "reopen" and known is not None and known.write_off_state == "approved":
            approval_id = _ask_back(connection, known, reason or "", actor=actor, now=now)
        if action == "write_off":
            approval_id = _ask(connection, each, known, reason or "", actor=actor, now=now)
        rows[each.exception_id] = {
            "assignee": assignee if action == "assign" else None,
            "snoozed_until": snoozed_until if action == "snooze" else None,
            "reason": reason,
            "approval_id": approval_id,
            "seen": asdict(each),
        }
    entries = audit.append_all(connection, rows, at=now, actor=actor, action=_PREFIX + action)
    values = [
        {
            **rows[entry.subject],
            "seen": canonical_json(rows[entry.subject]["seen"]),
            "audit_seq": entry.seq,
            "exception_id": entry.subject,
            "action": action,
            "actor": actor,
            "acted_at": now,
        }
        for entry in entries
    ]
    if values:
        connection.execute(insert(exception_actions), values)
    return len(values)


def work(engine: Engine, exception_ids: Sequence[str] | None = None) -> dict[str, Work]:
    """What was done about exceptions, by id; about all of them if none are named."""
    with reading(engine) as connection:
        return _work(connection, exception_ids)


def rows(engine: Engine) -> Iterator[dict[str, Any]]:
    """The state of every exception that somebody acted on, with the columns of ``raw_ops.exception_work``."""
    for exception_id, each in sorted(work(engine).items()):
        seen, last = each.seen, each.history[-1]
        settled = each.resolved
        yield {
            "exception_id": exception_id,
            "exception_type": seen.exception_type,
            "entity_code": seen.entity_code,
            "store_id": seen.store_id,
            "gateway_id": seen.gateway_id,
            "order_key": seen.order_key,
            "settlement_key": seen.settlement_key,
            "settlement_line_key": seen.settlement_line_key,
            "bank_line_key": seen.bank_line_key,
            "amount_at_risk": seen.amount_at_risk,
            "currency_code": seen.currency_code,
            "opened_at": seen.opened_at,
            "evidence": seen.evidence,
            "assignee": each.assignee,
            "snoozed_until": each.snoozed_until,
            "resolved_by": settled.actor if settled else None,
            "resolved_at": settled.acted_at if settled else None,
            "resolved_reason": settled.reason if settled else None,
            "resolved_amount": settled.seen.amount_at_risk if settled else None,
            "resolved_currency_code": settled.seen.currency_code if settled else None,
            "resolved_opened_at": settled.seen.opened_at if settled else None,
            "write_off_state": each.write_off_state,
            "write_off_amount": each.written_off.seen.write_off_amount if each.written_off else None,
            "write_off_line_key": each.written_off.seen.settlement_line_key if each.written_off else None,
            "write_off_asked_by": each.written_off.actor if each.written_off else None,
            "write_off_reason": each.written_off.reason if each.written_off else None,
            "write_off_decided_by": each.approval.decided_by if each.approval else None,
            "write_off_decided_at": each.approval.decided_at if each.approval else None,
            "comment_count": each.comments,
            "last_actor": last.actor,
            "last_action_at": last.acted_at,
        }


def contradictions(engine: Engine) -> list[str]:
    """Where the rows and what the audit chain says of them differ: somebody wrote here by hand."""
    told = {entry.seq: entry for entry in audit.entries(engine) if entry.action.startswith(_PREFIX)}
    with reading(engine) as connection:
        there = {row.audit_seq: row for row in connection.execute(select(exception_actions))}
    wrong = []
    for seq in sorted(told.keys() | there.keys()):
        if seq not in there:
            wrong.append(f"what was done about {told[seq].subject} (audit entry {seq}) is gone from the exceptions")
        elif seq not in told or not _borne_out(there[seq], told[seq]):
            wrong.append(
                f"what was done about {there[seq].exception_id} is not what audit entry {seq} says: it was changed in "
                "the operations store"
            )
    return wrong


def _ask(connection: Connection, seen: Seen, known: Work | None, reason: str, *, actor: str, now: datetime) -> str:
    if seen.write_off_amount is None or seen.currency_code is None or seen.entity_code is None:
        raise ExceptionActionError(f"{seen.exception_id} has no amount in the books that could be written off")
    # Asked again after a rejection, or for another amount, it is another request.
    asked = sum(done.action == "write_off" for done in known.history) if known else 0
    content = [seen.exception_id, seen.settlement_line_key, seen.write_off_amount, seen.currency_code, asked]
    wanted = approvals.Request(
        kind="write_off",
        subject=seen.exception_id,
        entity_code=seen.entity_code,
        content_hash=sha256_hex(canonical_json(content)),
        summary=f"write off {decimal_text(seen.write_off_amount)} {seen.currency_code} of {seen.settlement_line_key}: "
        f"{reason}",
        amount=seen.write_off_amount,
        currency_code=seen.currency_code,
    )
    approvals.request(connection, [wanted], requested_by=actor, now=now)
    return wanted.approval_id


def _ask_back(connection: Connection, known: Work, reason: str, *, actor: str, now: datetime) -> str:
    written_off = known.written_off
    assert written_off is not None
    if known.take_back is not None:
        raise ExceptionActionError(
            f"{known.take_back.actor} asked to take the write-off of {written_off.exception_id} back already: somebody "
            f"else decides, with: retail approve accept {(known.take_back.approval_id or '')[:12]} --reason …"
        )
    seen = written_off.seen
    assert seen.write_off_amount is not None
    # Asked again after a rejection it is another request.
    asked = sum(done.action == "reopen" for done in known.history)
    content = ["take_back", written_off.approval_id, asked]
    wanted = approvals.Request(
        kind="write_off",
        subject=seen.exception_id,
        entity_code=seen.entity_code or "",
        content_hash=sha256_hex(canonical_json(content)),
        summary=f"take back that {decimal_text(seen.write_off_amount)} {seen.currency_code} of "
        f"{seen.settlement_line_key} are written off: {reason}",
        amount=seen.write_off_amount,
        currency_code=seen.currency_code,
    )
    approvals.request(connection, [wanted], requested_by=actor, now=now)
    return wanted.approval_id


def _work(connection: Connection, exception_ids: Sequence[str] | None) -> dict[str, Work]:
    history = list(_history(connection, exception_ids))
    decided: dict[str, Approval] = {}
    for entity in {done.seen.entity_code or "" for done in history if done.approval_id}:
        decided |= approvals.decided_in(connection, entity)
    found: dict[str, Work] = defaultdict(Work)
    for done in history:
        each = found[done.exception_id]
        each.history.append(done)
        approval = decided.get(done.approval_id or "")
        if done.action == "assign":
            each.assignee = done.assignee
        elif done.action == "comment":
            each.comments += 1
        elif done.action == "snooze":
            each.snoozed_until = done.snoozed_until
        elif done.action == "resolve":
            each.resolved = done
        elif done.action == "write_off":
            each.written_off, each.approval, each.take_back = done, approval, None
            each.write_off_state = (approval.decision if approval else None) or "waiting"
        elif done.approval_id is None or (approval is not None and approval.decision == "approved"):
            each.resolved = each.snoozed_until = None
            each.written_off = each.write_off_state = each.approval = each.take_back = None
        else:
            each.take_back = done if approval is None else None
    return dict(found)


def _history(connection: Connection, exception_ids: Sequence[str] | None) -> Iterator[Done]:
    chunks = (
        [None]
        if exception_ids is None
        else [exception_ids[start : start + _CHUNK] for start in range(0, len(exception_ids), _CHUNK)]
    )
    names = tuple(audit.AuditEntry.__dataclass_fields__)
    for chunk in chunks:
        statement = (
            select(exception_actions, *(audit_log.c[name].label(f"told_{name}") for name in names))
            .join(audit_log, audit_log.c.seq == exception_actions.c.audit_seq)
            .order_by(exception_actions.c.audit_seq)
        )
        if chunk is not None:
            statement = statement.where(exception_actions.c.exception_id.in_(chunk))
        for row in connection.execute(statement):
            entry = audit.AuditEntry(*(getattr(row, f"told_{name}") for name in names))
            if _borne_out(row, entry):
                yield Done(
                    row.audit_seq,
                    row.exception_id,
                    row.action,
                    row.actor,
                    row.acted_at,
                    row.assignee,
                    row.snoozed_until,
                    row.reason,
                    row.approval_id,
                    Seen.from_text(entry.content()["seen"]),
                )


def _borne_out(row: Any, entry: audit.AuditEntry) -> bool:
    content = dict(entry.content())
    until = row.snoozed_until
    return (
        (entry.action, entry.subject, entry.actor, entry.at)
        == (_PREFIX + row.action, row.exception_id, row.actor, utc_text(row.acted_at))
        and canonical_json(content.pop("seen", None)) == row.seen
        and content
        == {
            "assignee": row.assignee,
            "snoozed_until": until.isoformat() if until else None,
            "reason": row.reason,
            "approval_id": row.approval_id,
        }
    )


def seen_from(rows: Iterable[Mapping[str, Any]]) -> list[Seen]:
    """Rows of ``marts.rec_exceptions``, whose times are UTC without a zone, as what somebody saw."""
    names = [name for name in Seen.__dataclass_fields__ if name not in ("opened_at", "write_off_amount")]
    return [Seen(**{name: row[name] for name in names}, opened_at=row["opened_at"].replace(tzinfo=UTC)) for row in rows]
