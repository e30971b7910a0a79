"""``retail exceptions``: what does not agree, as work: who has it, what was done about it, how it was settled."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from sqlalchemy import Engine

from retail_assets.commands import CommandError
from retail_assets.commands.approve import acting_person
from retail_assets.commands.summary import at_risk_text
from retail_assets.commands.warehouse import rows
from retail_assets.ops import audit, exception_actions, links, outbox
from retail_assets.ops.exception_actions import Action, ExceptionActionError, Seen, Work, seen_from
from retail_assets.ops.links import Link, LinkError, Wanted
from retail_assets.ops.store import open_store, writing
from retail_assets.settings import Settings

#: Work that somebody still has to do.
UNSETTLED: Final = ("open", "assigned", "write_off_asked")

_QUEUES: Final = ("business", "technical")
#: More are as many copies of one reason: a missing mapping holds every entry of its account.
_SHOWN_ENTRIES: Final = 10


@dataclass(frozen=True)
class Chosen:
    """Which exceptions: by id, or all that fit; None is any."""

    ids: tuple[str, ...] = ()
    exception_type: str | None = None
    entity_code: str | None = None
    queue: str | None = None
    assignee: str | None = None
    older_than: int | None = None
    overdue: bool = False
    everything: bool = False

    @property
    def by_filter(self) -> bool:
        """Whether it says what kind rather than which."""
        return not self.ids


def exception_rows(settings: Settings, chosen: Chosen) -> list[dict[str, Any]]:
    """Exceptions of ``marts.rec_exceptions`` with what people have done about them until now, the largest amount at
    risk first. Without ids and ``everything`` only those that somebody still has to do something about.

    Raises:
        CommandError: an id is not there, with those that are nearly called so; or there is no such queue.
    """
    if chosen.queue is not None and chosen.queue not in _QUEUES:
        raise CommandError(f"there is no queue {chosen.queue!r}; there are {' and '.join(_QUEUES)}")
    found = _built(
        settings,
        """
        select *
        from marts.rec_exceptions
        where
            ($type is null or exception_type = $type)
            and ($entity is null or entity_code = $entity)
            and ($queue is null or exception_class = $queue)
            and ($older is null or age_days > $older)
        order by amount_at_risk desc nulls last, exception_id
        """,
        {
            "type": chosen.exception_type,
            "entity": chosen.entity_code,
            "queue": chosen.queue,
            "older": chosen.older_than,
        },
    )
    with _store(settings) as operations:
        work = exception_actions.work(operations)
    given_up = _given_up(settings, work)
    for row in found:
        _bring_up_to_date(row, work.get(row["exception_id"]), settings.now(), given_up=row["exception_id"] in given_up)
    if chosen.ids:
        by_id = {row["exception_id"]: row for row in found}
        if missing := [each for each in chosen.ids if each not in by_id]:
            raise CommandError(_not_there(missing[0], by_id))
        return [by_id[each] for each in dict.fromkeys(chosen.ids)]
    return [
        row
        for row in found
        if (chosen.everything or row["work_status"] in UNSETTLED)
        and (chosen.assignee is None or row["assignee"] == chosen.assignee)
        and (not chosen.overdue or row["is_overdue"])
    ]


def exception_details(settings: Settings, identifier: str) -> dict[str, Any]:
    """One exception with everything done about it (``history``), its links by hand, and the journal entries on it."""
    (row,) = exception_rows(settings, Chosen(ids=(identifier,)))
    with _store(settings) as operations:
        work = exception_actions.work(operations, [identifier]).get(identifier)
        own = [each for each in links.links(operations) if _concerns(each, row)]
        posted = {
            each.entry_id: each.erp_document
            for each in outbox.postings(operations, states=(outbox.POSTED,))
            if each.kind == "entry"
        }
    entries = rows(
        settings,
        """
        select entry_id, entry_type, posting_date, base_total_amount, base_currency_code, posting_status, hold_reason
        from marts.acc_journal_entries
        where
            held_by_exception_id = $id
            or settlement_line_key = $line
            or ($line is null and order_key = $order)
            or ($line is null and $order is null and settlement_key = $payout)
        order by posting_date, entry_id
        """,
        {
            "id": identifier,
            "line": row["settlement_line_key"],
            "order": row["order_key"],
            "payout": row["settlement_key"],
        },
    )
    return {
        **row,
        "history": [
            {
                "acted_at": done.acted_at,
                "actor": done.actor,
                "action": done.action,
                "assignee": done.assignee,
                "snoozed_until": done.snoozed_until,
                "reason": done.reason,
                "approval_id": done.approval_id,
            }
            for done in (work.history if work else ())
        ],
        "links": [_link_row(each) for each in own],
        "journal_entries": [{**entry, "erp_document": posted.get(entry["entry_id"])} for entry in entries],
    }


def act(
    settings: Settings,
    action: Action,
    chosen: Chosen,
    *,
    sure: bool = False,
    assignee: str | None = None,
    snoozed_until: date | None = None,
    reason: str | None = None,
) -> list[dict[str, Any]]:
    """Do the same about each of some exceptions; returns them as they are then.

    Args:
        sure: needed where they are not named one by one.

    Raises:
        CommandError: it cannot be done, and why; nothing was.
    """
    actor = acting_person(settings)
    found = exception_rows(settings, replace(chosen, everything=action == "reopen") if chosen.by_filter else chosen)
    if not found:
        raise CommandError("no exception fits: see them with: retail exceptions list --all")
    if chosen.by_filter and not sure:
        raise CommandError(f"that would be {len(found)} exceptions: say --yes to {action.replace('_', '-')} them all")
    if action != "comment" and (gone := [row for row in found if row["work_status"] == "closed"]):
        raise CommandError(f"{gone[0]['exception_id']} is closed: what caused it is gone")
    done = [row["exception_id"] for row in found if row["work_status"] == "written_off"]
    if done and action not in ("comment", "reopen"):
        raise CommandError(
            f"{done[0]} is written off: that is taken back first, with: retail exceptions reopen "
            f"{shlex.quote(done[0])} --reason …"
        )
    seen = seen_from(found)
    if action == "write_off":
        seen = _with_write_off(settings, seen)
    with _store(settings) as operations:
        try:
            audit.require_anchor_holds(operations, settings.audit_anchor_path)
            with writing(operations) as connection:
                exception_actions.act(
                    connection,
                    action,
                    seen,
                    actor=actor,
                    now=settings.now(),
                    assignee=assignee,
                    snoozed_until=snoozed_until,
                    reason=reason,
                )
        except (ExceptionActionError, audit.AnchorMismatchError) as error:
            raise CommandError(str(error)) from error
        audit.write_anchor(operations, settings.audit_anchor_path, now=settings.now())
    return exception_rows(settings, Chosen(ids=tuple(row["exception_id"] for row in found)))


# --- links ---


def link(
    settings: Settings,
    identifier: str,
    *,
    order: str | None,
    payment: str | None,
    bank_line: str | None,
    payout: str | None,
    reason: str,
) -> dict[str, Any]:
    """Link what an exception is about with its other side by hand: a payment with an order, a payout with a bank line.

    Args:
        identifier: the exception; it says one side, the arguments the other (or both, where it says neither).
        payment: payment or settlement line.

    Raises:
        CommandError: the two cannot belong together, something certain says otherwise, or a side is missing.
    """
    actor = acting_person(settings)
    (row,) = exception_rows(settings, Chosen(ids=(identifier,)))
    of_payment = order is not None or payment is not None
    if of_payment == (bank_line is not None or payout is not None):
        raise CommandError("say what it belongs to: --order or --payment, or --bank-line or --payout")
    wanted = (
        _payment_and_order(settings, row, payment, order)
        if of_payment
        else _payout_and_bank_line(settings, row, payout, bank_line)
    )
    limit = settings.configuration.policy(wanted.entity_code).manual_link_limit
    books = settings.configuration.entity(wanted.entity_code).base_currency
    # What it is worth in the books is not known here: in another currency a second person always looks.
    above = limit is not None and (wanted.currency_code != books or wanted.amount > limit)
    with _store(settings) as operations:
        try:
            audit.require_anchor_holds(operations, settings.audit_anchor_path)
            with writing(operations) as connection:
                made = links.link(
                    connection, wanted, actor=actor, now=settings.now(), reason=reason, needs_approval=above
                )
        except (LinkError, audit.AnchorMismatchError) as error:
            raise CommandError(str(error)) from error
        audit.write_anchor(operations, settings.audit_anchor_path, now=settings.now())
        (result,) = [each for each in links.links(operations) if each.link_id == made]
    return _link_row(result)


def unlink(settings: Settings, identifier: str, reason: str) -> dict[str, Any]:
    """Take a link back, by its id or that of the exception it was made for."""
    actor = acting_person(settings)
    with _store(settings) as operations:
        try:
            audit.require_anchor_holds(operations, settings.audit_anchor_path)
            with writing(operations) as connection:
                undone = links.unlink(connection, identifier, actor=actor, now=settings.now(), reason=reason)
        except (LinkError, audit.AnchorMismatchError) as error:
            raise CommandError(str(error)) from error
        audit.write_anchor(operations, settings.audit_anchor_path, now=settings.now())
        (result,) = [each for each in links.links(operations) if each.link_id == undone.link_id]
    return _link_row(result)


def link_rows(settings: Settings, *, everything: bool) -> list[dict[str, Any]]:
    """Links made by hand; without ``everything`` only those that count, or may yet."""
    with _store(settings) as operations:
        return [_link_row(each) for each in links.links(operations) if everything or each.is_live]


def _payment_and_order(settings: Settings, exception: dict[str, Any], payment: str | None, order: str | None) -> Wanted:
    named = payment or exception["settlement_line_key"]
    order = order or exception["order_key"]
    if named is None or order is None:
        raise CommandError(
            f"{exception['exception_id']} does not say which {'payment' if named is None else 'order'} it is about: "
            f"add --{'payment PAYMENT_KEY' if named is None else 'order ORDER_KEY'}"
        )
    found = rows(settings, _PAYMENT, {"name": named})
    if not found:
        raise CommandError(f"there is no payment {named!r}: look it up with: retail trace ORDER_NUMBER")
    (paid,) = found
    key = paid["payment_key"]
    if not paid["is_payment"] or not paid["is_live"]:
        raise CommandError(f"{key} moved no real money: it failed, was never captured, or is a test")
    owed = rows(settings, _ORDER, {"order": order, "gateway": paid["gateway_id"]})
    if not owed:
        raise CommandError(
            f"there is no order {order!r}: an order's key is its store and id, for example cedar_us:1001"
        )
    (due,) = owed
    if not due["is_served"]:
        raise CommandError(
            f"{paid['gateway_id']} takes no payments for the store of {order}: if it does, add the store to its stores "
            "in retail.yaml"
        )
    if paid["currency_code"] != due["currency_code"]:
        raise CommandError(
            f"{key} is in {paid['currency_code']} and {order} in {due['currency_code']}: they cannot be one sale"
        )
    difference = paid["captured_amount"] - due["total_amount"]
    if abs(difference) > paid["tolerance"]:
        raise CommandError(
            f"{key} took {_money(paid['captured_amount'], paid)} and {order} comes to "
            f"{_money(due['total_amount'], paid)}: a link does not make {_money(abs(difference), paid)} go away. "
            "Correct the order in the store, or refund the difference, and load again"
        )
    if paid["is_matched"]:
        raise CommandError(
            f"{key} and {order} are matched already, by {paid['match_rule']}"
            if paid["order_key"] == order
            else f"{key} belongs to {paid['order_key'] or 'several orders'} by {paid['match_rule']}: that is evidence, "
            "and a link cannot overrule it"
        )
    for other in rows(settings, _RIVALS, {"payment": key, "order": order}):
        raise CommandError(
            f"{other['order_key']} is the order of {other['payment_key']} by {other['match_rule']}: that is evidence, "
            "and a link cannot overrule it"
        )
    return Wanted(
        "payment_order",
        key,
        order,
        paid["entity_code"],
        paid["captured_amount"],
        paid["currency_code"],
        exception["exception_id"],
    )


def _payout_and_bank_line(
    settings: Settings, exception: dict[str, Any], payout: str | None, bank_line: str | None
) -> Wanted:
    payout = payout or exception["settlement_key"]
    bank_line = bank_line or exception["bank_line_key"]
    if payout is None or bank_line is None:
        raise CommandError(
            f"{exception['exception_id']} does not say which {'payout' if payout is None else 'bank line'} it is "
            f"about: add --{'payout SETTLEMENT_KEY' if payout is None else 'bank-line BANK_LINE_KEY'}"
        )
    sent = rows(settings, _PAYOUT, {"payout": payout})
    if not sent:
        raise CommandError(f"there is no payout {payout!r}: a payout's key is its gateway account and id")
    came = rows(settings, _BANK_LINE, {"line": bank_line})
    if not came:
        raise CommandError(f"there is no bank line {bank_line!r}: a bank line's key is bank, statement and position")
    (paid,), (line,) = sent, came
    if paid["bank_id"] != line["bank_id"]:
        raise CommandError(f"{payout} goes to the account {paid['bank_id']}, {bank_line} is on {line['bank_id']}")
    if paid["currency_code"] != line["currency_code"]:
        raise CommandError(f"{payout} is in {paid['currency_code']} and {bank_line} in {line['currency_code']}")
    if paid["payout_amount"] != line["bank_amount"]:
        raise CommandError(
            f"{payout} is {_money(paid['payout_amount'], paid)} and {bank_line} {_money(line['bank_amount'], line)}: "
            "ask the bank or the gateway for the difference"
        )
    for match in rows(settings, _BANK_MATCHES, {"payout": payout, "line": bank_line}):
        raise CommandError(
            f"{match['settlement_key']} is {match['bank_line_key']} by {match['match_rule']}: that is evidence, and a "
            "link cannot overrule it"
        )
    return Wanted(
        "payout_bank",
        payout,
        bank_line,
        paid["entity_code"],
        abs(paid["payout_amount"]),
        paid["currency_code"],
        exception["exception_id"],
    )


_PAYMENT: Final = """
select
    payments.payment_key, payments.gateway_id, payments.entity_code, payments.currency_code, payments.captured_amount,
    payments.is_payment, payments.is_live, payments.is_matched, payments.order_key, payments.match_rule,
    entities.tolerance_minor_units * cast(power(10, -payments.currency_digits) as decimal(18, 4)) as tolerance
