"""The Tryton poster against a real Tryton."""

import time
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from retail_assets.erp.compare import differences
from retail_assets.erp.factory import poster_for, takes_postings
from retail_assets.erp.protocol import (
    ErpUnavailable,
    JournalEntry,
    KeyAlreadyUsed,
    OutcomeUnknown,
    PostedDocument,
    RejectedByErp,
)
from retail_assets.erp.tryton import TrytonPoster
from retail_assets.erp.tryton_client import TrytonClient
from tests.erp.tryton import DAY, RECEIVABLE, Line, TrytonErp, entry, line, settings
from tests.support.tryton import COMPANY, DATABASE


def post_and_read(erp: TrytonErp, intended: JournalEntry) -> PostedDocument:
    (document,) = erp.poster.post([intended])
    return erp.poster.read_back([document])[document]


def test_what_is_posted_is_what_was_intended(tryton_erp: TrytonErp) -> None:
    """The whole way: post, find by key, read back, compare."""
    intended = [entry("whole/1#1"), entry("whole/2#1", day=date(2026, 12, 31))]
    documents = tryton_erp.poster.post(intended)
    found = tryton_erp.poster.look_up([*(each.key for each in intended), "another#1"])
    assert found == dict(zip((each.key for each in intended), documents, strict=True))
    posted = tryton_erp.poster.read_back([*documents, "999999"])
    assert [differences(each, posted[document]) for each, document in zip(intended, documents, strict=True)] == [[], []]
    assert set(posted) == set(documents)
    url = tryton_erp.server.url
    assert tryton_erp.poster.document_url(documents[0]) == f"{url}/#{DATABASE}/model/account.move/{documents[0]}"
    assert (tryton_erp.poster.look_up([]), tryton_erp.poster.read_back([])) == ({}, {})


def test_a_foreign_line_keeps_both_amounts(tryton_erp: TrytonErp) -> None:
    """A clearing account in dollars is reconciled in dollars; base alone would leave exchange differences for ever."""
    dollars: dict[str, Any] = {"currency": "USD", "rate": "0.9"}
    rounding = replace(line("1251", currency="USD"), base_debit=Decimal("0.01"))
    lines = (line("1251", debit="100", **dollars), rounding, line("4000", credit="100", **dollars))
    intended = entry("fx#1", *lines, line("6910", credit="0.01"))
    posted = post_and_read(tryton_erp, intended)
    assert differences(intended, posted) == []
    assert {(each.account_code, each.currency_code, each.debit - each.credit) for each in posted.lines} == {
        ("1251", "USD", Decimal(100)),
        ("1251", "USD", Decimal(0)),
        ("4000", "USD", Decimal(-100)),
        ("6910", "EUR", Decimal("-0.01")),
    }
    other = replace(intended, lines=(line("1251", debit="99", **dollars), *intended.lines[1:]))
    assert [difference.field for difference in differences(other, posted)] == ["lines"]


def test_a_cost_centre_is_refused_rather_than_dropped(tryton_erp: TrytonErp) -> None:
    """Tryton has no field for it: the entry was posted without, and nobody was told."""
    intended = entry("centre#1", line("1250", debit="5"), replace(line("4000", credit="5"), cost_centre="K1"))
    with pytest.raises(RejectedByErp, match=r"cost_centres\.csv"):
        tryton_erp.poster.post([intended])
    assert tryton_erp.poster.look_up([intended.key]) == {}


def test_amounts_arrive_digit_for_digit(tryton_erp: TrytonErp) -> None:
    """A float on the way would change large amounts; the books would differ by a cent from the evidence."""
    amounts = ["0.01", "0.10", "33.33", "1234567.89", "99999999999.99"]
    lines = [line("1250", debit=amount) for amount in amounts]
    intended = entry("exact#1", *lines, line("4000", credit=str(sum(map(Decimal, amounts)))))
    assert differences(intended, post_and_read(tryton_erp, intended)) == []


def test_a_receivable_is_that_of_all_customers(tryton_erp: TrytonErp) -> None:
    """Tryton wants a party there; names of customers have no place in the ledger."""
    intended = entry("receivable#1", line(RECEIVABLE, debit="5"), line("4000", credit="5"))
    assert differences(intended, post_and_read(tryton_erp, intended)) == []


