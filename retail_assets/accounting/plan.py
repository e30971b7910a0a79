"""The journal plan: what to post so that the books become the desired ledger. Pure; reads like a diff.

Posted entries are never edited. Every entry has revisions, 1, 2, …; a change is the reversal of the posted revision
and the next one, an entry nobody wants any more is reversed. A held or faulty entry that was posted before stays
posted: the open exception puts it in doubt but does not say what would be right, so the books wait for the evidence.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal

from retail_assets.accounting.ledger import LedgerEntry
from retail_assets.erp.payload import from_payload
from retail_assets.erp.protocol import JournalEntry, JournalLine
from retail_assets.ops import outbox
from retail_assets.ops.approvals import Approval, Request
from retail_assets.ops.canonical import canonical_json, decimal_text, sha256_hex
from retail_assets.ops.outbox import Posting

Kind = Literal["entry", "reversal"]
Reason = Literal["new", "changed", "withdrawn", "resume", "settle"]
"""``resume``: it may have been sent; find out, and send it if not. ``settle``: find out only, it is not wanted now."""

#: Longest posting key: what ERPNext's Data field holds.
LONGEST_KEY: Final = 140
#: Code of a failed posting whose document a person cancelled at the ERP and that was acknowledged here.
CANCELLED_AT_ERP: Final = "cancelled_at_erp"

_HASH_TAIL: Final = 16
_LINES_IN_WORDS: Final = 20
_UNDER_WAY: Final = frozenset({"resume", "settle"})
_WAITS: Final = "waits for approval by a second person"
_RULES_WAIT: Final = "waits until a second person has approved the policy and mappings it would be posted under"


@dataclass(frozen=True, slots=True)
class Books:
    """Where an entity's books are kept.

    ``company`` is the ERP's name of the entity. ``open_from`` is the first day that can be posted to: what belongs to
    an earlier day is dated there instead. None: every day is open.
    """

    entity_code: str
    erp_id: str
    company: str
    base_currency_code: str
    open_from: date | None = None


@dataclass(frozen=True, slots=True)
class PlanItem:
    """One document to be posted, and why."""

    reason: Reason
    kind: Kind
    entry_id: str
    revision: int
    content_hash: str
    entry: JournalEntry

    @property
    def posting_key(self) -> str:
        return self.entry.key


@dataclass(frozen=True, slots=True)
class Control:
    """What an entity's plan may not do without a second person, and what such persons have decided.

    Limits are in major units of the books' currency; None: no limit. ``rules_hash`` is the hash of policy and mappings
    where those have to be approved. ``decisions`` are by approval id.
    """

    approval_limit: Decimal | None = None
    write_off_limit: Decimal | None = None
    rules_hash: str | None = None
    decisions: Mapping[str, Approval] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """An entry that is not touched now; ``posted_revision`` is what the books hold of it meanwhile.

    ``approval`` is what it waits for, if it is held because a second person has to decide.
    """

    entry_id: str
    reason: str
    exception_id: str | None
    posted_revision: int | None
    approval: Request | None = None


@dataclass(frozen=True, slots=True)
class AccountTotal:
    """What the plan moves on one account, in the currency of the books."""

    account_code: str
    debit: Decimal
    credit: Decimal


@dataclass(frozen=True, slots=True)
class Plan:
    """What to post for one entity; the items of one entry stand together, in the order they must be posted in."""

    books: Books
    items: tuple[PlanItem, ...]
    new: tuple[str, ...]
    changed: tuple[str, ...]
    withdrawn: tuple[str, ...]
    unchanged: tuple[str, ...]
    held: tuple[Held, ...]

    @property
    def entity_code(self) -> str:
        return self.books.entity_code

    @property
    def requests(self) -> tuple[Request, ...]:
        """What a second person has to decide about before it can be posted."""
        wanted = {held.approval.approval_id: held.approval for held in self.held if held.approval}
        return tuple(wanted.values())

    def totals(self) -> tuple[AccountTotal, ...]:
        """Base debits and credits for each account, by account; what is only settled is left out."""
        debits: dict[str, Decimal] = defaultdict(Decimal)
        credits_: dict[str, Decimal] = defaultdict(Decimal)
        for item in self.items:
            for line in item.entry.lines if item.reason != "settle" else ():
                debits[line.account_code] += line.base_debit
                credits_[line.account_code] += line.base_credit
        return tuple(AccountTotal(account, debits[account], credits_[account]) for account in sorted(debits))

    def digest(self) -> str:
        """SHA-256 over everything that would be posted: what was read is what is applied."""
        items = [[item.reason, item.posting_key, item.content_hash, _facts(item.entry)] for item in self.items]
        return sha256_hex(canonical_json([self.entity_code, self.books.erp_id, items]))

    def summary(self) -> dict[str, Any]:
        """Counts and totals as JSON-like values, money as Decimal."""
        return {
            "entity_code": self.entity_code,
            "erp_id": self.books.erp_id,
            "company": self.books.company,
            "documents": len(self.items),
            "new": len(self.new),
            "changed": len(self.changed),
            "withdrawn": len(self.withdrawn),
            "unchanged": len(self.unchanged),
            "held": len(self.held),
            "waiting_for_approval": sum(held.approval is not None for held in self.held),
            "base_currency_code": self.books.base_currency_code,
            "totals": [
                {"account_code": total.account_code, "debit": total.debit, "credit": total.credit}
                for total in self.totals()
            ],
            "digest": self.digest(),
        }


def posting_key(entry_id: str, revision: int, kind: Kind) -> str:
    """``<entry_id>#<revision>``, with ``!reversal`` for a reversal; a long id is cut and gets the end of its hash."""
    suffix = f"#{revision}" + ("!reversal" if kind == "reversal" else "")
    if len(entry_id) + len(suffix) > LONGEST_KEY:
        tail = f"~{sha256_hex(entry_id)[:_HASH_TAIL]}"
        entry_id = entry_id[: LONGEST_KEY - len(tail) - len(suffix)] + tail
    return entry_id + suffix


