"""The plan is desired minus posted."""

import random
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from retail_assets.accounting.ledger import LedgerEntry
from retail_assets.accounting.plan import CANCELLED_AT_ERP, Books, Plan, plan_all, plan_entity, posting_key
from retail_assets.erp.payload import to_payload
from retail_assets.ops.canonical import sha256_hex
from retail_assets.ops.outbox import Posting
from tests.accounting.ledgers import BOOKS, NOW, amounts, entry_rows, ledger


def plan(entries: list[LedgerEntry], *postings: Posting, books: Books = BOOKS) -> Plan:
    return plan_entity(books, entries, postings)


def carried_out(plan: Plan, state: str = "posted", **changes: Any) -> list[Posting]:
    """The rows of the outbox after the plan was applied."""
    done = state == "posted"
    rows = []
    for item in plan.items:
        payload = to_payload(item.entry)
        row = Posting(
            posting_key=item.posting_key,
            entry_id=item.entry_id,
            revision=item.revision,
            kind=item.kind,
            entity_code=plan.entity_code,
            erp_id="erp_main",
            state=state,
            content_hash=item.content_hash,
            payload=payload,
            payload_hash=sha256_hex(payload),
            posting_date=item.entry.posting_date,
            erp_document="ACC-JV-1" if done else None,
            posted_at=NOW if done else None,
            attempts=1,
            error_code=None,
            last_error=None,
            claimed_by=None,
            run_id="run",
            actor="ann",
            created_at=NOW,
            updated_at=NOW,
        )
        rows.append(replace(row, **changes))
    return rows


def keys(plan: Plan) -> list[tuple[str, str]]:
    return [(item.reason, item.posting_key) for item in plan.items]


def test_what_is_not_posted_is_new() -> None:
    """The first run posts everything that is ready."""
    first = plan(amounts({"b": "2", "a": "1"}))
    assert keys(first) == [("new", "a#1"), ("new", "b#1")]
    entry = first.items[0].entry
    assert (entry.company, entry.entity_code, entry.memo) == (BOOKS.company, "US", "Entry a")
    assert [(line.account_code, line.base_debit, line.base_credit) for line in entry.lines] == [
        ("6100", Decimal(1), Decimal(0)),
        ("1250", Decimal(0), Decimal(1)),
    ]


def test_what_is_posted_stays() -> None:
    """Running again changes nothing."""
    entries = amounts({"a": "1"})
    again = plan(entries, *carried_out(plan(entries)))
    assert (again.items, again.unchanged) == ((), ("a",))


def test_a_change_reverses_and_posts_the_next_revision() -> None:
    """Posted entries are never edited; both documents together leave the new amount."""
    posted = carried_out(plan(amounts({"a": "1"})))
    changed = plan(amounts({"a": "2"}), *posted)
    assert keys(changed) == [("changed", "a#1!reversal"), ("changed", "a#2")]
    assert changed.changed == ("a",)
    reversal = changed.items[0].entry
    one, zero = Decimal(1), Decimal(0)
    assert [
        (line.account_code, line.debit, line.credit, line.base_debit, line.base_credit) for line in reversal.lines
    ] == [
        ("6100", zero, one, zero, one),
        ("1250", one, zero, one, zero),
    ]
    assert reversal.memo == "Reversal of a#1: Entry a"
    posted += carried_out(changed)
    assert plan(amounts({"a": "2"}), *posted).items == ()
    # And back again: a revision is never used twice.
    assert keys(plan(amounts({"a": "1"}), *posted)) == [("changed", "a#2!reversal"), ("changed", "a#3")]


def test_a_withdrawn_entry_is_reversed_once() -> None:
    """What the evidence no longer supports leaves the books, and the run after that does nothing."""
    posted = carried_out(plan(amounts({"a": "1"})))
    withdrawn = plan([], *posted)
    assert (keys(withdrawn), withdrawn.withdrawn) == ([("withdrawn", "a#1!reversal")], ("a",))
    posted += carried_out(withdrawn)
    assert plan([], *posted) == replace(plan([]), books=BOOKS)
    assert keys(plan(amounts({"a": "1"}), *posted)) == [("changed", "a#2")]


