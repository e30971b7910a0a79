"""Applying a plan against the simulated ERPNext over HTTP."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from retail_assets.accounting import posting
from retail_assets.accounting.posting import (
    MassWithdrawalError,
    PosterNotReadyError,
    PostingResult,
    PostingStoppedError,
    acknowledge_cancelled,
    apply,
)
from retail_assets.accounting.verify import verify
from retail_assets.erp.erpnext import ErpNextPoster
from retail_assets.ops import audit, outbox
from retail_assets.ops.audit import AnchorMismatchError
from retail_assets.ops.store import LockHeldError, exclusive, open_store
from tests.accounting.ledgers import (
    NOW,
    amounts,
    booked,
    entry_rows,
    header_row,
    keys_at_erp,
    ledger,
    line_row,
    plan_for,
)
from tests.erp.books import Erp, client, running_erp

MakeStore = Callable[..., str]


def post(engine: Engine, erp: Erp, wanted: dict[str, str], **options: Any) -> PostingResult:
    return apply(plan_for(engine, amounts(wanted)), engine, erp.poster, **QUIET | options)


RUN: dict[str, Any] = {"now": NOW, "actor": "ann", "run_id": "run-1"}
QUIET: dict[str, Any] = RUN | {"pause": lambda _: None}


def outcomes(result: PostingResult) -> dict[str, str]:
    return {item.posting_key: item.outcome for item in result.items}


def test_a_plan_is_posted_once(store: Engine, erp: Erp, tmp_path: Path) -> None:
    """The whole way, on both databases: posted, noted, anchored; and once more changes nothing."""
    anchor = tmp_path / "exports" / "audit_head.json"
    seen: list[tuple[int, int, str]] = []
    result = post(
        store,
        erp,
        {"a": "1", "b": "2"},
        anchor_path=anchor,
        progress=lambda done, of, item: seen.append((done, of, item.posting_key)),
    )
    assert (result.complete, outcomes(result)) == (True, {"a#1": "posted", "b#1": "posted"})
    assert seen == [(1, 2, "a#1"), (2, 2, "b#1")]
    assert booked(erp.app.state.site) == {"a": 1, "b": 2}
    assert {(row.state, row.erp_document) for row in outbox.postings(store)} == {
        ("posted", item.document) for item in result.items
    }
    assert [entry.action for entry in audit.entries(store)] == ["posting.posted", "posting.posted", "plan.applied"]
    assert verify(store, anchor, {"erp_main": erp.poster}) == []
    before = anchor.read_bytes()
    assert post(store, erp, {"a": "1", "b": "2"}, anchor_path=anchor).items == []
    assert anchor.read_bytes() == before


def test_a_change_ends_in_the_new_amount(store: Engine, erp: Erp) -> None:
    """Reversal and new revision: the books hold what the evidence says now, and the documents say how."""
    post(store, erp, {"a": "1", "b": "5"})
    assert outcomes(post(store, erp, {"a": "3"})) == {
        "a#1!reversal": "posted",
        "a#2": "posted",
        "b#1!reversal": "posted",
    }
    assert booked(erp.app.state.site) == {"a": 3}
    assert set(keys_at_erp(erp.app.state.site).values()) == {1}


def test_a_foreign_entry_is_reversed_in_both_currencies(sqlite_store: Engine, erp: Erp) -> None:
    """Reversed in base only, a foreign clearing account would keep a balance that nobody owes."""
    rate = {"currency_code": "EUR", "exchange_rate": Decimal("1.087"), "base_debit_amount": Decimal("108.70")}
    lines = [line_row("fx", 1, "1251", debit="100", **rate), line_row("fx", 2, "4000", credit="108.70")]
    entries = ledger((header_row("fx", lines), lines))
    assert apply(plan_for(sqlite_store, entries), sqlite_store, erp.poster, **QUIET).complete
    assert apply(plan_for(sqlite_store, []), sqlite_store, erp.poster, **QUIET).complete
    columns = ["debit_in_account_currency", "credit_in_account_currency", "debit", "credit"]
    rows = erp.get(
        "/api/resource/GL Entry",
        fields=json.dumps(columns),
        filters=json.dumps([["account_currency", "=", "EUR"]]),
        order_by="name asc",
    )
    assert [tuple(row[column] for column in columns) for row in rows] == [(100, 0, 108.7, 0), (0, 100, 0, 108.7)]


def test_one_refusal_stops_only_its_entry(sqlite_store: Engine, erp: Erp) -> None:
    """Promise 10: the other entries are posted, and the reason is kept in words; mended, it goes through."""
    header, lines = entry_rows("b", "2")
    lines[0]["account_code"] = "7777"
    entries = amounts({"a": "1", "c": "3"}) + ledger((header, lines))
    result = apply(plan_for(sqlite_store, entries), sqlite_store, erp.poster, **QUIET)
    assert outcomes(result) == {"a#1": "posted", "b#1": "rejected", "c#1": "posted"}
    (row,) = outbox.postings(sqlite_store, states=["failed"])
    assert (row.error_code, "7777" in str(row.last_error)) == ("UnknownAccount", True)
    trail = len(list(audit.entries(sqlite_store)))
    apply(plan_for(sqlite_store, entries), sqlite_store, erp.poster, **QUIET)
    assert len(list(audit.entries(sqlite_store))) == trail, "the same refusal again is no news"
    account = {"company": "Cedar & Pine LLC", "account_number": "7777", "account_name": "New", "root_type": "Expense"}
    with erp.app.state.site.transaction():
        erp.app.state.site.insert("Account", account)
    assert apply(plan_for(sqlite_store, entries), sqlite_store, erp.poster, **QUIET).complete


def test_a_refused_reversal_keeps_the_new_revision_back(sqlite_store: Engine, erp: Erp) -> None:
    """Old and new revision in the books at once would count the sale twice."""
    post(sqlite_store, erp, {"a": "1"})
    settings = ("Accounts Settings", "Accounts Settings")
    with erp.app.state.site.transaction():
        erp.app.state.site.update(*settings, {"acc_frozen_upto": "2026-12-31"})
    assert outcomes(post(sqlite_store, erp, {"a": "2"})) == {"a#1!reversal": "rejected"}
    with erp.app.state.site.transaction():
        erp.app.state.site.update(*settings, {"acc_frozen_upto": None})
    assert post(sqlite_store, erp, {"a": "2"}).complete
    assert booked(erp.app.state.site) == {"a": 2}


def test_many_documents_take_few_requests(sqlite_store: Engine, erp: Erp) -> None:
    """One by one, ten thousand entries would keep the ERP busy all night, and a quota of requests longer."""
    http = client(erp.url)
    poster = ErpNextPoster(http, base_url=erp.url)
    wanted = {f"e{number:03d}": "1" for number in range(120)}
    assert apply(plan_for(sqlite_store, amounts(wanted)), sqlite_store, poster, **QUIET).complete
    # To check twice, company and accounts; three batches, each looked up, sent, and read back as heads and lines.
    assert http.requests <= 5 + 3 * 4
    assert keys_at_erp(erp.app.state.site) == {f"{entry_id}#1": 1 for entry_id in wanted}
    before = http.requests
    assert verify(sqlite_store, None, {"erp_main": poster}) == []
    assert http.requests - before == 3 * 2
    poster.close()


def test_one_bad_document_stops_no_other_of_its_batch(sqlite_store: Engine, erp: Erp) -> None:
    """An ERP refuses a batch whole: the good ones in it must neither wait for the bad one nor be posted twice."""
    wanted = {f"e{number:02d}": "1" for number in range(60)}
    unknown = entry_rows("e41x", "3")
    unknown[1][0]["account_code"] = "7777"
    no_year = entry_rows("e07x", "2", posting_date=date(2019, 3, 15))
    entries = amounts(wanted) + ledger(no_year, unknown)
    result = apply(plan_for(sqlite_store, entries), sqlite_store, erp.poster, **QUIET)
    assert {item.posting_key: item.outcome for item in result.problems} == {"e07x#1": "rejected", "e41x#1": "rejected"}
    assert result.count("posted") == 60
    assert keys_at_erp(erp.app.state.site) == {f"{entry_id}#1": 1 for entry_id in wanted}


@pytest.mark.parametrize("at", ["before_commit", "after_commit"])
def test_the_answer_to_a_batch_is_lost(sqlite_store: Engine, erp: Erp, at: str) -> None:
    """All of it may be there or nothing: looked up as one, and only what is missing is sent again."""
    wanted = {f"e{number:02d}": "1" for number in range(20)}
    erp.fault(method="POST", at=at)
    result = apply(plan_for(sqlite_store, amounts(wanted)), sqlite_store, erp.poster, **QUIET)
    assert result.count("adopted" if at == "after_commit" else "posted") == 20
    assert keys_at_erp(erp.app.state.site) == {f"{entry_id}#1": 1 for entry_id in wanted}
    assert verify(sqlite_store, None, {"erp_main": erp.poster}) == []


def test_documents_of_one_entry_follow_one_another(sqlite_store: Engine, erp: Erp) -> None:
    """In one batch a refused reversal would leave the old and the new revision in the books together."""
    wanted = {f"e{number}": "1" for number in range(5)}
    post(sqlite_store, erp, wanted)
    result = post(sqlite_store, erp, dict.fromkeys(wanted, "2"))
    kinds = [item.posting_key.endswith("!reversal") for item in result.items]
    assert kinds == [True] * 5 + [False] * 5
    assert booked(erp.app.state.site) == dict.fromkeys(wanted, 2)


def a_draft(erp: Erp, amount: int) -> str:
    sides = (("6100 - Payment Fees - CP", "debit"), ("1250 - Stripe Clearing - CP", "credit"))
    draft = {
        "company": "Cedar & Pine LLC",
        "posting_date": "2026-03-15",
        "platform_ref": "a#1",
        "accounts": [{"account": account, f"{side}_in_account_currency": amount} for account, side in sides],
    }
    with erp.app.state.site.transaction():
        return erp.app.state.site.insert("Journal Entry", draft)["name"]


def test_a_draft_under_our_key_is_finished(sqlite_store: Engine, erp: Erp) -> None:
    """A draft is in no balance: taken for posted it is missing from the books, sent again it is there twice."""
    document = a_draft(erp, 1)
    result = post(sqlite_store, erp, {"a": "1"})
    assert [(item.outcome, item.document) for item in result.items] == [("adopted", document)]
    assert booked(erp.app.state.site) == {"a": 1}


def test_a_draft_of_something_else_is_not_finished(sqlite_store: Engine, erp: Erp) -> None:
    """Nobody knows who wrote other amounts under our key: a person decides."""
    a_draft(erp, 2)
    result = post(sqlite_store, erp, {"a": "1"})
    assert outcomes(result) == {"a#1": "drift"}
    assert "state: intended posted, posted draft" in str(result.items[0].message)
    assert booked(erp.app.state.site) == {}


def test_a_draft_that_cannot_be_finished_is_removed(sqlite_store: Engine, erp: Erp) -> None:
    """Left behind, it would keep the period from being closed, and the key from being used."""
    a_draft(erp, 1)
    settings = ("Accounts Settings", "Accounts Settings")
    with erp.app.state.site.transaction():
        erp.app.state.site.update(*settings, {"acc_frozen_upto": "2026-12-31"})
    assert outcomes(post(sqlite_store, erp, {"a": "1"})) == {"a#1": "rejected"}
    assert erp.entries() == []
    with erp.app.state.site.transaction():
        erp.app.state.site.update(*settings, {"acc_frozen_upto": None})
    assert post(sqlite_store, erp, {"a": "1"}).complete


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "lost before commit": ({"method": "POST", "at": "before_commit"}, "posted"),
    "lost after commit": ({"method": "POST", "at": "after_commit"}, "adopted"),
    "502 after commit": ({"method": "POST", "at": "after_commit", "action": "status", "status": 502}, "adopted"),
    "500 before commit": ({"method": "POST", "action": "status", "status": 500}, "posted"),
    "429": ({"method": "POST", "action": "status", "status": 429}, "posted"),
    "lost three times": ({"method": "POST", "times": 3}, "unknown"),
    "no look-up": ({"method": "GET", "path": "Journal Entry", "times": 4}, "unavailable"),
    "no read-back": ({"method": "GET", "path": "Journal Entry", "skip": 1, "times": 4}, "unavailable"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_the_connection(sqlite_store: Engine, erp: Erp, name: str) -> None:
    """Whatever is lost where: after the next run at the latest, the entry is there once."""
    fault, outcome = FAULTS[name]
    fast = ErpNextPoster(client(erp.url, retries=0), base_url=erp.url)
    erp.fault(**fault)
    result = apply(
        plan_for(sqlite_store, amounts({"a": "1"})), sqlite_store, fast, **RUN, pause=lambda _: None, most_unavailable=9
    )
    fast.close()
    assert outcomes(result) == {"a#1": outcome}
    erp.app.state.faults.waiting.clear()
    post(sqlite_store, erp, {"a": "1"})
    assert keys_at_erp(erp.app.state.site) == {"a#1": 1}
    assert verify(sqlite_store, None, {"erp_main": erp.poster}) == []


def test_an_erp_that_is_down_stops_the_run(sqlite_store: Engine, erp: Erp) -> None:
    """Waiting for every one of ten thousand entries would take days; the error says what to do."""
    down = ErpNextPoster(client(erp.url, retries=0), base_url=erp.url)
    erp.fault(method="POST", times=1000)
    wanted = {f"e{number}": "1" for number in range(9)}
    with pytest.raises(PostingStoppedError, match="run again when it is back") as stopped:
        apply(
            plan_for(sqlite_store, amounts(wanted)), sqlite_store, down, **RUN, pause=lambda _: None, most_unavailable=3
        )
    assert len(stopped.value.result.items) == 3
    down.close()
    erp.app.state.faults.waiting.clear()
    assert post(sqlite_store, erp, wanted).complete
    assert keys_at_erp(erp.app.state.site) == {f"{entry_id}#1": 1 for entry_id in wanted}


def test_a_busy_erp_is_waited_for(sqlite_store: Engine, erp: Erp) -> None:
    """Retry-After is what the ERP asks for; sending at once would only be refused again."""
    waits: list[float] = []
    erp.fault(method="POST", action="status", status=429, retry_after=7)
    assert post(sqlite_store, erp, {"a": "1"}, pause=waits.append).complete
    assert waits == [7]


def test_nothing_is_sent_to_an_erp_that_cannot_refuse_a_double(sqlite_store: Engine, tmp_path: Path) -> None:
    """Without the unique field at the ERP a lost answer could end in two documents."""
    with running_erp(tmp_path, prepared=False) as erp:
        with pytest.raises(PosterNotReadyError, match="platform_ref"):
            post(sqlite_store, erp, {"a": "1"})
        assert erp.entries() == []
        assert outbox.postings(sqlite_store) == []


def test_what_the_erp_changed_is_found_and_blocks_the_entry(sqlite_store: Engine, erp: Erp) -> None:
    """Posted is what was read back: an ERP that books something else must not be believed."""
    plan = plan_for(sqlite_store, amounts({"a": "1"}))
    site = erp.app.state.site
    other = {
        "company": "Cedar & Pine LLC",
        "posting_date": "2026-03-16",
        "platform_ref": "a#1",
        "docstatus": 1,
        "accounts": [
            {"account": "6100 - Payment Fees - CP", "debit_in_account_currency": 2},
            {"account": "1250 - Stripe Clearing - CP", "credit_in_account_currency": 2},
        ],
    }
    with site.transaction():
        document = site.insert("Journal Entry", other)["name"]
    result = apply(plan, sqlite_store, erp.poster, **RUN)
    assert outcomes(result) == {"a#1": "drift"}
    message = str(result.items[0].message)
    assert "posting_date: intended 2026-03-15, posted 2026-03-16" in message
    assert "6100 debit 1 USD" in message
    assert [problem.code for problem in verify(sqlite_store, None, {"erp_main": erp.poster})] == ["posted_drift"]
    blocked = plan_for(sqlite_store, amounts({"a": "1"}))
    assert (blocked.items, len(blocked.held)) == ((), 1)
    # The way out: a person cancels it in the ERP and says so here.
    with pytest.raises(ValueError, match="cancel it there first"):
        acknowledge_cancelled(sqlite_store, erp.poster, "a#1", now=NOW, actor="bob", reason="made by hand")
    with site.transaction():
        site.update("Journal Entry", document, {"docstatus": 2})
    acknowledge_cancelled(sqlite_store, erp.poster, "a#1", now=NOW, actor="bob", reason="made by hand")
    assert outcomes(post(sqlite_store, erp, {"a": "1"})) == {"a#2": "posted"}
    assert booked(site) == {"a": 1}
    assert verify(sqlite_store, None, {"erp_main": erp.poster}) == []


def test_a_document_cancelled_in_the_erp_can_be_posted_again(sqlite_store: Engine, erp: Erp) -> None:
    """Finance cancelled a good document by mistake: once that is acknowledged, the next revision is posted."""
    post(sqlite_store, erp, {"a": "1"})
    (row,) = outbox.postings(sqlite_store)
    with erp.app.state.site.transaction():
        erp.app.state.site.update("Journal Entry", row.erp_document, {"docstatus": 2})
    (problem,) = verify(sqlite_store, None, {"erp_main": erp.poster})
    assert "posted cancelled" in problem.message
    acknowledge_cancelled(sqlite_store, erp.poster, "a#1", now=NOW, actor="bob", reason="mistake")
    assert outcomes(post(sqlite_store, erp, {"a": "1"})) == {"a#2": "posted"}
    post(sqlite_store, erp, {})
    with pytest.raises(ValueError, match="part of a reversal"):
        acknowledge_cancelled(sqlite_store, erp.poster, "a#2", now=NOW, actor="bob", reason="x")
    with pytest.raises(KeyError):
        acknowledge_cancelled(sqlite_store, erp.poster, "nothing#1", now=NOW, actor="bob", reason="x")


def test_an_empty_ledger_does_not_reverse_the_books(sqlite_store: Engine, erp: Erp) -> None:
    """A warehouse that was not built looks like a ledger that nobody wants."""
    wanted = {f"e{number:02d}": "1" for number in range(25)}
    post(sqlite_store, erp, wanted)
    with pytest.raises(MassWithdrawalError, match="25 of 25"):
        post(sqlite_store, erp, {})
    assert len(booked(erp.app.state.site)) == 25
    assert post(sqlite_store, erp, {}, allow_mass_withdrawal=True).complete
    assert booked(erp.app.state.site) == {}


def test_an_older_operations_store_is_refused(sqlite_store: Engine, erp: Erp, tmp_path: Path) -> None:
    """A backup that was put back has forgotten what was posted."""
    anchor = tmp_path / "audit_head.json"
    post(sqlite_store, erp, {"a": "1"}, anchor_path=anchor)
    restored = open_store(f"sqlite:///{tmp_path / 'restored.sqlite'}")
    with pytest.raises(AnchorMismatchError, match="restore the newest one"):
        post(restored, erp, {"a": "1"}, anchor_path=anchor)
    restored.dispose()
    anchor.unlink()
    post(sqlite_store, erp, {"a": "1", "b": "2"}, anchor_path=anchor)
    assert "audit.anchor_missing" in [entry.action for entry in audit.entries(sqlite_store)]


def test_an_out_of_date_plan_does_no_harm(sqlite_store: Engine, erp: Erp) -> None:
    """Approved on Monday, applied on Tuesday: what Monday night's run posted must not be posted over."""
    old = plan_for(sqlite_store, amounts({"a": "1"}))
    post(sqlite_store, erp, {"a": "2"})
    assert outcomes(apply(old, sqlite_store, erp.poster, **RUN)) == {"a#1": "outdated"}
    withdrawal = plan_for(sqlite_store, [])
    change = plan_for(sqlite_store, amounts({"a": "3"}))
    post(sqlite_store, erp, {"a": "4"})
    assert outcomes(apply(withdrawal, sqlite_store, erp.poster, **RUN)) == {"a#1!reversal": "already"}
    assert outcomes(apply(change, sqlite_store, erp.poster, **RUN)) == {"a#1!reversal": "already", "a#2": "outdated"}
    assert booked(erp.app.state.site) == {"a": 4}


