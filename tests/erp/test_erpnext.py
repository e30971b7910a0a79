"""The ERPNext poster, over real HTTP, against the simulated ERPNext."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.erp.compare import differences
from retail_assets.erp.erpnext import ErpNextPoster
from retail_assets.erp.factory import poster_for
from retail_assets.erp.protocol import (
    ErpUnavailable,
    JournalEntry,
    KeyAlreadyUsed,
    OutcomeUnknown,
    PostedDocument,
    RejectedByErp,
)
from retail_assets.settings import instance_of
from tests.erp.books import DE, KEY, SECRET, US, Erp, client, entry, line, running_erp


def post_and_read(erp: Erp, intended: JournalEntry) -> PostedDocument:
    (document,) = erp.poster.post([intended])
    return erp.poster.read_back([document])[document]


def test_what_is_posted_is_what_was_intended(erp: Erp) -> None:
    """The whole way: post, find by key, read back, compare."""
    (document,) = erp.poster.post([entry()])
    assert erp.poster.look_up([entry().key, "another#1"]) == {entry().key: document}
    posted = erp.poster.read_back([document, "ACC-JV-0000-00000"])
    assert {number: differences(entry(), found) for number, found in posted.items()} == {document: []}
    assert erp.poster.document_url(document) == f"{erp.url}/app/journal-entry/{document}"


def test_a_foreign_account_gets_the_amount_and_the_rate(erp: Erp) -> None:
    """Without the rate on the line ERPNext takes 1.0 and books 100 EUR as 100 USD."""
    intended = entry("fx#1", line("1251", debit="100", currency="EUR", rate="1.08735"), line("4000", credit="108.74"))
    posted = post_and_read(erp, intended)
    assert differences(intended, posted) == []
    assert {(each.currency_code, each.debit, each.base_debit) for each in posted.lines} == {
        ("EUR", Decimal(100), Decimal("108.74")),
        ("USD", Decimal(0), Decimal(0)),
    }


def test_a_base_amount_that_its_rate_does_not_give(erp: Erp) -> None:
    """ERPNext recomputes base amounts: 33.33 EUR at 1.08735 is 36.24, but the entry needs 36.25 to balance."""
    pushed = replace(line("1251", debit="33.33", currency="EUR", rate="1.08735"), base_debit=Decimal("36.25"))
    intended = entry("fx#2", pushed, line("4000", credit="36.25"))
    posted = post_and_read(erp, intended)
    assert differences(intended, posted) == []


def test_a_foreign_line_on_an_account_of_the_books_is_posted_in_base(erp: Erp) -> None:
    """Most charts keep revenue in one currency; the document currency is in the entry's own records."""
    intended = entry(
        "fx#3",
        line("1100", debit="100", currency="EUR", rate="1.087"),
        line("4000", credit="100", currency="EUR", rate="1.087"),
    )
    posted = post_and_read(erp, intended)
    assert differences(intended, posted) == []
    assert {each.currency_code for each in posted.lines} == {"USD"}


def test_a_cost_centre_arrives(erp: Erp) -> None:
    """It was dropped without a word, or one of another company was taken; the controller's report had no revenue."""
    for company, name in ((US, "Books"), (DE, "Books")):
        with erp.app.state.site.transaction():
            erp.app.state.site.insert("Cost Center", {"cost_center_name": name, "company": company})
    sale = (line("1250", debit="10"), replace(line("4000", credit="10"), cost_centre="Books - CP"))
    posted = post_and_read(erp, entry("centre#1", *sale))
    assert {each.cost_centre for each in posted.lines} == {"", "Books - CP"}
    assert differences(entry("centre#1", *sale), posted) == []
    for wrong, words in (("Toys - CP", "Could not find"), ("Books - LH", "does not belong to company")):
        elsewhere = entry("centre#2", sale[0], replace(sale[1], cost_centre=wrong))
        with pytest.raises(RejectedByErp, match=words):
            erp.poster.post([elsewhere])


