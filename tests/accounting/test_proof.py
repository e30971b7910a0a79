"""Certificates: what they say is recomputed from what was sent, and what is changed afterwards is found."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import Engine, text

from retail_assets.accounting.control import FINANCE_SEEDS
from retail_assets.accounting.plan import Control, Plan, plan_entity
from retail_assets.accounting.posting import apply
from retail_assets.accounting.verify import verify
from retail_assets.defs.export.certifying import certify
from retail_assets.ops import approvals, certificates, outbox
from retail_assets.ops.canonical import canonical_json, sha256_hex
from retail_assets.ops.certificates import Certificate
from retail_assets.ops.store import writing
from retail_assets.settings import Policies, Settings, load_settings
from tests.accounting.ledgers import BOOKS, NOW, amounts, plan_for
from tests.erp.books import Erp
from tests.support.chain import AS_OF

#: Payout, gross, fees, refunds, disputes, reserves, other, residual, unlisted, net, bank, its difference.
PAYOUT = ("stripe_us:po_1", "100.00", "3.2050", "10.00", "0", "-5.00", "0", "0", "0", "81.7950", "81.7950", "0")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home whose warehouse has what a certificate looks up: entry a belongs to a payout."""
    found = load_settings({"RETAIL_HOME": str(tmp_path), "RETAIL_AS_OF": AS_OF, "SANDBOX_URL": "http://127.0.0.1:1"})
    names = ("gross", "fee", "refund", "dispute", "reserve", "other", "residual", "unlisted", "net", "bank")
    columns = ", ".join(f"{name}_amount decimal(18, 4)" for name in (*names, "bank_difference"))
    with duckdb.connect(str(found.warehouse_path)) as connection:
        connection.execute("create schema marts")
        connection.execute("create table marts.acc_journal_entries (entry_id varchar, settlement_key varchar)")
        connection.execute(
            "create table marts.acc_journal_line_sources (entry_id varchar, source_system varchar, "
            "source_table varchar, source_key varchar, payload_sha256 varchar)"
        )
        connection.execute(
            "create table marts.fct_settlement_lines (settlement_line_key varchar, settlement_key varchar)"
        )
        connection.execute(
            "create table marts.rec_settlements "
            f"(settlement_key varchar, settlement_status varchar, currency_code varchar, {columns})"
        )
        connection.execute("insert into marts.acc_journal_entries values ('a', null), ('b', null), ('c', null)")
        connection.execute(
            "insert into marts.acc_journal_line_sources values ('a', 'stripe', 'balance_transactions', 'l1', 'ab12')"
        )
        connection.execute("insert into marts.fct_settlement_lines values ('l1', 'stripe_us:po_1')")
        connection.execute(
            f"insert into marts.rec_settlements values (?, 'reconciled', 'USD', {', '.join('?' * 11)})", list(PAYOUT)
        )
    return found


@pytest.fixture
def certified(sqlite_store: Engine, erp: Erp, settings: Settings) -> Callable[..., Certificate | None]:
    """Posts entries and certifies them."""

    def post(wanted: dict[str, str], certifying: bool = True, using: Settings = settings) -> Certificate | None:
        plan = plan_for(sqlite_store, amounts(wanted))
        apply(plan, sqlite_store, erp.poster, now=NOW, actor="ann", run_id="run", anchor_path=anchor(settings))
        return issue(sqlite_store, plan, using) if certifying else None

    return post


def anchor(settings: Settings) -> Path:
    return settings.audit_anchor_path


def issue(store: Engine, plan: Plan, settings: Settings) -> Certificate | None:
    return certify(settings, store, plan, run_id="run", batch_id="batch", actor="ann")


def problems(store: Engine, settings: Settings) -> list[str]:
    found = verify(store, anchor(settings), {})
    return sorted({problem.code for problem in found if problem.code != "erp_not_checked"})


def messages(store: Engine, settings: Settings) -> str:
    return "\n".join(problem.message for problem in verify(store, anchor(settings), {}))


def test_a_certificate_says_what_was_posted_on_what(
    certified: Callable[..., Certificate], sqlite_store: Engine, settings: Settings
) -> None:
    """Documents with their hashes, totals and the payout in integers, records, rules, checks and code."""
    made = certified({"a": "12.50", "b": "7.50"})
    body = json.loads(made.body)
    assert made.certificate_id == sha256_hex(made.body)
    assert canonical_json(body) == made.body
    assert [posting["posting_key"] for posting in body["postings"]] == ["a#1", "b#1"]
    assert body["totals"] == {"6100": [2000, 0], "1250": [0, 2000]}
    (payout,) = body["settlements"]
    assert (payout["decimals"], payout["gross"], payout["fees"], payout["net"]) == (4, 1000000, 32050, 817950)
    assert body["inputs"]["records"] == 1
    assert "rec_settlements.payouts_foot" in body["checks"]["passed"]
    assert set(body["rules"]["seeds_sha256"]) == set(FINANCE_SEEDS)
    assert body["code"]["version"]
    written = anchor(settings).with_name("certificates") / f"{made.certificate_id}.json"
    assert written.read_text() == made.body
    assert problems(sqlite_store, settings) == []


def test_each_posting_is_in_one_certificate(
    certified: Callable[..., Certificate], sqlite_store: Engine, settings: Settings
) -> None:
    """A run that posts nothing certifies nothing; a worker that died before it could is made up for by the next."""
    first = certified({"a": "1"})
    assert certified({"a": "1"}) is None
    assert certified({"a": "1", "b": "2"}, certifying=False) is None
    assert problems(sqlite_store, settings) == ["posting_uncertified"]
    second = json.loads(certified({"a": "1", "b": "2", "c": "3"}).body)
    assert [posting["posting_key"] for posting in second["postings"]] == ["b#1", "c#1"]
    assert second["previous"] == first.certificate_id
    assert problems(sqlite_store, settings) == []


