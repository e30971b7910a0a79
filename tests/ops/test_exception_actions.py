"""What people do about exceptions and the links they make: only added to, borne out by the chain, and taken back."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, text

from retail_assets.ops import approvals, audit, exception_actions, links, replays
from retail_assets.ops.exception_actions import ExceptionActionError, Seen, act, work
from retail_assets.ops.links import LinkError, Wanted
from retail_assets.ops.replays import Outcome, ReplayError
from retail_assets.ops.store import writing

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
TODAY = NOW.date()
SEEN = Seen(
    "order_missing:g:1", "order_missing", "US", None, "g", None, None, "g:1", None, Decimal("12.50"), "USD", NOW, "{}",
    Decimal("12.50"),
)  # fmt: skip
WANTED = Wanted("payment_order", "g:ch_1", "s:1", "US", Decimal("12.50"), "USD", SEEN.exception_id)


def do(store: Engine, action: exception_actions.Action, by: str = "ann", **what: object) -> None:
    with writing(store) as connection:
        act(connection, action, [SEEN], actor=by, now=NOW, **what)  # pyright: ignore[reportArgumentType]


def status(
    store: Engine, amount: str = "12.50", today: date = TODAY, *, opened_at: datetime = NOW, given_up: bool = True
) -> str:
    found = work(store)[SEEN.exception_id]
    return found.status(Decimal(amount), "USD", opened_at, today, given_up=given_up)


def link(store: Engine, wanted: Wanted = WANTED, *, needs_approval: bool = False) -> str:
    with writing(store) as connection:
        return links.link(connection, wanted, actor="ann", now=NOW, reason="a letter", needs_approval=needs_approval)


def decide(store: Engine, decision: approvals.Decision) -> None:
    (waiting,) = approvals.rows(store, undecided_only=True)
    approvals.decide(store, waiting.approval_id, decision, actor="bob", reason="seen", now=NOW)


def test_an_exception_goes_its_way(store: Engine) -> None:
    """Each act changes what it comes to; a resolution is of the amount that was seen, and sleep ends by itself."""
    do(store, "assign", assignee="eve")
    assert status(store) == "assigned"
    do(store, "snooze", snoozed_until=date(2026, 11, 9))
    assert [status(store), status(store, today=date(2026, 11, 9))] == ["snoozed", "assigned"]
    do(store, "resolve", reason="paid in cash")
    assert [status(store), status(store, amount="13")] == ["resolved", "snoozed"]
    # The same amount, as where there is none: of another time it is another cause.
    assert [status(store, opened_at=NOW + timedelta(days=n)) for n in (-1, 1)] == ["snoozed", "snoozed"]
    do(store, "reopen", reason="it was not")
    assert status(store) == "assigned"
    do(store, "write_off", reason="too small to ask")
    assert status(store) == "write_off_asked"
    decide(store, "rejected")
    assert status(store) == "assigned"
    do(store, "write_off", reason="asked, no answer")
    decide(store, "approved")
    assert status(store) == "written_off"
    # What was approved is that amount of suspense: with another there, it is not what two people agreed to.
    assert status(store, amount="900", given_up=False) == "assigned"
    (row,) = exception_actions.rows(store)
    assert (row["write_off_state"], row["write_off_decided_by"], row["assignee"]) == ("approved", "bob", "eve")
    assert exception_actions.contradictions(store) == []
    assert audit.verify(store) == []


def test_what_two_have_written_off_one_alone_does_not_take_back(store: Engine) -> None:
    """Agreed by two, undone by one: the control of write-offs would be half of one, before it is booked or after."""
    do(store, "write_off", reason="nobody claims it")
    do(store, "reopen", reason="asked too early")
    assert status(store) == "open"
    assert work(store)[SEEN.exception_id].take_back is None
    approvals.decide(store, approvals.rows(store)[0].approval_id, "rejected", actor="bob", reason="gone", now=NOW)

    do(store, "write_off", reason="nobody claims it")
    decide(store, "approved")
    do(store, "reopen", by="eve", reason="the customer paid")
    assert status(store) == "written_off"
    with pytest.raises(ExceptionActionError, match=r"eve asked to take the write-off of .* back already"):
        do(store, "reopen", by="ann", reason="the customer paid")
    (asked,) = approvals.rows(store, undecided_only=True)
    assert "take back that 12.5 USD of g:1 are written off: the customer paid" in asked.summary
    with pytest.raises(approvals.ApprovalError, match="eve asked for it"):
        approvals.decide(store, asked.approval_id, "approved", actor="eve", reason="sure", now=NOW)
    decide(store, "rejected")
    assert status(store) == "written_off"
    do(store, "reopen", by="eve", reason="see the bank")
    decide(store, "approved")
    assert status(store) == "open"
    (row,) = exception_actions.rows(store)
    assert (row["write_off_state"], row["write_off_amount"]) == (None, None)
    do(store, "write_off", reason="it bounced")
    assert status(store) == "write_off_asked"
    assert exception_actions.contradictions(store) == []


@pytest.mark.parametrize(
    ("action", "what", "message"),
    [
        ("assign", {"assignee": " "}, "say who takes it"),
        ("snooze", {"snoozed_until": TODAY}, "is not a day to come"),
        ("resolve", {"reason": "  "}, "say why"),
        ("comment", {}, "say why"),
        ("reopen", {"reason": "again"}, "is open: nobody resolved"),
    ],
)
def test_what_says_nothing_is_refused(
    store: Engine, action: exception_actions.Action, what: dict[str, Any], message: str
) -> None:
    """Evidence without a person, a reason or a day explains nothing later; nothing of it may stay behind."""
    with pytest.raises(ExceptionActionError, match=message):
        do(store, action, **what)
    assert work(store) == {}
    assert list(audit.entries(store)) == []


def test_a_row_that_the_chain_does_not_bear_out_counts_for_nothing(store: Engine) -> None:
    """Written into the table by hand, a resolution or a link would take work off the list or post a match."""
    do(store, "resolve", reason="paid in cash")
    link(store)
    with writing(store) as connection:
        connection.execute(text("update exception_actions set reason = 'because'"))
        connection.execute(text("update manual_links set right_key = 's:2'"))
    assert work(store) == {}
    assert links.links(store) == []
    assert "is not what audit entry 1 says" in exception_actions.contradictions(store)[0]
    assert "is not what audit entry 2 says" in links.contradictions(store)[0]
    with writing(store) as connection:
        connection.execute(text("delete from exception_actions"))
        connection.execute(text("delete from manual_links"))
    assert "is gone from the exceptions" in exception_actions.contradictions(store)[0]
    assert "is gone from the links" in links.contradictions(store)[0]


def test_a_link_has_versions_and_a_way_back(store: Engine) -> None:
    """A link that cannot be undone, or whose history is lost; two links of one order."""
    made = link(store)
    with pytest.raises(LinkError, match="s:1 is linked by hand already, g:ch_1 with s:1 by ann"):
        link(store, Wanted("payment_order", "g:ch_2", "s:1", "US", Decimal(5), "USD"))
    with writing(store) as connection:
        links.unlink(connection, SEEN.exception_id, actor="bob", now=NOW, reason="a mistake")
    (undone,) = links.links(store)
    assert (undone.state, undone.version, undone.actor) == ("unlinked", 2, "bob")
    with pytest.raises(LinkError, match="is undone already"), writing(store) as connection:
        links.unlink(connection, made, actor="bob", now=NOW, reason="a mistake")
    assert link(store) == made
    (again,) = links.rows(store)
    assert (again["state"], again["version"]) == ("effective", 3)


def test_a_large_link_waits_for_a_second_person(store: Engine) -> None:
    """Above the limit one person's word would move money; rejected, it may be made anew, and asked for anew."""
    link(store, needs_approval=True)
    assert [each.state for each in links.links(store)] == ["waiting"]
    decide(store, "rejected")
    assert [each.state for each in links.links(store)] == ["rejected"]
    link(store, needs_approval=True)
    decide(store, "approved")
    (row,) = links.rows(store)
    assert (row["state"], row["approved_by"], row["linked_by"]) == ("effective", "bob", "ann")


def test_a_replay_that_was_killed_is_seen_as_one_that_never_ended(store: Engine) -> None:
    """Written at the end only, a replay that died half-way would never have been."""
    with pytest.raises(ReplayError, match="needs a reason"), writing(store) as connection:
        replays.start(connection, "source", "stripe_us", actor="ann", reason="", now=NOW)
    with writing(store) as connection:
        first = replays.start(connection, "order", "s:1", actor="ann", reason="the hook was lost", now=NOW)
        replays.start(connection, "source", "stripe_us", actor="ann", reason="an outage", now=NOW)
    with writing(store) as connection:
        replays.finish(connection, first, Outcome("succeeded", 1, 1, detail="as it was"), now=NOW)
    found = {row["subject"]: (row["result"], row["loaded"]) for row in replays.rows(store)}
    assert found == {"s:1": ("succeeded", 1), "stripe_us": ("running", 0)}
    with pytest.raises(KeyError), writing(store) as connection:
        replays.finish(connection, first, Outcome("failed"), now=NOW)
    assert [entry.action for entry in audit.entries(store)] == [replays.STARTED] * 2 + [replays.FINISHED]