def test_half_a_plan_is_refused(sqlite_store: Engine, erp: Erp, tmp_path: Path) -> None:
    """A new revision beside the old one, or a reversal of nothing, would put the entry into the books twice over."""
    post(sqlite_store, erp, {"a": "1"})
    change = plan_for(sqlite_store, amounts({"a": "2"}))
    second_half = replace(change, items=change.items[1:])
    assert outcomes(apply(second_half, sqlite_store, erp.poster, **QUIET)) == {"a#2": "outdated"}
    other = open_store(f"sqlite:///{tmp_path / 'other.sqlite'}")
    assert outcomes(apply(change, other, erp.poster, **QUIET)) == {"a#1!reversal": "outdated"}
    other.dispose()
    assert booked(erp.app.state.site) == {"a": 1}


@contextmanager
def _no_lock(*_: object, **__: object) -> Iterator[None]:
    yield


@pytest.mark.parametrize("locked", [True, False])
def test_two_workers_on_one_plan(
    store: Engine, store_url: str, erp: Erp, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    """Two runs started at once post every entry once; even if the lock failed, claims and the ERP's key would hold."""
    if not locked:
        monkeypatch.setattr(posting, "exclusive", _no_lock)
    wanted = {f"e{number}": "1" for number in range(8)}
    plan = plan_for(store, amounts(wanted))
    results: list[PostingResult] = []
    start = threading.Barrier(2)

    def work() -> None:
        engine, poster = open_store(store_url), ErpNextPoster(client(erp.url), base_url=erp.url)
        start.wait()
        results.append(apply(plan, engine, poster, **RUN, pause=lambda _: None))
        engine.dispose()
        poster.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    assert keys_at_erp(erp.app.state.site) == {f"{entry_id}#1": 1 for entry_id in wanted}
    if locked:
        assert sorted(result.count("posted") for result in results) == [0, 8]
    assert post(store, erp, wanted).complete
    assert {row.state for row in outbox.postings(store)} == {"posted"}
    assert verify(store, None, {"erp_main": erp.poster}) == []


def test_a_worker_that_waits_in_vain_says_so(sqlite_store: Engine, erp: Erp, tmp_path: Path) -> None:
    """A run that hangs behind another for hours would look like one that works."""
    other = open_store(f"sqlite:///{tmp_path / 'operations.sqlite'}")
    with exclusive(other, outbox.posting_lock_name("US")), pytest.raises(LockHeldError, match="wait for it to end"):
        post(sqlite_store, erp, {"a": "1"}, wait_seconds=0)
    other.dispose()
