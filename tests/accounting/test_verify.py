"""Verification finds what was changed, wherever it was changed."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from retail_assets.accounting.posting import apply
from retail_assets.accounting.verify import verify
from retail_assets.erp.erpnext import ErpNextPoster
from tests.accounting.ledgers import NOW, amounts, plan_for
from tests.erp.books import Erp, client


@pytest.fixture
def posted(sqlite_store: Engine, erp: Erp, tmp_path: Path) -> Callable[..., list[str]]:
    """Three posted entries; call it to change something and verify: gives the codes of the problems."""
    anchor = tmp_path / "audit_head.json"
    plan = plan_for(sqlite_store, amounts({"a": "1", "b": "2", "c": "3"}))
    assert apply(plan, sqlite_store, erp.poster, now=NOW, actor="ann", run_id="run", anchor_path=anchor).complete
    assert verify(sqlite_store, anchor, {"erp_main": erp.poster}) == []

    def change(statements: str = "", database: str = "operations.sqlite") -> list[str]:
        sqlite_store.dispose()
        with closing(sqlite3.connect(tmp_path / database)) as connection:
            connection.executescript(statements)
        return sorted({problem.code for problem in verify(sqlite_store, anchor, {"erp_main": erp.poster})})

    return change


@pytest.mark.parametrize(
    ("statement", "codes"),
    [
        ("UPDATE posting_outbox SET payload = replace(payload, '\"1\"', '\"9\"') WHERE posting_key = 'a#1'", None),
        ("UPDATE posting_outbox SET payload_hash = 'x' WHERE posting_key = 'a#1'", None),
        ("UPDATE posting_outbox SET erp_document = 'ACC-JV-2026-00099' WHERE posting_key = 'a#1'", None),
        ("UPDATE posting_outbox SET posting_date = '2026-04-01' WHERE posting_key = 'a#1'", None),
        ("DELETE FROM posting_outbox WHERE posting_key = 'a#1'", ["outbox_row_missing"]),
        ("UPDATE posting_outbox SET state = 'claimed' WHERE posting_key = 'a#1'", ["outbox_row_missing"]),
        (
            "UPDATE posting_outbox SET state = 'sent' WHERE posting_key = 'a#1'",
            ["outbox_row_missing", "posting_unsettled"],
        ),
    ],
)
def test_an_edited_outbox_is_found(posted: Callable[..., list[str]], statement: str, codes: list[str] | None) -> None:
    """Whoever edits the outbox could have the next plan post a second time, or not at all."""
    found = posted(statement)
    assert "outbox_changed" in found if codes is None else found == codes


def test_a_cut_audit_log_is_found(posted: Callable[..., list[str]]) -> None:
    """Rows without evidence, and a head that is behind its anchor."""
    found = posted("DROP TRIGGER audit_log_no_delete; DELETE FROM audit_log WHERE seq >= 3")
    assert found == ["audit_entry_missing", "audit_tail_missing"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE \"Journal Entry Account\" SET debit = '1.5' WHERE debit = '1.0'",
        "UPDATE \"Journal Entry\" SET posting_date = '2026-04-01'",
        "UPDATE \"Journal Entry\" SET docstatus = 2 WHERE platform_ref = 'b#1'",
        "UPDATE \"Journal Entry\" SET platform_ref = NULL WHERE platform_ref = 'b#1'",
        'DELETE FROM "Journal Entry Account" WHERE idx = 2',
        "DELETE FROM \"Journal Entry\" WHERE platform_ref = 'c#1'",
        "UPDATE \"Journal Entry\" SET company = 'Lindenhof GmbH' WHERE platform_ref = 'c#1'",
    ],
)
def test_drift_in_the_erp_is_found(posted: Callable[..., list[str]], statement: str) -> None:
    """Goal 12: what somebody changes in the ERP is found by reading every document back."""
    assert posted(statement, "erp.sqlite") == ["posted_drift"]


def test_an_erp_that_cannot_be_read_is_named(sqlite_store: Engine, erp: Erp) -> None:
    """Silence about documents that were not read would pass for proof."""
    plan = plan_for(sqlite_store, amounts({"a": "1", "b": "2"}))
    apply(plan, sqlite_store, erp.poster, now=NOW, actor="ann", run_id="run")
    seen: list[tuple[int, int]] = []
    problems = verify(sqlite_store, None, {}, progress=lambda done, of: seen.append((done, of)))
    assert [(problem.code, problem.subject) for problem in problems] == [("erp_not_checked", "erp_main")]
    assert seen == [(2, 2)]
    stranger = ErpNextPoster(client(erp.url, secret="wrong", retries=0), base_url=erp.url)
    (problem,) = verify(sqlite_store, None, {"erp_main": stranger})
    assert (problem.code, "api_key" in problem.message) == ("erp_not_checked", True)
    stranger.close()