def test_a_run_that_ended_between_reversal_and_new_revision() -> None:
    """The next plan must post the missing half, and only that."""
    posted = carried_out(plan(amounts({"a": "1"})))
    half = carried_out(plan(amounts({"a": "2"}), *posted))[:1]
    assert keys(plan(amounts({"a": "2"}), *posted, *half)) == [("changed", "a#2")]


def test_a_held_entry_waits_and_what_is_posted_of_it_stays() -> None:
    """An open exception says that something is in doubt, not what is right: the books wait for the evidence."""
    held = ledger(entry_rows("a", "2", posting_status="held", hold_reason="why", held_by_exception_id="x:1"))
    fresh = plan(held)
    assert (fresh.items, [(one.entry_id, one.reason, one.exception_id, one.posted_revision) for one in fresh.held]) == (
        (),
        [("a", "why", "x:1", None)],
    )
    posted = carried_out(plan(amounts({"a": "1"})))
    waiting = plan(held, *posted)
    assert (waiting.items, waiting.held[0].posted_revision) == ((), 1)


def test_a_faulty_entry_is_neither_posted_nor_withdrawn() -> None:
    """A model that doubles a row must not make the ledger reverse good entries."""
    posted = carried_out(plan(amounts({"a": "1"})))
    faulty = ledger(entry_rows("a", "1", line_count=5))
    assert (plan(faulty, *posted).items, plan(faulty, *posted).held[0].posted_revision) == ((), 1)


def test_an_unsettled_document_is_settled_first() -> None:
    """Nobody knows whether it arrived; anything built on a guess could double or lose it."""
    sent = carried_out(plan(amounts({"a": "1"})), state="sent")
    assert keys(plan(amounts({"a": "1"}), *sent)) == [("resume", "a#1")]
    assert keys(plan(amounts({"a": "2"}), *sent)) == [
        ("settle", "a#1"),
        ("changed", "a#1!reversal"),
        ("changed", "a#2"),
    ]
    assert keys(plan([], *sent)) == [("settle", "a#1"), ("withdrawn", "a#1!reversal")]
    held = ledger(entry_rows("a", "1", posting_status="held"))
    assert keys(plan(held, *sent)) == [("settle", "a#1")]
    # What is sent is what was written down, not what is wanted now.
    assert plan(amounts({"a": "2"}), *sent).items[0].entry == plan(amounts({"a": "1"})).items[0].entry


def test_an_unsettled_reversal() -> None:
    """A reversal that may have arrived is finished if still wanted, and only looked for if not."""
    posted = carried_out(plan(amounts({"a": "1"})))
    sent = carried_out(plan([], *posted), state="sent")
    assert keys(plan([], *posted, *sent)) == [("resume", "a#1!reversal")]
    assert keys(plan(amounts({"a": "2"}), *posted, *sent)) == [("resume", "a#1!reversal"), ("changed", "a#2")]
    assert keys(plan(amounts({"a": "1"}), *posted, *sent)) == [("settle", "a#1!reversal"), ("changed", "a#2")]


def test_what_was_never_sent_or_was_refused_is_planned_anew() -> None:
    """A refusal that finance has mended must not need a hand to be tried again."""
    for state in ("claimed", "failed"):
        rows = carried_out(plan(amounts({"a": "1"})), state=state)
        assert keys(plan(amounts({"a": "2"}), *rows)) == [("new", "a#1")]
        assert plan([], *rows).items == ()


def test_a_document_that_is_not_what_was_intended_blocks_its_entry() -> None:
    """Posting on top of a document that nobody understands makes two wrongs."""
    entries = amounts({"a": "1"})
    drifted = carried_out(plan(entries), state="failed", erp_document="ACC-JV-9", last_error="lines differ")
    blocked = plan(entries, *drifted)
    assert blocked.items == ()
    assert "ACC-JV-9" in blocked.held[0].reason
    acknowledged = [replace(row, error_code=CANCELLED_AT_ERP) for row in drifted]
    # The cancelled document keeps its key at the ERP, so the next one takes the next revision.
    assert keys(plan(entries, *acknowledged)) == [("changed", "a#2")]