def plan_entity(
    books: Books, ledger: Iterable[LedgerEntry], postings: Iterable[Posting], control: Control | None = None
) -> Plan:
    """Desired minus posted, for one entity.

    Args:
        ledger: the desired ledger; entries of other entities are passed over.
        postings: the outbox, of every entity: an entry that moved to another entity goes on with its revisions.
        control: what has to be approved first; nothing if left out.

    Returns:
        The same plan for the same input, whatever its order.
    """
    histories: dict[str, list[Posting]] = defaultdict(list)
    for posting in postings:
        histories[posting.entry_id].append(posting)
    desired = {entry.entry_id: entry for entry in ledger if entry.entity_code == books.entity_code}
    ours = {id_ for id_, rows in histories.items() if any(row.entity_code == books.entity_code for row in rows)}
    planned = [
        _controlled(books, _plan_entry(books, id_, desired.get(id_), histories[id_]), desired.get(id_), control)
        for id_ in sorted(desired.keys() | ours)
    ]
    in_order = sorted((entry for entry in planned if entry.items), key=lambda entry: entry.items[0].entry.posting_date)
    verdicts: dict[str, list[str]] = defaultdict(list)
    for entry in planned:
        verdicts[entry.verdict].append(entry.entry_id)
    return Plan(
        books=books,
        items=tuple(item for entry in in_order for item in entry.items),
        new=tuple(verdicts["new"]),
        changed=tuple(verdicts["changed"]),
        withdrawn=tuple(verdicts["withdrawn"]),
        unchanged=tuple(verdicts["unchanged"]),
        held=tuple(entry.held for entry in planned if entry.held),
    )


def plan_all(books: Sequence[Books], ledger: Iterable[LedgerEntry], postings: Iterable[Posting]) -> dict[str, Plan]:
    """The plan of every entity, by entity code."""
    entries, rows = list(ledger), list(postings)
    return {one.entity_code: plan_entity(one, entries, rows) for one in books}


@dataclass(frozen=True, slots=True)
class _Planned:
    entry_id: str
    verdict: str
    items: tuple[PlanItem, ...] = ()
    held: Held | None = None
    posted_revision: int | None = None