def test_one_key_one_document(tryton_erp: TrytonErp) -> None:
    """Whatever happens to the outbox, Tryton itself refuses a second one; what is copied there is another document."""
    (document,) = tryton_erp.poster.post([entry("unique#1")])
    with pytest.raises(KeyAlreadyUsed, match="platform_ref"):
        tryton_erp.poster.post([entry("unique#2"), entry("unique#1")])
    assert tryton_erp.poster.look_up(["unique#1", "unique#2"]) == {"unique#1": document}
    (copy,) = tryton_erp.server.call("model.account.move.copy", [int(document)], {}, {"company": 1})
    found = tryton_erp.poster.read_back([document, str(copy)])
    assert (found[document].key, found[str(copy)].key, found[str(copy)].state) == ("unique#1", None, "draft")
    tryton_erp.server.call("model.account.move.delete", [copy], {})


def test_a_tryton_without_the_key_is_not_ready(tryton_erp: TrytonErp) -> None:
    """Without the field nothing is found again; with one that is not unique every retry may post a second document."""
    client, web = TrytonClient(settings(tryton_erp.server.url)), ""
    before = tryton_erp.server.call("model.account.move.search", [], 0, None, None, {})
    (missing,) = TrytonPoster(client, web_address=web, key_field="not_there").check()
    assert "no field not_there" in missing
    assert "platform_ref" in missing
    (accepted,) = TrytonPoster(client, web_address=web, key_field="description").check()
    assert "two moves with one description are accepted" in accepted
    journal, party = TrytonPoster(client, web_address=web, journal="NONE", customer="Nobody").check()
    assert ("NONE" in journal, "Nobody" in party) == (True, True)
    with pytest.raises(RejectedByErp, match="no field not_there"):
        TrytonPoster(client, web_address=web, key_field="not_there").prepare()
    assert tryton_erp.poster.check() == []
    assert tryton_erp.server.call("model.account.move.search", [], 0, None, None, {}) == before
    client.close()


def _refused() -> list[tuple[str, JournalEntry, str, str]]:
    fee = line("6100", debit="1")
    thousandth = Decimal("0.001")
    thousandths = (replace(fee, base_debit=thousandth), replace(line("1250"), base_credit=thousandth))
    return [
        ("unbalanced", entry("a#1", fee, line("1250", credit="2")), "Unbalanced", "out of balance by -1.00 EUR"),
        ("unknown account", entry("b#1", fee, line("9999", credit="1")), "UnknownAccount", "no open account with"),
        ("account without a type", entry("c#1", fee, line("4.0.0", credit="1")), "UnknownAccount", "code 4.0.0"),
        ("payable", entry("d#1", fee, line("2.1.1", credit="1")), "PartyRequired", "supplier"),
        ("fiscal year", entry("e#1", day=date(2019, 3, 15)), "NoPeriod", "no fiscal year of it has that day"),
        ("company", replace(entry("f#1"), company="Nobody Inc"), "UnknownCompany", "no company Nobody Inc"),
        ("books", replace(entry("g#1"), base_currency_code="USD"), "BaseCurrency", "are in EUR, the entry is in USD"),
        ("digits", entry("h#1", *thousandths), "UserError", "number of digits"),
        ("account currency", entry("i#1", fee, line("1251", credit="1")), "AccountCurrency", "hold a line in EUR"),
        (
            "currency",
            entry("j#1", fee, line("4000", credit="1", currency="XXX")),
            "UnknownCurrency",
            "no currency XXX",
        ),
        ("no lines, which Tryton finds out when it posts", replace(entry("k#1"), lines=()), "UserError", "fill in its"),
    ]


@pytest.mark.parametrize(("bad", "code", "words"), [case[1:] for case in _refused()], ids=[c[0] for c in _refused()])
def test_refusals_are_in_words_and_leave_nothing(
    tryton_erp: TrytonErp, bad: JournalEntry, code: str, words: str
) -> None:
    """A batch is refused whole: what stays of it would be a draft, which no balance shows and no period closes over."""
    before = tryton_erp.server.call("model.account.move.search", [], 0, None, None, {})
    with pytest.raises(RejectedByErp) as refusal:
        tryton_erp.poster.post([entry("good/1#1"), bad, entry("good/2#1")])
    assert refusal.value.code == code
    assert words in refusal.value.message
    assert refusal.value.advice
    assert tryton_erp.server.call("model.account.move.search", [], 0, None, None, {}) == before