def test_closed_days() -> None:
    """What belongs to a closed period is posted on the first open day, and its text says where it belongs."""
    posted = carried_out(plan(amounts({"a": "1"})))
    books = replace(BOOKS, open_from=date(2026, 4, 1))
    later = plan(amounts({"a": "2"}), *posted, books=books)
    assert {item.entry.posting_date for item in later.items} == {date(2026, 4, 1)}
    assert later.items[1].entry.memo == "Entry a (of 2026-03-15)"
    # The day it was posted on instead is no change.
    assert plan(amounts({"a": "2"}), *posted, *carried_out(later), books=books).unchanged == ("a",)


def test_an_entry_that_moves_to_another_entity() -> None:
    """It leaves one company's books and enters the other's, under a key that was never used."""
    german = Books("DE", "erp_main", "Lindenhof GmbH", "USD")
    posted = carried_out(plan(amounts({"a": "1"})))
    moved = ledger(_moved_to_germany(entry_rows("a", "1")))
    plans = plan_all([BOOKS, german], moved, posted)
    assert {code: keys(one) for code, one in plans.items()} == {
        "US": [("withdrawn", "a#1!reversal")],
        "DE": [("changed", "a#2")],
    }


def _moved_to_germany(rows: tuple[dict[str, Any], list[dict[str, Any]]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    header, lines = rows
    return header | {"entity_code": "DE"}, [line | {"entity_code": "DE"} for line in lines]


def test_books_in_another_currency_hold_the_entry() -> None:
    """10 JPY posted as 10 USD is the worst kind of match."""
    assert plan(amounts({"a": "1"}), books=replace(BOOKS, base_currency_code="JPY")).held[0].entry_id == "a"


def test_the_plan_does_not_depend_on_the_order_of_its_input() -> None:
    """What one person read and approved is what another machine applies."""
    wanted = {f"e{number}": str(number) for number in range(1, 8)}
    posted = carried_out(plan(amounts(dict(list(wanted.items())[:4]))))
    now = amounts(wanted | {"e1": "99"})
    first = plan(now, *posted)
    shuffler = random.Random(1)
    for _ in range(5):
        entries, rows = list(now), list(posted)
        shuffler.shuffle(entries)
        shuffler.shuffle(rows)
        again = plan(entries, *rows)
        assert again == first
        assert again.digest() == first.digest()
    assert plan(amounts(wanted | {"e1": "98"}), *posted).digest() != first.digest()


def test_documents_go_out_in_order_of_their_day() -> None:
    """ERP numbers then follow the days, as an auditor expects."""
    entries = amounts({"a": "1"}, posting_date=date(2026, 3, 2)) + amounts({"b": "1"}, posting_date=date(2026, 3, 1))
    assert [item.entry_id for item in plan(entries).items] == ["b", "a"]


def test_totals_and_summary() -> None:
    """The controller approves sums by account, so they must be those of the documents."""
    posted = carried_out(plan(amounts({"a": "1"})))
    changed = plan(amounts({"a": "2", "b": "10"}), *posted)
    assert [(total.account_code, total.debit, total.credit) for total in changed.totals()] == [
        ("1250", Decimal(1), Decimal(12)),
        ("6100", Decimal(12), Decimal(1)),
    ]
    summary = changed.summary()
    assert {name: summary[name] for name in ("documents", "new", "changed", "withdrawn", "unchanged", "held")} == {
        "documents": 3,
        "new": 1,
        "changed": 1,
        "withdrawn": 0,
        "unchanged": 0,
        "held": 0,
    }


def test_keys_fit_the_erp() -> None:
    """A key that the ERP cuts off would clash with its neighbours."""
    assert posting_key("sale/cedar_us:1001", 2, "reversal") == "sale/cedar_us:1001#2!reversal"
    long = ["x" * 200 + "a", "x" * 200 + "b"]
    made = {posting_key(entry_id, 1, kind) for entry_id in long for kind in ("entry", "reversal")}
    assert len(made) == 4
    assert all(len(key) <= 140 for key in made)