@given(st.lists(st.integers(1, 10**13), min_size=1, max_size=4))
def test_amounts_arrive_digit_for_digit(cents: list[int]) -> None:
    """A float on the way would change large amounts; the books would differ by a cent from the evidence."""
    lines = [line("1100", debit=str(Decimal(amount).scaleb(-2))) for amount in cents]
    lines.append(line("4000", credit=str(Decimal(sum(cents)).scaleb(-2))))
    intended = entry(f"exact/{cents}"[:100] + "#1", *lines)
    erp = _SHARED[0]
    there = erp.poster.look_up([intended.key])
    document = there.get(intended.key) or erp.poster.post([intended])[0]
    assert differences(intended, erp.poster.read_back([document])[document]) == []


_SHARED: list[Erp] = []


@pytest.fixture(scope="module", autouse=True)
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with running_erp(tmp_path_factory.mktemp("shared")) as erp:
        _SHARED.append(erp)
        yield


def test_one_key_one_document(erp: Erp) -> None:
    """Whatever happens to the outbox, the ERP itself refuses a second document, also after a cancellation."""
    (document,) = erp.poster.post([entry()])
    with pytest.raises(KeyAlreadyUsed, match="must be unique"):
        erp.poster.post([entry()])
    with erp.app.state.site.transaction():
        erp.app.state.site.update("Journal Entry", document, {"docstatus": 2})
    with pytest.raises(KeyAlreadyUsed):
        erp.poster.post([entry()])
    assert erp.poster.look_up([entry().key]) == {entry().key: document}
    assert erp.poster.read_back([document])[document].state == "cancelled"


def test_a_site_without_the_key_field_is_not_ready(tmp_path: Path) -> None:
    """ERPNext ignores unknown fields: without the field every retry would post a second document."""
    with running_erp(tmp_path, prepared=False) as erp:
        field, customer = erp.poster.check()
        assert "platform_ref" in field
        assert "Web Customers" in customer
        fee = line("6100", debit="30")
        assert post_and_read(erp, entry("ignored#1", fee, line("1250", credit="30"))).key is None
        erp.poster.prepare()
        assert erp.poster.check() == []
        erp.poster.prepare()


@pytest.mark.parametrize(("flaw", "word"), [("unique", "not unique"), ("no_copy", "copied")])
def test_a_key_field_that_is_not_unique_is_not_ready(tmp_path: Path, flaw: str, word: str) -> None:
    """A field made by hand without the box ticked looks right and protects nothing."""
    with running_erp(tmp_path, prepared=False) as erp:
        site = erp.app.state.site
        made = {"dt": "Journal Entry", "fieldname": "platform_ref", "fieldtype": "Data", "unique": 1, "no_copy": 1}
        with site.transaction():
            site.insert("Custom Field", made | {flaw: 0})
        assert any(word in problem for problem in erp.poster.check())
        erp.poster.ensure_key_field()
        assert not any("platform_ref" in problem for problem in erp.poster.check())


def test_a_field_that_cannot_be_made_unique(tmp_path: Path) -> None:
    """Two documents with one key must be seen before more are posted."""
    with running_erp(tmp_path, prepared=False) as erp:
        site = erp.app.state.site
        with site.transaction():
            site.insert("Customer", {"customer_name": "Web Customers"})
            site.insert("Custom Field", {"dt": "Journal Entry", "fieldname": "platform_ref", "fieldtype": "Data"})
        erp.poster.post([entry()])
        erp.poster.post([entry()])
        with pytest.raises(RejectedByErp, match="non-unique values"):
            erp.poster.ensure_key_field()


