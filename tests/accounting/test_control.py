"""What is above a limit waits for a second person, in exactly the version that was asked for."""

from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from retail_assets.accounting.ledger import LedgerEntry
from retail_assets.accounting.plan import Books, Control, Plan, plan_entity
from retail_assets.accounting.posting import apply
from retail_assets.erp.protocol import Poster
from retail_assets.ops import approvals, outbox
from retail_assets.ops.store import writing
from tests.accounting.ledgers import BOOKS, NOW, amounts, header_row, ledger, line_row
from tests.accounting.test_plan import carried_out
from tests.erp.books import Erp

LIMIT = Decimal(100)


def plan(store: Engine, entries: list[LedgerEntry], books: Books = BOOKS, **control: object) -> Plan:
    limits = {"approval_limit": LIMIT} | control
    return plan_entity(
        books,
        entries,
        outbox.postings(store),
        Control(decisions=approvals.decisions(store, "US"), **limits),  # pyright: ignore[reportArgumentType]
    )


def ask(store: Engine, found: Plan) -> None:
    with writing(store) as connection:
        approvals.request(connection, found.requests, requested_by="ann", now=NOW)


def decide(store: Engine, found: Plan, decision: approvals.Decision = "approved") -> None:
    ask(store, found)
    for wanted in found.requests:
        approvals.decide(store, wanted.approval_id, decision, actor="bob", reason="seen", now=NOW)


def post(store: Engine, poster: Poster, found: Plan) -> None:
    assert apply(found, store, poster, now=NOW, actor="ann", run_id="run").complete


def waiting(found: Plan) -> list[str]:
    return [held.entry_id for held in found.held if held.reason == "waits for approval by a second person"]


def test_only_what_is_above_the_limit_waits(sqlite_store: Engine) -> None:
    """The limit itself is within; without a limit nothing waits."""
    entries = amounts({"at": "100.00", "above": "100.01", "below": "1"})
    found = plan(sqlite_store, entries)
    assert waiting(found) == ["above"]
    assert [item.entry_id for item in found.items] == ["at", "below"]
    (wanted,) = found.requests
    assert (wanted.kind, wanted.amount, wanted.currency_code) == ("entry", Decimal("100.01"), "USD")
    assert "debit 6100 100.01" in wanted.summary
    assert len(plan(sqlite_store, entries, approval_limit=None).items) == 3


def test_what_is_approved_is_posted_and_nothing_else(sqlite_store: Engine, erp: Erp) -> None:
    """Asking is not enough, and an entry that changed after its approval waits again."""
    first = plan(sqlite_store, amounts({"a": "500"}))
    ask(sqlite_store, first)
    assert waiting(plan(sqlite_store, amounts({"a": "500"}))) == ["a"]
    decide(sqlite_store, first)
    assert waiting(plan(sqlite_store, amounts({"a": "501"}))) == ["a"]
    assert waiting(plan(sqlite_store, amounts({"a": "500"}, posting_date=date(2026, 4, 1)))) == ["a"]
    post(sqlite_store, erp.poster, plan(sqlite_store, amounts({"a": "500"})))
    assert plan(sqlite_store, amounts({"a": "500"})).unchanged == ("a",)


@pytest.mark.parametrize(
    "changed", [Books("US", "erp_other", BOOKS.company, "USD"), Books("US", "erp_main", "X", "USD")]
)
def test_an_approval_is_for_one_set_of_books(sqlite_store: Engine, changed: Books) -> None:
    """Pointing the entity at another company or ERP would carry the approval along."""
    decide(sqlite_store, plan(sqlite_store, amounts({"a": "500"})))
    assert waiting(plan(sqlite_store, amounts({"a": "500"}), changed)) == ["a"]


def test_reversals_wait_as_well(sqlite_store: Engine, erp: Erp) -> None:
    """A large entry could be made small, or taken out, by one person."""
    decide(sqlite_store, plan(sqlite_store, amounts({"a": "500"})))
    post(sqlite_store, erp.poster, plan(sqlite_store, amounts({"a": "500"})))
    for entries in (amounts({"a": "1"}), []):
        found = plan(sqlite_store, entries)
        assert (waiting(found), found.items, found.held[0].posted_revision) == (["a"], (), 1)
    decide(sqlite_store, plan(sqlite_store, []))
    found = plan(sqlite_store, [])
    assert [item.kind for item in found.items] == ["reversal"]
    post(sqlite_store, erp.poster, found)
    # What was approved once and reversed since is not approved for ever.
    assert waiting(plan(sqlite_store, amounts({"a": "500"}))) == ["a"]


def test_what_is_rejected_is_held_until_it_changes(sqlite_store: Engine) -> None:
    """A rejection that is asked for again and again wears the approver down."""
    decide(sqlite_store, plan(sqlite_store, amounts({"a": "500"})), "rejected")
    found = plan(sqlite_store, amounts({"a": "500"}))
    assert [held.reason for held in found.held] == ["rejected by bob: seen"]
    assert found.requests == ()
    assert waiting(plan(sqlite_store, amounts({"a": "400"}))) == ["a"]


def test_write_offs_have_a_limit_of_their_own(sqlite_store: Engine) -> None:
    """A lost chargeback far below the limit of sales is money given up all the same."""
    lines = [
        line_row("lost", 1, "6200", debit="60", account_role="chargeback_losses"),
        line_row("lost", 2, "1260", credit="60", account_role="disputes_receivable"),
    ]
    entries = [*ledger((header_row("lost", lines), lines)), *amounts({"fee": "60"})]
    found = plan(sqlite_store, entries, write_off_limit=Decimal(50))
    assert waiting(found) == ["lost"]
    assert [(each.kind, each.amount) for each in found.requests] == [("write_off", Decimal(60))]
    assert waiting(plan(sqlite_store, entries, write_off_limit=Decimal(60))) == []


def test_nothing_is_posted_under_rules_that_nobody_approved(sqlite_store: Engine) -> None:
    """Goal 25: whoever edits a mapping would decide alone what is booked where."""
    entries = amounts({"a": "1", "b": "2"})
    found = plan(sqlite_store, entries, rules_hash="1" * 64)
    assert (found.items, len(found.held), len(found.requests)) == ((), 2, 1)
    decide(sqlite_store, found)
    assert len(plan(sqlite_store, entries, rules_hash="1" * 64).items) == 2
    assert plan(sqlite_store, entries, rules_hash="2" * 64).items == ()


def test_what_is_under_way_is_settled_all_the_same() -> None:
    """An entry of which nobody knows whether it is at the ERP must not be left like that by a new limit."""
    entries = amounts({"a": "500"})
    sent = carried_out(plan_entity(BOOKS, entries, []), state="sent")
    found = plan_entity(BOOKS, entries, sent, Control(approval_limit=LIMIT))
    assert [item.reason for item in found.items] == ["resume"]
    found = plan_entity(BOOKS, amounts({"a": "600"}), sent, Control(approval_limit=LIMIT))
    assert ([item.reason for item in found.items], waiting(found)) == (["settle"], ["a"])