@dataclass(frozen=True, slots=True)
class _History:
    """What became of an entry so far. ``sent`` counts as posted until it is settled."""

    live: tuple[Posting, ...]
    unsettled: tuple[Posting, ...]
    drifted: tuple[Posting, ...]
    next_revision: int

    @classmethod
    def of(cls, books: Books, rows: Iterable[Posting]) -> "_History":
        rows = sorted(rows, key=lambda row: (row.revision, row.kind))
        here = [row for row in rows if row.entity_code == books.entity_code]
        at_erp = [row for row in here if row.state in {outbox.POSTED, outbox.SENT}]
        reversed_ = {row.revision for row in at_erp if row.kind == "reversal"}
        used = [
            row.revision
            for row in rows
            if row.entity_code != books.entity_code or row in at_erp or row.erp_document is not None
        ]
        return cls(
            live=tuple(row for row in at_erp if row.kind == "entry" and row.revision not in reversed_),
            unsettled=tuple(row for row in here if row.state == outbox.SENT),
            drifted=tuple(
                row
                for row in here
                if row.state == outbox.FAILED and row.erp_document and row.error_code != CANCELLED_AT_ERP
            ),
            next_revision=max(used, default=0) + 1,
        )


def _plan_entry(books: Books, entry_id: str, desired: LedgerEntry | None, rows: list[Posting]) -> _Planned:
    history = _History.of(books, rows)
    live = history.live[-1] if history.live else None
    held = _hold(books, entry_id, desired, history)
    ready = None if held else desired
    wanted = None if ready is None else ready.content_hash
    items = [_unsettled(row, wanted, held=bool(held)) for row in history.unsettled]
    if held:
        return _Planned(entry_id, "held", tuple(items), held)
    if live and live.content_hash == wanted:
        return _Planned(entry_id, "unchanged", tuple(items))
    verdict: Reason = "withdrawn" if ready is None else "changed" if history.next_revision > 1 else "new"
    if live:
        items.append(_reversal(books, live, verdict))
    if ready is not None:
        items.append(_new_revision(books, ready, history.next_revision, verdict))
    # Without items, and unwanted: it was reversed long ago.
    return _Planned(entry_id, verdict if items else "gone", tuple(items), posted_revision=live and live.revision)


def _controlled(books: Books, planned: _Planned, desired: LedgerEntry | None, control: Control | None) -> _Planned:
    """The same, or held if a second person has to decide; what is on its way to the ERP already is settled anyway."""
    fresh = [item for item in planned.items if item.reason not in _UNDER_WAY]
    if control is None or not fresh:
        return planned
    for wanted in (_rules_request(books, control), _entry_request(books, fresh, desired, control)):
        decision = control.decisions.get(wanted.approval_id) if wanted else None
        if wanted is None or (decision is not None and decision.decision == "approved"):
            continue
        reason = _WAITS if wanted.kind != "policy" else _RULES_WAIT
        if decision is not None:
            reason = f"rejected by {decision.decided_by}: {decision.reason}"
        # What is rejected needs no new request: its content has to change.
        held = Held(planned.entry_id, reason, None, planned.posted_revision, wanted if decision is None else None)
        under_way = tuple(item for item in planned.items if item.reason in _UNDER_WAY)
        return _Planned(planned.entry_id, "held", under_way, held)
    return planned


def _rules_request(books: Books, control: Control) -> Request | None:
    if control.rules_hash is None:
        return None
    summary = f"post to {books.company} under the policy and mappings with the hash {control.rules_hash}"
    return Request("policy", books.entity_code, books.entity_code, control.rules_hash, summary)


def _entry_request(
    books: Books, fresh: Sequence[PlanItem], desired: LedgerEntry | None, control: Control
) -> Request | None:
    amount = max(sum((line.base_debit for line in item.entry.lines), Decimal(0)) for item in fresh)
    written_off = desired.written_off if desired and desired.status == "ready" else Decimal(0)
    is_write_off = control.write_off_limit is not None and written_off > control.write_off_limit
    if not is_write_off and (control.approval_limit is None or amount <= control.approval_limit):
        return None
    # With the revision: what was approved once, and reversed since, is not approved for ever. With the books: nor is
    # it for another company.
    content = [[item.kind, item.revision, item.content_hash] for item in fresh]
    return Request(
        kind="write_off" if is_write_off else "entry",
        subject=fresh[0].entry_id,
        entity_code=books.entity_code,
        content_hash=sha256_hex(canonical_json([books.erp_id, books.company, content])),
        summary="\n".join(line for item in fresh for line in _in_words(item)),
        amount=written_off if is_write_off else amount,
        currency_code=books.base_currency_code,
    )


