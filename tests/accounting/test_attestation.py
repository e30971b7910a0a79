"""What somebody changes at the ERP after posting is found, told once, and holds what would build on it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from retail_assets.accounting.attestation import Attested, attest
from retail_assets.accounting.posting import acknowledge_cancelled, apply
from retail_assets.accounting.verify import verify
from retail_assets.erp.protocol import ErpUnavailable, RejectedByErp
from retail_assets.ops import attestations, audit, outbox
from tests.accounting.ledgers import NOW, amounts, plan_for
from tests.erp.books import Erp

THREE = {"a": "1", "b": "2", "c": "3"}
CHANGES = {
    "amount": "UPDATE \"Journal Entry Account\" SET debit = '1.5' WHERE debit = '1.0'",
    "date": "UPDATE \"Journal Entry\" SET posting_date = '2026-04-01' WHERE platform_ref = 'a#1'",
    "cancelled": "UPDATE \"Journal Entry\" SET docstatus = 2 WHERE platform_ref = 'a#1'",
    "key": "UPDATE \"Journal Entry\" SET platform_ref = NULL WHERE platform_ref = 'a#1'",
    "company": "UPDATE \"Journal Entry\" SET company = 'Lindenhof GmbH' WHERE platform_ref = 'a#1'",
    "deleted": "DELETE FROM \"Journal Entry\" WHERE platform_ref = 'a#1'",
}


@pytest.fixture
def look(sqlite_store: Engine, erp: Erp) -> Callable[[], Attested]:
    """Three posted entries; each call looks at them again, an hour later."""
    assert apply(
        plan_for(sqlite_store, amounts(THREE)), sqlite_store, erp.poster, now=NOW, actor="a", run_id="r"
    ).complete
    looks = iter(range(1, 100))

    def look() -> Attested:
        now = NOW + timedelta(hours=next(looks))
        return attest(sqlite_store, erp.poster, "US", now=now, actor="ann", run_id="look")

    return look


@pytest.fixture
def at_the_erp(tmp_path: Path) -> Callable[[str], None]:
    def run(statement: str) -> None:
        with closing(sqlite3.connect(tmp_path / "erp.sqlite")) as connection:
            connection.executescript(statement)

    return run


def test_untouched_books_are_attested(look: Callable[[], Attested], sqlite_store: Engine) -> None:
    """An attestation that accuses correct books would be switched off within a week."""
    found = look()
    assert found.clean
    assert found.counts == {"equal": 3}
    assert [row.state for row in attestations.attested(sqlite_store, entity_code="US")] == ["equal"] * 3
    assert [entry.action for entry in audit.entries(sqlite_store, subject="entity:US")] == ["attestation.made"]


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_found_and_held(
    look: Callable[[], Attested], at_the_erp: Callable[[str], None], sqlite_store: Engine, erp: Erp, change: str
) -> None:
    """Reversing or amending a document that is not what was posted would put a second mistake on the first."""
    at_the_erp(CHANGES[change])
    found = look()
    assert [finding.posting_key for finding in found.findings] == ["a#1"]
    assert found.findings[0].state == ("missing" if change == "deleted" else "differs")
    plan = plan_for(sqlite_store, amounts(THREE | {"a": "9"}))
    assert plan.items == ()
    assert [held.entry_id for held in plan.held] == ["a"]
    assert {problem.code for problem in verify(sqlite_store, None, {"erp_main": erp.poster})} == {"posted_drift"}


def test_a_difference_is_told_once_and_healing_too(
    look: Callable[[], Attested], at_the_erp: Callable[[str], None], sqlite_store: Engine, erp: Erp
) -> None:
    """A nightly look must not fill the evidence with the same news, nor keep a corrected document held."""
    at_the_erp(CHANGES["date"])
    look()
    look()
    (drifted,) = (row for row in attestations.attested(sqlite_store) if row.state != "equal")
    assert (drifted.since, drifted.checked_at) == (NOW + timedelta(hours=1), NOW + timedelta(hours=2))
    at_the_erp("UPDATE \"Journal Entry\" SET posting_date = '2026-03-15' WHERE platform_ref = 'a#1'")
    assert look().clean
    assert [entry.action for entry in audit.entries(sqlite_store, subject="a#1")] == [
        "posting.posted", "posting.drifted", "posting.attested",
    ]  # fmt: skip
    assert plan_for(sqlite_store, amounts(THREE)).items == ()
    assert verify(sqlite_store, None, {"erp_main": erp.poster}) == []


def test_an_acknowledged_cancellation_is_posted_anew(
    look: Callable[[], Attested], at_the_erp: Callable[[str], None], sqlite_store: Engine, erp: Erp
) -> None:
    """The way out of drift: without it the entry would be held for ever."""
    at_the_erp(CHANGES["cancelled"])
    look()
    acknowledge_cancelled(sqlite_store, erp.poster, "a#1", now=NOW, actor="bob", reason="booked by hand")
    plan = plan_for(sqlite_store, amounts(THREE))
    assert [item.posting_key for item in plan.items] == ["a#2"]
    assert apply(plan, sqlite_store, erp.poster, now=NOW, actor="a", run_id="r2").complete
    assert look().counts == {"equal": 3}, "what a person gave up is no longer looked at"


def test_what_posting_found_different_is_looked_at_too(sqlite_store: Engine, erp: Erp, look: Callable[[], Attested],
    at_the_erp: Callable[[str], None],
) -> None:  # fmt: skip
    """A document that was wrong from the first day is posted once somebody has put it right at the ERP."""
    at_the_erp(CHANGES["date"])
    look()
    with sqlite_store.begin() as connection:
        connection.exec_driver_sql("UPDATE posting_outbox SET posted_at = NULL WHERE posting_key = 'a#1'")
    at_the_erp("UPDATE \"Journal Entry\" SET posting_date = '2026-03-15' WHERE platform_ref = 'a#1'")
    assert look().clean
    (row,) = outbox.postings(sqlite_store, entity_code="US", states=(outbox.POSTED,))[:1]
    assert (row.posting_key, row.posted_at) == ("a#1", NOW + timedelta(hours=2))


def test_one_unreadable_document_hides_no_other(
    look: Callable[[], Attested], at_the_erp: Callable[[str], None], erp: Erp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who may not read one document would otherwise keep the whole month from being attested."""
    at_the_erp("UPDATE \"Journal Entry\" SET docstatus = 2 WHERE platform_ref = 'c#1'")
    document = erp.poster.look_up(["b#1"])["b#1"]
    read_back = erp.poster.read_back

    def refused(documents: list[str]) -> object:
        if document in documents:
            raise RejectedByErp("PermissionError", "no permission", "Ask for it.")
        return read_back(documents)

    monkeypatch.setattr(type(erp.poster), "read_back", lambda _, documents: refused(documents))
    assert {finding.posting_key: finding.state for finding in look().findings} == {
        "b#1": "unreadable",
        "c#1": "differs",
    }


def test_an_erp_that_is_down_accuses_nobody(look: Callable[[], Attested], erp: Erp, sqlite_store: Engine) -> None:
    """Not seen is not gone: three posted entries would be held, and three exceptions raised, for an outage."""
    erp.fault(status=503, times=50)
    with pytest.raises(ErpUnavailable):
        look()
    assert attestations.attested(sqlite_store) == []
    assert len(outbox.postings(sqlite_store, states=(outbox.POSTED,))) == 3
