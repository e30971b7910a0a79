"""Two people: whoever asks does not decide, and only what the audit chain bears out counts."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from retail_assets.ops import approvals, audit
from retail_assets.ops.approvals import ApprovalError, Request
from retail_assets.ops.store import writing

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
WANTED = Request("entry", "sale/1", "US", "a" * 64, "entry sale/1#1", Decimal("1200.00"), "USD")


def ask(store: Engine, *wanted: Request, by: str = "ann") -> int:
    with writing(store) as connection:
        return approvals.request(connection, wanted or (WANTED,), requested_by=by, now=NOW)


def decide(store: Engine, decision: approvals.Decision = "approved", by: str = "bob", wanted: Request = WANTED) -> None:
    approvals.decide(store, wanted.approval_id, decision, actor=by, reason="contract 17", now=NOW)


def approved(store: Engine) -> list[str]:
    return [each.subject for each in approvals.decisions(store, "US").values() if each.decision == "approved"]


def problems(store: Engine) -> list[str]:
    return [problem for _, problem in approvals.verify(store, audit.entries(store))]


def execute(store: Engine, statement: str) -> None:
    with writing(store) as connection:
        connection.execute(text(statement))


def test_a_second_person_approves(store: Engine) -> None:
    """Asked for twice it is one request; who, when, what hash and why are in the chain."""
    assert [ask(store), ask(store, by="eve")] == [1, 0]
    assert approved(store) == []
    decide(store)
    assert approved(store) == ["sale/1"]
    asked, decided = audit.entries(store, subject=WANTED.approval_id)
    assert (asked.action, asked.actor) == ("approval.requested", "ann")
    assert (decided.action, decided.actor) == ("approval.approved", "bob")
    assert decided.content()["content_hash"] == WANTED.content_hash
    assert decided.content()["reason"] == "contract 17"
    assert asked.content()["amount"] == "1200"
    assert problems(store) == []
    assert audit.verify(store) == []


@pytest.mark.parametrize("name", ["ann", "Ann", "ANN ", " a.n.n", "ａｎｎ", "an\u200bn", "ann@"])
def test_whoever_asked_does_not_decide(store: Engine, name: str) -> None:
    """The same person in capitals, with a space, with wide or invisible letters would be a second one."""
    ask(store)
    with pytest.raises(ApprovalError, match="somebody else"):
        decide(store, by=name)
    assert approved(store) == []


@pytest.mark.parametrize(("actor", "reason"), [("bob", " "), ("", "fine"), ("\u200b", "fine")])
def test_a_decision_has_a_name_and_a_reason(store: Engine, actor: str, reason: str) -> None:
    """A blank name differs from every other name."""
    ask(store)
    with pytest.raises(ApprovalError):
        approvals.decide(store, WANTED.approval_id, "approved", actor=actor, reason=reason, now=NOW)


def test_it_is_decided_once(store: Engine) -> None:
    """A rejection that somebody approves later was no rejection."""
    ask(store)
    decide(store, "rejected")
    for decision in ("approved", "rejected"):
        with pytest.raises(ApprovalError, match="rejected by bob already"):
            decide(store, decision, by="carl")
    assert approved(store) == []


def test_other_content_is_another_request(store: Engine) -> None:
    """An approval of one amount would let any amount through."""
    ask(store)
    decide(store)
    changed = replace(WANTED, content_hash="b" * 64)
    assert changed.approval_id not in approvals.decisions(store, "US")
    assert ask(store, changed) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE approvals SET decision = 'approved', decided_by = 'bob', decided_at = requested_at, reason = 'x'",
        "UPDATE approvals SET requested_by = 'eve'",
        "UPDATE approvals SET amount = '1'",
        "UPDATE approvals SET summary = 'a small thing'",
        "UPDATE approvals SET entity_code = 'DE'",
        "DELETE FROM approvals",
    ],
)
def test_an_edited_request_is_found_and_approves_nothing(store: Engine, statement: str) -> None:
    """Whoever writes to the table would be every second person at once."""
    ask(store)
    execute(store, statement)
    assert approved(store) == []
    assert len(problems(store)) == 1
    with pytest.raises((ApprovalError, KeyError)):
        decide(store, by="ann")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE approvals SET content_hash = '{other}'",
        "UPDATE approvals SET subject = 'sale/2'",
        "UPDATE approvals SET approval_id = '{id}', content_hash = '{other}'",
        "UPDATE approvals SET decided_by = 'carl'",
        "UPDATE approvals SET decision = NULL, decided_by = NULL, decided_at = NULL",
    ],
)
def test_an_approval_cannot_be_moved(store: Engine, statement: str) -> None:
    """A good approval that is pointed at another entry, or is made undone, is no approval."""
    other = replace(WANTED, content_hash="b" * 64)
    ask(store)
    decide(store)
    execute(store, statement.format(other=other.content_hash, id=other.approval_id))
    assert approved(store) == []
    assert problems(store)


def test_a_rejection_that_is_wiped_out_stays_one(store: Engine) -> None:
    """Back to undecided by SQL, then approved by the book."""
    ask(store)
    decide(store, "rejected")
    execute(store, "UPDATE approvals SET decision = NULL, decided_by = NULL, decided_at = NULL, reason = NULL")
    with pytest.raises(ApprovalError):
        decide(store)
    assert approved(store) == []
    assert problems(store)


def test_the_database_knows_of_two_people(store: Engine) -> None:
    """Goal 23: by constraint, not by the command line."""
    ask(store)
    with pytest.raises(IntegrityError):
        execute(
            store,
            "UPDATE approvals SET decision = 'approved', decided_by = requested_by, decided_at = requested_at",
        )


def test_an_id_may_be_cut_short_but_not_to_nothing(store: Engine) -> None:
    """An empty id would decide about the only request there is."""
    ask(store)
    assert approvals.find(store, WANTED.approval_id[:8]).subject == "sale/1"
    for identifier in ("", "nonsense"):
        with pytest.raises(KeyError):
            approvals.find(store, identifier)