def test_two_companies_with_one_name(tryton_erp: TrytonErp) -> None:
    """Tryton allows it; in the other one's books the entry would look right."""
    poster = tryton_erp.knowing()
    mine = poster._company(COMPANY)
    poster._companies = {1: mine, 2: replace(mine, id=2)}
    with pytest.raises(RejectedByErp, match=f"several companies {COMPANY}"):
        poster.post([entry("whose#1")])


def test_the_quota_holds_for_posting(tryton_erp: TrytonErp) -> None:
    """What the ERP's administrator allows holds for look-ups and postings together."""
    configured = settings(tryton_erp.server.url.replace("127.0.0.1", "localhost"), requests_per_second=5)
    poster = poster_for(configured)
    started = time.monotonic()
    for _ in range(6):
        poster.look_up(["quota#1"])
    assert time.monotonic() - started >= 1
    poster.close()


def test_two_accounts_with_one_code(tryton_erp: TrytonErp) -> None:
    """Tryton allows it; which of them is meant nobody can know."""
    (account,) = tryton_erp.server.call("model.account.account.search", [["code", "=", "6910"]], 0, None, None, {})
    (twin,) = tryton_erp.server.call("model.account.account.copy", [account], {"code": "6910"}, {"company": 1})
    poster = tryton_erp.poster_with()
    intended = entry("twins#1", line("6910", debit="1"), line("1250", credit="1"))
    with pytest.raises(RejectedByErp, match="several open accounts with the code 6910"):
        poster.post([intended])
    tryton_erp.server.call("model.account.account.write", [twin], {"closed": True}, {"company": 1})
    assert poster.post([intended])


def test_closed_periods(tryton_erp: TrytonErp) -> None:
    """A closed period refuses, also one that was closed a moment ago, and a plan can ask for the first open day."""
    poster = tryton_erp.poster
    poster.post([entry("in february#1", day=date(2026, 2, 1))])
    assert poster.books_closed_until(COMPANY) is None
    months = [["start_date", "<", {"__class__": "date", "year": 2026, "month": 3, "day": 1}]]
    ids = tryton_erp.server.call("model.account.period.search", months, 0, None, None, {"company": 1})
    tryton_erp.server.call("model.account.period.close", ids, {"company": 1})
    late = entry("late#1", day=date(2026, 2, 28))
    with pytest.raises(RejectedByErp) as refused:
        poster.post([late])
    assert refused.value.code == "UserError"
    with pytest.raises(RejectedByErp, match="first open one") as known:
        poster.post([late])
    assert known.value.code == "ClosedPeriod"
    assert poster.books_closed_until(COMPANY) == date(2026, 2, 28)
    tryton_erp.server.call("model.account.period.reopen", ids, {"company": 1})
    periods = [["period", "in", ids]]
    # Reopening a period leaves its journals closed.
    with pytest.raises(RejectedByErp, match="journal-period"):
        poster.post([late])
    journals = tryton_erp.server.call("model.account.journal.period.search", periods, 0, None, None, {"company": 1})
    tryton_erp.server.call("model.account.journal.period.reopen", journals, {"company": 1})
    assert poster.post([late])


@pytest.mark.parametrize(
    ("faults", "arrived"),
    [
        (["lost"], []),
        (["answer lost"], ["draft"]),
        ([502], ["draft"]),
        (["twice"], ["draft"]),
        ([None, "lost"], ["draft"]),
        ([None, "answer lost"], ["posted"]),
        ([None, 429], ["draft"]),
        ([None, "twice"], ["posted"]),
    ],
    ids=str,
)
def test_a_lost_answer_is_an_unknown_outcome(tryton_erp: TrytonErp, faults: list[Any], arrived: list[str]) -> None:
    """Two calls can be lost; taken for refused or for done, each leaves a draft, a hole or a second document."""
    key = f"lost/{faults}#1"
    tryton_erp.poster.post([entry(f"warm/{faults}#1")])
    with pytest.raises((OutcomeUnknown, KeyAlreadyUsed)):
        tryton_erp.knowing(*faults).post([entry(key)])
    assert [move["state"] for move in tryton_erp.moves(["platform_ref", "=", key])] == arrived
    if arrived == ["draft"]:
        document = tryton_erp.poster.look_up([key])[key]
        tryton_erp.poster.finish(document)
        assert differences(entry(key), tryton_erp.poster.read_back([document])[document]) == []


