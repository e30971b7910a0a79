"""Links made by hand: a payment belongs to an order, a payout is a bank line.

A link is evidence like any other: it has versions, can be taken back, and counts only as far as the audit chain bears
it out. Above a limit it counts once a second person has approved it.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

from sqlalchemy import Connection, Engine, insert, select

from retail_assets.ops import approvals, audit
from retail_assets.ops.approvals import Approval
from retail_assets.ops.canonical import canonical_json, decimal_text, sha256_hex, utc_text
from retail_assets.ops.models import audit_log, manual_links
from retail_assets.ops.store import reading

Kind = Literal["payment_order", "payout_bank"]
State = Literal["effective", "waiting", "rejected", "unlinked"]

_ACTIONS: Final = {"link": "link.made", "unlink": "link.undone"}
_ID_LENGTH: Final = 32
_FACTS: Final = (
    "version",
    "kind",
    "left_key",
    "right_key",
    "entity_code",
    "exception_id",
    "amount",
    "currency_code",
    "reason",
    "approval_id",
)


class LinkError(Exception):
    """The two cannot be linked, or their link not undone; the message says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Two records that belong together: payment and order, or payout and bank line.

    ``amount`` is what both agree on, in major units of ``currency_code``.
    """

    kind: Kind
    left_key: str
    right_key: str
    entity_code: str
    amount: Decimal
    currency_code: str
    exception_id: str | None = None

    @property
    def link_id(self) -> str:
        """The same for the same two records."""
        return link_id(self.kind, self.left_key, self.right_key)


@dataclass(frozen=True, slots=True)
class Link:
    """The latest version of a link, with what it comes to; ``amount`` as in ``Wanted``."""

    link_id: str
    version: int
    kind: Kind
    left_key: str
    right_key: str
    entity_code: str
    exception_id: str | None
    amount: Decimal
    currency_code: str
    actor: str
    acted_at: datetime
    reason: str
    approval_id: str | None
    state: State
    decided_by: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether it counts, or may yet."""
        return self.state in ("effective", "waiting")


def link_id(kind: Kind, left_key: str, right_key: str) -> str:
    """The id of the link between two records."""
    return sha256_hex(canonical_json([kind, left_key, right_key]))[:_ID_LENGTH]


def link(
    connection: Connection, wanted: Wanted, *, actor: str, now: datetime, reason: str, needs_approval: bool
) -> str:
    """Link two records, in the caller's transaction. Returns the link's id.

    Raises:
        LinkError: one of the two has a link by hand already, or no reason is given.
    """
    if not reason.strip():
        raise LinkError("a link made by hand needs a reason: --reason")
    found = _links(connection)
    _settle(connection, found)
    for each in found.values():
        if each.kind != wanted.kind or not each.is_live:
            continue
        shared = {wanted.left_key} & {each.left_key} or {wanted.right_key} & {each.right_key}
        if shared:
            raise LinkError(
                f"{shared.pop()} is linked by hand already, {each.left_key} with {each.right_key} by {each.actor}: "
                f"undo that first with: retail exceptions unlink {each.link_id}"
            )
    before = found.get(wanted.link_id)
    version = before.version + 1 if before else 1
    approval_id = None
    if needs_approval:
        content = [wanted.kind, wanted.left_key, wanted.right_key, wanted.amount, wanted.currency_code, version]
        request = approvals.Request(
            kind="link",
            subject=wanted.link_id,
            entity_code=wanted.entity_code,
            content_hash=sha256_hex(canonical_json(content)),
            summary=f"link {wanted.left_key} with {wanted.right_key}: {reason.strip()}",
            amount=wanted.amount,
            currency_code=wanted.currency_code,
        )
        approvals.request(connection, [request], requested_by=actor, now=now)
        approval_id = request.approval_id
    _add(connection, "link", wanted, version, actor=actor, now=now, reason=reason.strip(), approval_id=approval_id)
    return wanted.link_id


def unlink(connection: Connection, identifier: str, *, actor: str, now: datetime, reason: str) -> Link:
    """Take a link back, in the caller's transaction; what hung on it goes with the next build.

    Args:
        identifier: the link's id, or the first part of it; or the id of the exception that it was made for.

    Raises:
        LinkError: there is no single such link, it is undone already, or no reason is given.
    """
    if not reason.strip():
        raise LinkError("taking a link back needs a reason: --reason")
    found = _links(connection)
    _settle(connection, found)
    named = [
        each
        for each in found.values()
        if identifier and (each.link_id.startswith(identifier) or each.exception_id == identifier)
    ]
    live = [each for each in named if each.is_live]
    if len(live) != 1:
        raise LinkError(
            f"the link {identifier!r} is undone already"
            if named and not live
            else f"no single link is {identifier!r}; list them with: retail exceptions links"
        )
    (last,) = live
    wanted = Wanted(
        last.kind, last.left_key, last.right_key, last.entity_code, last.amount, last.currency_code, last.exception_id
    )
    _add(connection, "unlink", wanted, last.version + 1, actor=actor, now=now, reason=reason.strip(), approval_id=None)
    return last