def _in_words(item: PlanItem) -> Iterator[str]:
    """What somebody decides about: the document and its first lines, in the currency of the books."""
    entry = item.entry
    yield f"{item.kind} {entry.key} of {entry.posting_date}, {entry.base_currency_code}: {entry.memo}"
    for line in entry.lines[:_LINES_IN_WORDS]:
        side, amount = ("debit", line.base_debit) if line.base_debit else ("credit", line.base_credit)
        yield f"  {side} {line.account_code} {decimal_text(amount)}"
    if len(entry.lines) > _LINES_IN_WORDS:
        yield f"  and {len(entry.lines) - _LINES_IN_WORDS} lines more"


def _hold(books: Books, entry_id: str, desired: LedgerEntry | None, history: _History) -> Held | None:
    posted = history.live[-1].revision if history.live else None
    if history.drifted:
        row = history.drifted[-1]
        reason = (
            f"{row.erp_document} at the ERP is not what was to be posted as {row.posting_key} ({row.last_error}): "
            "cancel it there (or delete it, if it is a draft) and acknowledge that here"
        )
        return Held(entry_id, reason, None, posted)
    if len(history.live) > 1:
        keys = ", ".join(row.posting_key for row in history.live)
        return Held(entry_id, f"several revisions are posted and not reversed: {keys}", None, posted)
    if desired is None:
        return None
    if desired.status != "ready":
        return Held(entry_id, desired.reason or desired.status, desired.held_by_exception_id, posted)
    if desired.base_currency_code != books.base_currency_code:
        reason = f"it is in {desired.base_currency_code}, but the books are in {books.base_currency_code}"
        return Held(entry_id, reason, None, posted)
    return None


def _unsettled(row: Posting, wanted: str | None, *, held: bool) -> PlanItem:
    still_wanted = (row.content_hash == wanted) == (row.kind == "entry")
    return PlanItem(
        reason="resume" if still_wanted and not held else "settle",
        kind="entry" if row.kind == "entry" else "reversal",
        entry_id=row.entry_id,
        revision=row.revision,
        content_hash=row.content_hash,
        entry=from_payload(row.payload),
    )


def _reversal(books: Books, posted: Posting, reason: Reason) -> PlanItem:
    original = from_payload(posted.payload)
    lines = tuple(
        replace(
            line,
            debit=line.credit,
            credit=line.debit,
            base_debit=line.base_credit,
            base_credit=line.base_debit,
        )
        for line in original.lines
    )
    day = _open_day(books, original.posting_date)
    moved = "" if day == original.posting_date else f" (of {original.posting_date})"
    entry = replace(
        original,
        key=posting_key(posted.entry_id, posted.revision, "reversal"),
        posting_date=day,
        memo=f"Reversal of {original.key}{moved}: {original.memo}",
        lines=lines,
    )
    return PlanItem(reason, "reversal", posted.entry_id, posted.revision, posted.content_hash, entry)


def _new_revision(books: Books, desired: LedgerEntry, revision: int, reason: Reason) -> PlanItem:
    day = _open_day(books, desired.posting_date)
    moved = "" if day == desired.posting_date else f" (of {desired.posting_date})"
    entry = JournalEntry(
        key=posting_key(desired.entry_id, revision, "entry"),
        entity_code=books.entity_code,
        company=books.company,
        posting_date=day,
        base_currency_code=books.base_currency_code,
        memo=f"{desired.description}{moved}",
        lines=tuple(
            JournalLine(
                account_code=line.account_code,
                debit=line.debit,
                credit=line.credit,
                currency_code=line.currency_code,
                base_debit=line.base_debit,
                base_credit=line.base_credit,
                exchange_rate=line.exchange_rate,
                memo=line.description,
                cost_centre=line.cost_centre,
            )
            for line in desired.lines
        ),
    )
    return PlanItem(reason, "entry", desired.entry_id, revision, desired.content_hash, entry)


def _open_day(books: Books, day: date) -> date:
    return day if books.open_from is None else max(day, books.open_from)


def _facts(entry: JournalEntry) -> Mapping[str, Any]:
    lines = [
        [
            line.account_code,
            line.currency_code,
            line.debit,
            line.credit,
            line.base_debit,
            line.base_credit,
            *([line.cost_centre] if line.cost_centre else []),
        ]
        for line in entry.lines
    ]
    return {"company": entry.company, "posting_date": entry.posting_date, "lines": lines}