def _refused() -> list[tuple[str, JournalEntry, str, str]]:
    fee = line("6100", debit="1")
    return [
        ("unbalanced", entry("a#1", fee, line("1250", credit="2")), "ValidationError", "The difference is -1"),
        ("unknown account", entry("b#1", fee, line("9999", credit="1")), "UnknownAccount", "number 9999"),
        ("group", entry("c#1", fee, line("5000", credit="1")), "UnknownAccount", "number 5000"),
        ("payable", entry("d#1", fee, line("2100", credit="1")), "PartyRequired", "supplier"),
        (
            "fiscal year",
            entry("e#1", day=date(2019, 3, 15)),
            "FiscalYearError",
            "any active Fiscal Year for Cedar & Pine",
        ),
        ("company", replace(entry("f#1"), company="Nobody Inc"), "UnknownCompany", "no company Nobody Inc"),
        ("books", replace(entry("g#1"), company=DE), "BaseCurrency", "are in EUR, the entry is in USD"),
        ("long key", entry("x" * 141), "KeyTooLong", "140 characters"),
        (
            "account currency",
            entry("h#1", line("1251", debit="1", currency="GBP", rate="1.2"), line("4000", credit="1.2")),
            "AccountCurrency",
            "cannot hold a line in GBP",
        ),
        (
            "rounding on a foreign account",
            entry(
                "i#1", replace(line("1251", currency="EUR"), base_debit=Decimal("0.01")), line("4000", credit="0.01")
            ),
            "AccountCurrency",
            "cannot hold a line in USD",
        ),
        (
            "rate",
            entry(
                "j#1",
                replace(line("1251", debit="9999999999999", currency="EUR", rate="1"), base_debit=Decimal("0.01")),
                line("4000", credit="0.01"),
            ),
            "ExchangeRate",
            "no exchange rate turns",
        ),
    ]


@pytest.mark.parametrize(
    ("intended", "code", "words"), [case[1:] for case in _refused()], ids=[c[0] for c in _refused()]
)
def test_refusals_are_in_words_and_leave_nothing(intended: JournalEntry, code: str, words: str) -> None:
    """The controller reads the reason, not a traceback in JSON in JSON; a refused entry must not stay as a draft."""
    erp = _SHARED[0]
    before = len(erp.entries())
    with pytest.raises(RejectedByErp) as refusal:
        erp.poster.post([intended])
    assert refusal.value.code == code
    assert words in refusal.value.message
    assert "<" not in refusal.value.message
    assert refusal.value.advice
    assert len(erp.entries()) == before


def test_closed_periods(erp: Erp) -> None:
    """A closed period refuses, and its end can be asked for, so that a plan can date entries after it."""
    site = erp.app.state.site
    assert erp.poster.books_closed_until(US) is None
    with site.transaction():
        site.update("Accounts Settings", "Accounts Settings", {"acc_frozen_upto": "2026-01-31"})
        closed = [{"document_type": "Journal Entry", "closed": 1}]
        period = {"period_name": "Q1", "company": US, "start_date": "2026-01-01", "end_date": "2026-03-31"}
        site.insert("Accounting Period", period | {"closed_documents": closed})
    with pytest.raises(RejectedByErp, match="before 01-31-2026") as frozen:
        erp.poster.post([replace(entry(day=date(2026, 1, 31)), company=DE, base_currency_code="EUR")])
    assert frozen.value.code == "FrozenPeriod"
    with pytest.raises(RejectedByErp, match="closed Accounting Period Q1 - CP") as period_closed:
        erp.poster.post([entry()])
    assert period_closed.value.code == "ClosedAccountingPeriod"
    assert erp.poster.books_closed_until(US) == date(2026, 3, 31)
    assert erp.poster.books_closed_until(DE) == date(2026, 1, 31)


def test_an_account_made_in_the_meantime_is_found(erp: Erp) -> None:
    """A poster that trusts its cache would refuse the account that finance has just made."""
    intended = entry("new account#1", line("6200", debit="1"), line("1250", credit="1"))
    with pytest.raises(RejectedByErp, match="6200"):
        erp.poster.post([intended])
    account = {"company": US, "account_number": "6200", "account_name": "Bank Fees", "root_type": "Expense"}
    with erp.app.state.site.transaction():
        erp.app.state.site.insert("Account", account)
    assert erp.poster.post([intended])