def links(engine: Engine) -> list[Link]:
    """The latest version of every link, by its records."""
    with reading(engine) as connection:
        found = _links(connection)
        _settle(connection, found)
    return sorted(found.values(), key=lambda each: (each.kind, each.left_key, each.right_key))


def rows(engine: Engine) -> Iterator[dict[str, Any]]:
    """Every link with the columns of ``raw_ops.manual_links``."""
    for each in links(engine):
        yield {
            "link_id": each.link_id,
            "version": each.version,
            "kind": each.kind,
            "left_key": each.left_key,
            "right_key": each.right_key,
            "entity_code": each.entity_code,
            "exception_id": each.exception_id,
            "state": each.state,
            "amount": each.amount,
            "currency_code": each.currency_code,
            "linked_by": each.actor,
            "linked_at": each.acted_at,
            "reason": each.reason,
            "approved_by": each.decided_by if each.state == "effective" else None,
        }


def contradictions(engine: Engine) -> list[str]:
    """Where the links and what the audit chain says of them differ: somebody wrote here by hand."""
    told = {entry.seq: entry for entry in audit.entries(engine) if entry.action in _ACTIONS.values()}
    with reading(engine) as connection:
        there = {row.audit_seq: row for row in connection.execute(select(manual_links))}
    wrong = []
    for seq in sorted(told.keys() | there.keys()):
        if seq not in there:
            wrong.append(f"the link {told[seq].subject} (audit entry {seq}) is gone from the links made by hand")
        elif seq not in told or not _borne_out(there[seq], told[seq]):
            wrong.append(
                f"the link of {there[seq].left_key} with {there[seq].right_key} is not what audit entry {seq} says: it "
                "was changed in the operations store"
            )
    return wrong


def _add(
    connection: Connection,
    action: Literal["link", "unlink"],
    wanted: Wanted,
    version: int,
    *,
    actor: str,
    now: datetime,
    reason: str,
    approval_id: str | None,
) -> None:
    facts = {
        "version": version,
        "kind": wanted.kind,
        "left_key": wanted.left_key,
        "right_key": wanted.right_key,
        "entity_code": wanted.entity_code,
        "exception_id": wanted.exception_id,
        "amount": decimal_text(wanted.amount),
        "currency_code": wanted.currency_code,
        "reason": reason,
        "approval_id": approval_id,
    }
    entry = audit.append(
        connection, at=now, actor=actor, action=_ACTIONS[action], subject=wanted.link_id, details=facts
    )
    values = {"audit_seq": entry.seq, "link_id": wanted.link_id, "action": action, "actor": actor, "acted_at": now}
    connection.execute(insert(manual_links).values(**values, **facts))


def _links(connection: Connection) -> dict[str, Link]:
    names = tuple(audit.AuditEntry.__dataclass_fields__)
    statement = (
        select(manual_links, *(audit_log.c[name].label(f"told_{name}") for name in names))
        .join(audit_log, audit_log.c.seq == manual_links.c.audit_seq)
        .order_by(manual_links.c.audit_seq)
    )
    found: dict[str, Link] = {}
    for row in connection.execute(statement):
        if not _borne_out(row, audit.AuditEntry(*(getattr(row, f"told_{name}") for name in names))):
            continue
        undone = row.action == "unlink"
        found[row.link_id] = Link(
            row.link_id,
            row.version,
            row.kind,
            row.left_key,
            row.right_key,
            row.entity_code,
            row.exception_id,
            Decimal(row.amount),
            row.currency_code,
            row.actor,
            row.acted_at,
            row.reason,
            row.approval_id,
            "unlinked" if undone else "waiting" if row.approval_id else "effective",
        )
    return found


def _settle(connection: Connection, found: dict[str, Link]) -> None:
    """What was decided about the links that wait for approval."""
    waiting: dict[str, list[Link]] = defaultdict(list)
    for each in found.values():
        if each.state == "waiting":
            waiting[each.entity_code].append(each)
    for entity, some in waiting.items():
        decided = approvals.decided_in(connection, entity)
        for each in some:
            approval: Approval | None = decided.get(each.approval_id or "")
            if approval is not None:
                state: State = "effective" if approval.decision == "approved" else "rejected"
                found[each.link_id] = replace(each, state=state, decided_by=approval.decided_by)


def _borne_out(row: Any, entry: audit.AuditEntry) -> bool:
    return (entry.action, entry.subject, entry.actor, entry.at) == (
        _ACTIONS[row.action],
        row.link_id,
        row.actor,
        utc_text(row.acted_at),
    ) and entry.content() == {name: getattr(row, name) for name in _FACTS}