def test_a_request_that_was_never_carried_out(tryton_erp: TrytonErp) -> None:
    """Too many requests are no fault of the entry: it must not be marked as refused, nor looked for."""
    tryton_erp.poster.post([entry("warm/busy#1")])
    with pytest.raises(ErpUnavailable) as busy:
        tryton_erp.knowing(429).post([entry("busy#1")])
    assert busy.value.retry_after == 7
    with pytest.raises(ErpUnavailable):
        tryton_erp.knowing("lost").look_up(["busy#1"])
    assert tryton_erp.moves(["platform_ref", "=", "busy#1"]) == []


def test_a_draft_that_cannot_be_finished_is_removed(tryton_erp: TrytonErp) -> None:
    """Left behind, it would keep its period from being closed."""
    empty = {"company": 1, "journal": 1, "platform_ref": "empty#1", "date": _wire(DAY)}
    empty["period"] = tryton_erp.poster._period(tryton_erp.poster._company(COMPANY), DAY).id
    (draft,) = tryton_erp.server.call("model.account.move.create", [empty], {"company": 1})
    with pytest.raises(RejectedByErp):
        tryton_erp.poster.finish(str(draft))
    assert tryton_erp.moves(["platform_ref", "=", "empty#1"]) == []


def test_a_wrong_password_is_tried_once(tryton_erp: TrytonErp) -> None:
    """Five wrong passwords and Tryton blocks the user, with the right one as well."""
    client = TrytonClient(settings(tryton_erp.server.url, password="wrong-canary", retries=5))
    requests = Line(client).sent
    with pytest.raises(ErpUnavailable, match="login and password"):
        TrytonPoster(client, web_address="").check()
    assert len(requests) == 1
    without = TrytonClient(settings(tryton_erp.server.url, login=None, password=None))
    with pytest.raises(ErpUnavailable, match="give login and password"):
        TrytonPoster(without, web_address="").check()


def test_a_session_that_ended_is_begun_anew(tryton_erp: TrytonErp) -> None:
    """Tryton ends it after some minutes without a call; what it then refuses was not carried out."""
    poster = tryton_erp.knowing()
    poster._client._session = "Session bG9hZGVyOjI6bm90aGluZw=="
    (document,) = poster.post([entry("session#1")])
    assert tryton_erp.poster.look_up(["session#1"]) == {"session#1": document}


def test_a_user_without_the_right_to_post(tryton_erp: TrytonErp) -> None:
    """The reason must name the right that is missing, not the entry."""
    made = {"name": "Clerk", "login": "clerk", "password": "canary-password-2", "companies": [["add", [1]]]}
    tryton_erp.server.call("model.res.user.create", [made | {"company": 1}], {})
    client = TrytonClient(settings(tryton_erp.server.url, login="clerk", password="canary-password-2"))
    poster = TrytonPoster(client, web_address="")
    with pytest.raises(RejectedByErp, match="group Accounting"):
        poster.check()
    client.close()


def test_a_warning_is_acknowledged(tryton_erp: TrytonErp) -> None:
    """Tryton stops and asks; a night's run has nobody to answer."""
    call = tryton_erp.server.call
    day = _wire(date(2026, 11, 6))
    (draft,) = call("model.account.invoice.copy", _invoice(tryton_erp), {"invoice_date": day}, {"company": 1})
    answer = tryton_erp.poster._client.change("model.account.invoice.post", [draft], {"company": 1})
    (invoice,) = call("model.account.invoice.read", [draft], ["state"], {"company": 1})
    assert (answer, invoice["state"]) == (None, "posted")
    assert sum("res.user.warning.create" in sent for sent in tryton_erp.line.sent) == 1


def _invoice(erp: TrytonErp) -> list[int]:
    positive = [["total_amount", ">", {"__class__": "Decimal", "decimal": "0"}]]
    return erp.server.call("model.account.invoice.search", positive, 0, 1, None, {"company": 1})


def _wire(day: date) -> dict[str, Any]:
    return {"__class__": "date", "year": day.year, "month": day.month, "day": day.day}


def test_the_poster_of_the_configuration(tryton_erp: TrytonErp) -> None:
    """The factory must hand over database, journal and credentials; without them the books are only read."""
    configured = settings(tryton_erp.server.url)
    poster = poster_for(configured)
    assert poster.check() == []
    (document,) = poster.post([entry("configured#1")])
    assert poster.look_up(["configured#1"]) == {"configured#1": document}
    assert poster.document_url(document) == tryton_erp.poster.document_url(document)
    poster.close()
    assert takes_postings(configured)
    assert not takes_postings(settings(tryton_erp.server.url, login=None, password=None, api_key="key"))