def test_before_the_first_certificate_none_is_missed(
    certified: Callable[..., Certificate], sqlite_store: Engine, settings: Settings
) -> None:
    """What was posted before certificates existed is no problem, and is in the first one."""
    certified({"a": "1"}, certifying=False)
    assert problems(sqlite_store, settings) == []
    body = json.loads(certified({"a": "1", "b": "2"}).body)
    assert len(body["postings"]) == 2


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE certificates SET body = replace(body, '\"residual\":0', '\"residual\":1')", "certificate_changed"),
        ("UPDATE certificates SET run_id = 'other'", "certificate_changed"),
        ("DELETE FROM certificates", "certificate_missing"),
        (
            "UPDATE posting_outbox SET payload = replace(payload, '\"1\"', '\"9\"') WHERE posting_key = 'a#1'",
            "certificate_wrong",
        ),
        ("DELETE FROM posting_outbox WHERE posting_key = 'a#1'", "certificate_wrong"),
    ],
)
def test_what_is_edited_is_found(
    certified: Callable[..., Certificate], sqlite_store: Engine, settings: Settings, statement: str, code: str
) -> None:
    """Goal 21 for certificates: neither they nor what they speak of can be changed quietly."""
    certified({"a": "1", "b": "2"})
    with writing(sqlite_store) as connection:
        connection.exec_driver_sql(statement)
    assert code in problems(sqlite_store, settings)


def test_an_edited_file_is_found(
    certified: Callable[..., Certificate], sqlite_store: Engine, settings: Settings
) -> None:
    """The file is what an auditor is given."""
    made = certified({"a": "1"})
    path = anchor(settings).with_name("certificates") / f"{made.certificate_id}.json"
    path.write_text(made.body.replace("reconciled", "residual"))
    assert problems(sqlite_store, settings) == ["certificate_changed"]


@pytest.fixture
def forged(
    certified: Callable[..., Certificate], sqlite_store: Engine, settings: Settings
) -> Callable[[Callable[[dict[str, Any]], object]], str]:
    """Issues a certificate with something else in it, as a faulty model or builder would; gives what is found."""

    def forge(change: Callable[[dict[str, Any]], object]) -> str:
        made = certified({"a": "1", "b": "2"})
        with writing(sqlite_store) as connection:
            connection.execute(text("DELETE FROM certificates"))
            connection.execute(text("DROP TRIGGER IF EXISTS audit_log_no_delete"))
            connection.execute(text("DELETE FROM audit_log WHERE action = 'certificate.issued'"))
        body = json.loads(made.body)
        change(body)
        certificates.issue(sqlite_store, body, actor="ann", now=NOW)
        return messages(sqlite_store, settings)

    return forge


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda body: body["settlements"][0].update(fees=1), "does not foot"),
        (lambda body: body["settlements"][0].update(bank=1), "does not agree with the bank"),
        (lambda body: body["totals"]["6100"].reverse(), "totals are not those"),
        (lambda body: body["postings"].pop(), "only the audit log says"),
        (lambda body: body["postings"][0].update(document="X"), "differ about a#1 in document"),
        (lambda body: body["postings"][0].update(payload_hash="0"), "what was sent as a#1"),
        (lambda body: body.update(postings_root="0" * 64), "its root is not that of its postings"),
        (lambda body: body.update(audit_from=1), "does not go on"),
        (lambda body: body.update(audit_to=body["audit_to"] - 1), "in no certificate yet"),
        (lambda body: body["rules"].update(approval_limit="1.5"), "b#1 is above the limit"),
    ],
)
def test_a_wrong_certificate_is_found(
    forged: Callable[[Callable[[dict[str, Any]], object]], str],
    change: Callable[[dict[str, Any]], object],
    found: str,
) -> None:
    """Proof that is made by the same code as the thing proves nothing: all of it is recomputed from what was sent."""
    assert found in forged(change)


def test_what_was_approved_is_proved_so(sqlite_store: Engine, erp: Erp, settings: Settings) -> None:
    """Goal 23 after the fact: whatever let a large entry through, without its approval it is found."""
    policies = Policies(entities={"US": {"approval_limit": "100"}})
    limited = replace(settings, configuration=settings.configuration.model_copy(update={"policies": policies}))

    def plan(**wanted: str) -> Plan:
        control = Control(Decimal(100), decisions=approvals.decisions(sqlite_store, "US"))
        return plan_entity(BOOKS, amounts(wanted), outbox.postings(sqlite_store), control)

    first = plan(a="500")
    with writing(sqlite_store) as connection:
        approvals.request(connection, first.requests, requested_by="ann", now=NOW)
    approvals.decide(sqlite_store, first.requests[0].approval_id, "approved", actor="bob", reason="seen", now=NOW)
    for wanted in (plan(a="500"), plan_for(sqlite_store, amounts({"a": "500", "b": "600"}))):
        assert apply(
            wanted, sqlite_store, erp.poster, now=NOW, actor="ann", run_id="run", anchor_path=anchor(settings)
        ).complete
        issue(sqlite_store, wanted, limited)
    found = messages(sqlite_store, settings)
    assert "b#1 is above the limit" in found
    assert "a#1" not in found


def test_certificates_of_entities_are_apart(
    certified: Callable[..., Certificate], sqlite_store: Engine, settings: Settings
) -> None:
    """One entity's postings in another's certificate would be proof of nothing."""
    certified({"a": "1"})
    assert certificates.uncertified(sqlite_store, "US").entries == ()
    assert certificates.uncertified(sqlite_store, "DE").previous is None