@pytest.mark.parametrize(
    ("fault", "arrived"),
    [
        ({"at": "before_commit", "action": "drop"}, False),
        ({"at": "after_commit", "action": "drop"}, True),
        ({"at": "before_commit", "action": "status", "status": 502}, False),
        ({"at": "after_commit", "action": "status", "status": 504}, True),
        ({"at": "after_commit", "action": "hang", "seconds": 1}, True),
    ],
)
def test_a_lost_answer_is_an_unknown_outcome(tmp_path: Path, fault: dict[str, object], arrived: bool) -> None:
    """Taken for a failure, a lost answer is sent again; taken for a success, an entry is missing."""
    with running_erp(tmp_path) as erp:
        poster = ErpNextPoster(client(erp.url, timeout=0.3), base_url=erp.url)
        assert poster.look_up(["warm up"]) == {}
        erp.fault(method="POST", path="insert_many", **fault)
        with pytest.raises(OutcomeUnknown, match="1001#1"):
            poster.post([entry()])
        poster.close()
        assert bool(erp.poster.look_up([entry().key])) == arrived


def test_an_answer_that_is_no_erpnext_answer(erp: Erp) -> None:
    """A proxy's login page with status 200 is no proof of posting."""
    erp.fault(method="POST", action="status", status=200)
    with pytest.raises(OutcomeUnknown, match="not ERPNext's"):
        erp.poster.post([entry()])
    erp.fault(method="GET", action="status", status=200)
    with pytest.raises(ErpUnavailable, match="base_url"):
        erp.poster.look_up(["a#1"])


def test_an_erp_that_refuses_everything(erp: Erp) -> None:
    """Wrong credentials or too many requests are no fault of the entry: it must not be marked as refused."""
    stranger = ErpNextPoster(client(erp.url, secret="wrong"), base_url=erp.url)
    with pytest.raises(ErpUnavailable, match="api_key"):
        stranger.check()
    stranger.close()
    erp.fault(method="POST", action="status", status=429, retry_after=7)
    with pytest.raises(ErpUnavailable) as busy:
        erp.poster.post([entry()])
    assert busy.value.retry_after == 7
    gone = ErpNextPoster(client("http://127.0.0.1:9", retries=0), base_url="http://127.0.0.1:9")
    with pytest.raises(ErpUnavailable):
        gone.look_up(["a#1"])
    with pytest.raises(OutcomeUnknown):
        _knowing_what(gone, erp.poster).post([entry()])
    gone.close()


def _knowing_what(poster: ErpNextPoster, other: ErpNextPoster) -> ErpNextPoster:
    """The poster with the accounts that the other has read, so that its first request is the posting itself."""
    poster._accounts, poster._company_currencies = other._accounts, other._company_currencies
    return poster


def test_keys_that_differ_in_case_only(erp: Erp) -> None:
    """ERPNext's database ignores case; another entry's document must not be taken for ours."""
    erp.poster.post([entry("line/txn_1aB#1")])
    with pytest.raises(RejectedByErp, match="line/txn_1aB#1"):
        erp.poster.look_up(["line/txn_1Ab#1"])


def test_the_poster_of_the_configuration(erp: Erp) -> None:
    """The factory must hand over key field and credentials, or nothing is idempotent."""
    settings = instance_of(
        "erps", {"id": "erp_main", "system": "erpnext", "base_url": erp.url, "api_key": KEY, "api_secret": SECRET}
    )
    poster = poster_for(settings)
    assert poster.check() == []
    (document,) = poster.post([entry("configured#1")])
    assert erp.poster.look_up(["configured#1"]) == {"configured#1": document}
    poster.close()