from intermediate.int_payments_correlated as payments
inner join staging.stg_ops__entities as entities on payments.entity_code = entities.entity_code
where
    payments.payment_key = $name
    or payments.payment_key in (
        select payment_key from marts.fct_settlement_lines where settlement_line_key = $name
    )
"""

_ORDER: Final = """
select
    orders.order_key, orders.currency_code, orders.total_amount,
    exists (
        select 1 from intermediate.int_orders_matchable as served
        where served.order_key = orders.order_key and served.gateway_id = $gateway
    ) as is_served
from marts.fct_orders as orders
where orders.order_key = $order
"""

# What the link must not overrule: ids of the gateway between other two, and any match of the order.
_RIVALS: Final = """
with certain as (
    select payment_key, order_key, match_rule
    from intermediate.int_payments_pass_1_gateway_id
    where payment_key = $payment or order_key = $order
)

select payment_key, order_key, match_rule
from certain
where not exists (select 1 from certain as own where own.payment_key = $payment and own.order_key = $order)
union all
select payment_key, order_key, match_rule
from intermediate.int_payments_correlated
where order_key = $order and is_matched and payment_key <> $payment
union all
select combined.payment_key, combined.order_key, 'several_orders' as match_rule
from intermediate.int_payments_combined as combined
where combined.order_key = $order
order by payment_key
"""

_PAYOUT: Final = """
select payouts.settlement_key, payouts.bank_id, payouts.currency_code, payouts.payout_amount, gateways.entity_code
from intermediate.int_bank_payouts as payouts
inner join staging.stg_ops__banks as gateways on payouts.bank_id = gateways.bank_id
where payouts.settlement_key = $payout
"""

_BANK_LINE: Final = """
select bank_line_key, bank_id, currency_code, bank_amount
from staging.stg_bank__entries
where bank_line_key = $line
"""

_BANK_MATCHES: Final = """
select settlement_key, bank_line_key, match_rule
from intermediate.int_payouts_matched_to_bank
where settlement_key = $payout or bank_line_key = $line
order by settlement_key, bank_line_key
"""


# --- writing off ---

_IN_SUSPENSE: Final = """
select settlement_line_key, abs(other_amount) as amount, currency_code
from intermediate.int_settlement_lines_booked
where other_role = 'suspense' and other_amount <> 0 and settlement_line_key in (select unnest($lines))
"""


def _with_write_off(settings: Settings, seen: Sequence[Seen]) -> list[Seen]:
    """With what of each is in suspense, which is what can be given up."""
    keys = [each.settlement_line_key for each in seen if each.settlement_line_key]
    waiting = {row["settlement_line_key"]: row for row in rows(settings, _IN_SUSPENSE, {"lines": keys})}
    result = []
    for each in seen:
        line = waiting.get(each.settlement_line_key or "")
        if line is None:
            raise CommandError(
                f"nothing of {each.exception_id} is in suspense, so the books have nothing to write off: settle its "
                "cause, or resolve it with a reason"
            )
        result.append(replace(each, write_off_amount=line["amount"], currency_code=line["currency_code"]))
    return result


_STILL_THERE: Final = """
select settlement_line_key, abs(other_amount) as amount
from intermediate.int_settlement_lines_booked
where other_role = 'suspense' and base_exchange_rate is not null and settlement_line_key in (select unnest($lines))
"""


def _given_up(settings: Settings, work: Mapping[str, Work]) -> set[str]:
    """Of what was approved to be written off, what is: as ``int_exceptions_written_off`` decides at the next build."""
    first: dict[str, tuple[datetime, str, Decimal | None]] = {}
    for exception_id, each in work.items():
        if each.written_off is None or each.write_off_state != "approved" or each.approval is None:
            continue
        seen, decided_at = each.written_off.seen, each.approval.decided_at
        if seen.settlement_line_key is None or decided_at is None:
            continue
        asked = (decided_at, exception_id, seen.write_off_amount)
        # A line is given up once: for the exception that was decided about first.
        first[seen.settlement_line_key] = min(asked, first.get(seen.settlement_line_key, asked))
    if not first:
        return set()
    found = rows(settings, _STILL_THERE, {"lines": list(first)})
    there = {(row["settlement_line_key"], row["amount"]) for row in found}
    return {exception_id for line, (_, exception_id, amount) in first.items() if (line, amount) in there}


# --- showing ---


def print_exceptions(console: Console, found: list[dict[str, Any]]) -> None:
    """By queue, one line each; the id is what the other commands take."""
    overdue = sum(row["is_overdue"] for row in found)
    console.print(f"[bold]{len(found)} exceptions[/bold], {overdue} of them overdue", highlight=False)
    for queue in _QUEUES:
        some = [row for row in found if row["exception_class"] == queue]
        if not some:
            continue
        console.print(f"\n[bold]{queue}[/bold] ({len(some)})", highlight=False)
        for row in some:
            due = f"{'overdue since' if row['is_overdue'] else 'due'} {row['due_at']:%Y-%m-%d}"
            state = row["work_status"].replace("_", " ")
            state += f" to {row['assignee']}" if row["assignee"] and state == "assigned" else ""
            state += f" until {row['snoozed_until']}" if state == "snoozed" else ""
            console.print(
                f"{at_risk_text(row['amount_at_risk'], row['currency_code']):>18}  "
                f"[cyan]{escape(row['exception_id'])}[/cyan]  {row['entity_code']}  {row['severity']}  {row['owner']}  "
                f"{'[red]' + due + '[/red]' if row['is_overdue'] else due}  {escape(state)}",
                highlight=False,
                soft_wrap=True,
            )


def print_exception(console: Console, row: dict[str, Any]) -> None:
    """All of it: the facts and the evidence readable, what was done about it, and its journal entries."""
    evidence = json.loads(row["evidence"]) if row["evidence"] else {}
    facts = Table(box=None, show_header=False, pad_edge=False)
    for name, value in row.items():
        shown = name not in ("evidence", "suggested_action", "history", "links", "journal_entries")
        if shown and value is not None:
            facts.add_row(f"[dim]{name}[/dim]", escape(str(value)))
    for name, value in evidence.items():
        facts.add_row(f"[dim]evidence: {name}[/dim]", escape(str(value)))
    console.print(facts)
    console.print(Panel(row["suggested_action"] or "", title="what to do", title_align="left"))
    for done in row["history"]:
        what = {
            "assign": f"assigned it to {done['assignee']}",
            "snooze": f"snoozed it until {done['snoozed_until']}",
            "write_off": f"asked to write it off (approval {(done['approval_id'] or '')[:12]})",
            "comment": "commented",
            "resolve": "resolved it",
            "reopen": f"asked to take the write-off back (approval {done['approval_id'][:12]})"
            if done["approval_id"]
            else "reopened it",
        }[done["action"]]
        words = f": {done['reason']}" if done["reason"] else ""
        console.print(
            f"{done['acted_at']:%Y-%m-%d %H:%M}  {escape(done['actor'])} {escape(what + words)}",
            highlight=False,
            soft_wrap=True,
        )
    print_links(console, row["links"], head=False)
    for entry in row["journal_entries"][:_SHOWN_ENTRIES]:
        held = f": {entry['hold_reason']}" if entry["hold_reason"] else ""
        state = f"posted as {entry['erp_document']}" if entry["erp_document"] else f"{entry['posting_status']}{held}"
        total = _money(entry["base_total_amount"], {"currency_code": entry["base_currency_code"]})
        console.print(
            f"{entry['posting_date']}  journal entry [cyan]{escape(entry['entry_id'])}[/cyan] {total} is "
            f"{escape(state)}",
            highlight=False,
            soft_wrap=True,
        )
    if (more := len(row["journal_entries"]) - _SHOWN_ENTRIES) > 0:
        console.print(f"… and {more} more journal entries (all with --json)", highlight=False)


def print_links(console: Console, found: list[dict[str, Any]], *, head: bool = True) -> None:
    """One line each; the id is what ``retail exceptions unlink`` takes."""
    if head:
        console.print(f"[bold]{len(found)} links made by hand[/bold]", highlight=False)
    for row in found:
        approved = f", approved by {row['decided_by']}" if row["state"] == "effective" and row["decided_by"] else ""
        console.print(
            f"{row['acted_at']:%Y-%m-%d %H:%M}  link [cyan]{row['link_id'][:12]}[/cyan] "
            f"{escape(row['left_key'])} — {escape(row['right_key'])} {_money(row['amount'], row)}, version "
            f"{row['version']}: {row['state']}, by {escape(row['actor'] + approved)}: {escape(row['reason'])}",
            highlight=False,
            soft_wrap=True,
        )


def _built(settings: Settings, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        return rows(settings, query, parameters)
    except duckdb.BinderException as error:
        raise CommandError(
            "the marts were built by an earlier release, which knew no work on exceptions: rebuild them with: retail "
            "run --no-load"
        ) from error


def _link_row(found: Link) -> dict[str, Any]:
    return {name: getattr(found, name) for name in Link.__dataclass_fields__}


def _concerns(found: Link, row: dict[str, Any]) -> bool:
    own = (row["order_key"], row["settlement_key"], row["bank_line_key"])
    return found.exception_id == row["exception_id"] or bool({found.left_key, found.right_key} & set(own))


def _bring_up_to_date(row: dict[str, Any], work: Work | None, now: datetime, *, given_up: bool) -> None:
    """What was done since the last build counts at once."""
    if work is None:
        return
    now = now.astimezone(UTC)
    if row["work_status"] != "closed":
        opened_at = row["opened_at"].replace(tzinfo=UTC)
        row["work_status"] = work.status(
            row["amount_at_risk"], row["currency_code"], opened_at, now.date(), given_up=given_up
        )
        settled = {"resolved": work.resolved, "written_off": work.written_off}.get(row["work_status"])
        row["resolution_reason"] = settled.reason if settled else None
        row["is_overdue"] = settled is None and row["due_at"].replace(tzinfo=UTC) < now
        # What a write-off closed is open again at once; what it is to close, the next build closes.
        row["status"] = row["status"] if row["work_status"] == "written_off" else "open"
    row["assignee"], row["snoozed_until"], row["comment_count"] = work.assignee, work.snoozed_until, work.comments
    row["last_actor"] = work.history[-1].actor
    row["last_action_at"] = work.history[-1].acted_at.astimezone(UTC).replace(tzinfo=None)


def _not_there(identifier: str, known: dict[str, Any]) -> str:
    near = [each for each in known if identifier.lower() in each.lower()][:3]
    hint = f"did you mean {', '.join(near)}?" if near else "list them with: retail exceptions list --all"
    return f"there is no exception {identifier!r}; {hint}"


def _money(amount: Decimal, row: dict[str, Any]) -> str:
    return f"{amount:,.2f} {row['currency_code']}"


@contextmanager
def _store(settings: Settings) -> Iterator[Engine]:
    operations = open_store(settings.operations_url)
    try:
        yield operations
    finally:
        operations.dispose()
