"""The Odoo poster, over real HTTP, against the simulated Odoo: JSON-RPC of series 17 and JSON-2 of series 19."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_assets.erp.compare import differences
from retail_assets.erp.errors import ErpRefusedError
from retail_assets.erp.factory import odoo_poster, poster_for
from retail_assets.erp.odoo import OdooPoster
from retail_assets.erp.odoo_client import OdooClient
from retail_assets.erp.protocol import (
    ErpUnavailable,
    JournalEntry,
    KeyAlreadyUsed,
    OutcomeUnknown,
    PostedDocument,
    RejectedByErp,
)
from retail_assets.sandbox import odoo_data
from tests.erp.books import DE, US, entry, line
from tests.erp.odoo_site import KEY, Odoo, running_odoo, settings_for

FEE = line("6100", debit="1")


@pytest.fixture(scope="module", params=["jsonrpc", "json2"])
def server(request: pytest.FixtureRequest) -> Iterator[Odoo]:
    with running_odoo(api=request.param) as server:
        yield server


@pytest.fixture
def odoo(server: Odoo) -> Odoo:
    return server.renewed()


@pytest.fixture(scope="module")
def rpc_server() -> Iterator[Odoo]:
    with running_odoo() as server:
        yield server


@pytest.fixture
def rpc(rpc_server: Odoo) -> Odoo:
    return rpc_server.renewed()


def read(odoo: Odoo, document: str) -> PostedDocument:
    return odoo.poster.read_back([document])[document]


def hooked(odoo: Odoo, wanted: str, before: Callable[[], object]) -> OdooPoster:
    """A poster that lets something happen just before it calls the method ``wanted``."""

    class Client(OdooClient):
        def change(self, model: str, method: str, *arguments: Any, **named: Any) -> Any:
            if method == wanted:
                before()
            return super().change(model, method, *arguments, **named)

    return OdooPoster(Client(settings_for(odoo.url)), base_url=odoo.url, journal="WEB")


def test_what_is_posted_is_what_was_intended(odoo: Odoo) -> None:
    """The whole way: post, find by key, read back, compare."""
    foreign = line("1251", debit="100", currency="EUR", rate="1.08735")
    rounding = replace(line("4000", currency="EUR"), base_credit=Decimal("0.01"))
    intended = [entry(), entry("fx#1", foreign, line("4000", credit="108.73"), rounding)]
    documents = odoo.poster.post(intended)
    keys = [each.key for each in intended]
    assert odoo.poster.look_up([*keys, "another#1"]) == dict(zip(keys, documents, strict=True))
    found = odoo.poster.read_back([*documents, "4711", "no number"])
    assert [differences(each, found[document]) for each, document in zip(intended, documents, strict=True)] == [[], []]
    assert found.keys() == set(documents)
    lines = {(each.currency_code, each.debit, each.base_debit) for each in found[documents[1]].lines}
    assert ("EUR", Decimal(100), Decimal("108.74")) in lines
    assert (
        odoo.poster.document_url(documents[0]) == f"{odoo.url}/web#id={documents[0]}&model=account.move&view_type=form"
    )
    assert odoo.moves()[0]["ref"] == f"{entry().key}: Sale 1001"


def test_a_cost_centre_is_an_analytic_account(odoo: Odoo) -> None:
    """The line came without it, with one of another company, or with one of two that have the same reference."""
    centres = {code: odoo.data.add("account.analytic.account", code=code, name=code, company_id=odoo.ids[company])
               for company, code in ((US, "K1"), (DE, "K2"))}  # fmt: skip
    for name in ("Twice", "Twin"):
        odoo.data.add("account.analytic.account", code="K3", name=name)
    sale = (line("1250", debit="10"), replace(line("4000", credit="10"), cost_centre="K1"))
    (document,) = odoo.poster.post([entry("centre#1", *sale)])
    sent = [each["analytic_distribution"] for each in odoo.data.records["account.move.line"].values()
            if each["credit"] and each["move_id"] == int(document)]  # fmt: skip
    assert sent == [{str(centres["K1"]): 100}]
    assert differences(entry("centre#1", *sale), read(odoo, document)) == []
    for wrong, words in (("K2", "no analytic account"), ("K3", "several analytic accounts")):
        with pytest.raises(RejectedByErp, match=words):
            odoo.poster.post([entry("centre#2", sale[0], replace(sale[1], cost_centre=wrong))])


@settings(max_examples=30)
@given(st.lists(st.integers(1, 10**13), min_size=1, max_size=4))
def test_amounts_arrive_digit_for_digit(cents: list[int]) -> None:
    """A float on the way would change large amounts; the books would differ by a cent from the evidence."""
    lines = [line("1100", debit=str(Decimal(amount).scaleb(-2))) for amount in cents]
    lines.append(line("4000", credit=str(Decimal(sum(cents)).scaleb(-2))))
    intended = entry(f"exact/{cents}"[:100].replace(" ", "") + "#1", *lines)
    odoo = _SHARED[0]
    document = odoo.poster.look_up([intended.key]).get(intended.key) or odoo.poster.post([intended])[0]
    assert differences(intended, read(odoo, document)) == []


_SHARED: list[Odoo] = []


@pytest.fixture(scope="module", autouse=True)
def _shared() -> Iterator[None]:
    with running_odoo() as odoo:
        _SHARED.append(odoo)
        yield
        _SHARED.clear()


def test_a_batch_takes_one_call_for_each_entry_and_a_dozen_more(odoo: Odoo) -> None:
    """Looking something up for each line would take longer than all the rest."""
    entries = [entry(f"e{number}#1") for number in range(20)]
    http = odoo.poster._client._http  # pyright: ignore[reportAttributeAccessIssue]
    before = http.requests
    assert odoo.poster.look_up([each.key for each in entries]) == {}
    assert len(odoo.poster.read_back(odoo.poster.post(entries))) == 20
    assert http.requests - before <= 20 + 16


def test_load_never_meets_a_posted_entry(odoo: Odoo) -> None:
    """Trap 1 and 2: load() adds lines to a posted entry, or rewrites them, and says nothing."""
    (document,) = odoo.poster.post([entry()])
    with pytest.raises(KeyAlreadyUsed, match="is posted"):
        odoo.poster.post([entry("b#1"), replace(entry(), posting_date=date(2026, 4, 1))])
    assert differences(entry(), read(odoo, document)) == []
    assert [len(odoo.lines(move["id"])) for move in odoo.moves("posted")] == [3]


def test_a_key_that_is_posted_between_look_up_and_claim(rpc: Odoo) -> None:
    """Two installations with one Odoo: what load() found is read before a line is written."""
    slow = hooked(rpc, "load", lambda: rpc.poster.post([entry()]))
    with pytest.raises(KeyAlreadyUsed, match="is posted"):
        slow.post([entry()])
    (move,) = rpc.moves()
    assert differences(entry(), read(rpc, str(move["id"]))) == []
    slow.close()


def test_lines_that_arrive_after_the_posting_are_refused(rpc: Odoo) -> None:
    """A request that a proxy held back must not add its lines to the entry that a retry has posted."""

    def overtaken() -> None:
        (move,) = rpc.moves("draft")
        lines = [[0, 0, rpc.poster._line_of(entry(), each, rpc.poster._company([entry()]))] for each in entry().lines]
        rpc.poster._require_currencies({"USD"})
        rpc.client.change("account.move", "write", [move["id"]], {"vals": {"line_ids": lines}})
        rpc.client.change("account.move", "action_post", [move["id"]], {})

    rpc.poster._require_currencies({"USD"})
    late = hooked(rpc, "write", overtaken)
    with pytest.raises(KeyAlreadyUsed, match="posted journal item"):
        late.post([entry()])
    (move,) = rpc.moves()
    assert differences(entry(), read(rpc, str(move["id"]))) == []
    late.close()


def test_the_numbering_is_left_to_odoo(odoo: Odoo) -> None:
    """Trap 3: a name of our own would be where the journal's numbering goes on from."""
    odoo.poster.post([entry("a#1"), entry("b#1")])
    odoo.poster.post([entry("c#1")])
    assert [move["name"] for move in odoo.moves()] == [f"WEB/2026/03/{number:04}" for number in (1, 2, 3)]


@pytest.mark.parametrize("lock", ["fiscalyear_lock_date", "period_lock_date"])
def test_nothing_is_posted_into_a_locked_period(odoo: Odoo, lock: str) -> None:
    """Trap 4: Odoo moves the entry to a later month without a word, or lets an adviser post where nobody should."""
    odoo.lock(**{lock: "2026-03-31"})
    with pytest.raises(RejectedByErp, match="locked up to 2026-03-31") as refusal:
        odoo.poster.post([entry("b#1", day=date(2026, 4, 1)), entry()])
    assert refusal.value.code == "LockedPeriod"
    assert odoo.moves() == []
    assert odoo.poster.books_closed_until(US) == date(2026, 3, 31)
    assert odoo.poster.books_closed_until(DE) is None
    assert odoo.poster.post([entry("b#1", day=date(2026, 4, 1))])


def test_a_period_that_is_locked_while_we_post_shows_as_another_date(rpc: Odoo) -> None:
    """Trap 4 between our look at the locks and the posting: Odoo names no error, so the date must be compared."""
    unlucky = hooked(rpc, "action_post", lambda: rpc.lock(fiscalyear_lock_date="2026-03-31"))
    (document,) = unlucky.post([entry()])
    assert [str(flaw) for flaw in differences(entry(), read(rpc, document))] == [
        "posting_date: intended 2026-03-15, posted 2026-04-30"
    ]
    unlucky.close()


def test_a_branch_shares_accounts_and_locks(rpc: Odoo) -> None:
    """Accounts, journal and lock dates of a branch are those of the company above it."""
    rpc.data.add("res.company", name="Branch", currency_id=rpc.ids["USD"], parent_id=rpc.ids[US])
    assert rpc.poster.post([replace(entry(), company="Branch")])
    rpc.lock(fiscalyear_lock_date="2026-03-31")
    assert rpc.poster.books_closed_until("Branch") == date(2026, 3, 31)


def test_accounts_that_companies_share(rpc: Odoo, monkeypatch: pytest.MonkeyPatch) -> None:
    """From series 18 on an account names its companies, and is archived, no longer deprecated."""
    shared: dict[str, str] = {**odoo_data.MODELS["account.account"], "company_ids": "*res.company", "active": "boolean"}
    del shared["company_id"], shared["deprecated"]
    monkeypatch.setitem(odoo_data.MODELS, "account.account", shared)  # pyright: ignore[reportArgumentType]
    for identity, account in rpc.data.records["account.account"].items():
        active = account["code"] != "6100"
        rpc.data.change("account.account", identity, company_ids=[account["company_id"]], active=active)
    poster = odoo_poster(settings_for(rpc.url))
    assert poster.post([entry("a#1", line("1100", debit="1"), line("4000", credit="1"))])
    with pytest.raises(RejectedByErp, match="code 6100"):
        poster.post([entry("b#1", FEE, line("4000", credit="1"))])
    poster.close()


def _refused() -> Mapping[str, tuple[JournalEntry, str, str]]:
    def credit(account: str) -> JournalEntry:
        return entry("a#1", FEE, line(account, credit="1"))

    return {
        "unbalanced": (entry("a#1", FEE, line("1250", credit="2")), "UserError", "total of debits equals"),
        "unknown account": (credit("9999"), "UnknownAccount", "code 9999"),
        "deprecated account": (credit("9000"), "DisabledAccount", "code 9000"),
        "company": (replace(entry("a#1"), company="Nobody Inc"), "UnknownCompany", "no company Nobody Inc"),
        "books": (replace(entry("a#1"), company=DE), "BaseCurrency", "are in EUR, the entry is in USD"),
        "space": (entry("a 1#1"), "KeyWithSpace", "no external id may have"),
        "account currency": (credit("1251"), "AccountCurrency", "cannot hold a line in USD"),
        "inactive currency": (
            entry("a#1", line("1250", debit="1", currency="GBP"), line("4000", credit="1")),
            "UnknownCurrency",
            "GBP is not active",
        ),
        "long amount": (
            entry("a#1", line("1250", debit="99999999999999.99"), line("4000", credit="99999999999999.99")),
            "AmountTooLong",
            "15 digits",
        ),
        "sides": (
            entry(
                "a#1",
                replace(line("1250", currency="EUR", debit="1"), base_debit=Decimal(0), base_credit=Decimal(1)),
                FEE,
            ),
            "ValidationError",
            "secondary currency must be positive",
        ),
    }


@pytest.mark.parametrize("case", _refused())
def test_refusals_are_in_words_and_leave_nothing(case: str) -> None:
    """The controller reads the reason; of a refused batch nothing may stay, neither drafts nor claims."""
    intended, code, words = _refused()[case]
    odoo = _SHARED[0]
    before = (odoo.data.records["account.move"].keys() | set(), odoo.data.records["ir.model.data"].keys() | set())
    companions = [entry("companion#1")] if intended.company == US else []
    with pytest.raises(RejectedByErp) as refusal:
        odoo.poster.post([*companions, intended])
    assert refusal.value.code == code
    assert words in refusal.value.message
    assert refusal.value.advice
    assert (odoo.data.records["account.move"].keys(), odoo.data.records["ir.model.data"].keys()) == before


def test_an_account_that_was_deleted_meanwhile(rpc: Odoo) -> None:
    """Odoo answers with a text about deletions and archives, which sends people to the wrong place."""
    made = rpc.data.add("account.account", code="7000", name="New", company_id=rpc.ids[US], deprecated=False)
    late = hooked(rpc, "write", lambda: rpc.data.delete("account.account", made))
    with pytest.raises(RejectedByErp, match="does not exist any more") as refusal:
        late.post([entry("a#1", FEE, line("7000", credit="1"))])
    assert refusal.value.code == "UnknownAccount"
    assert rpc.moves() == []
    late.close()


def test_an_account_made_in_the_meantime_is_found(odoo: Odoo) -> None:
    """A poster that trusts its cache would refuse the account that finance has just made."""
    intended = entry("new#1", FEE, line("7000", credit="1"))
    with pytest.raises(RejectedByErp, match="7000"):
        odoo.poster.post([intended])
    odoo.data.add("account.account", code="7000", name="New", company_id=odoo.ids[US], deprecated=False)
    assert odoo.poster.post([intended])


def test_a_field_that_this_odoo_lacks(rpc: Odoo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown fields are an error in Odoo, and one that says what to do."""
    fields = {name: kind for name, kind in odoo_data.MODELS["account.move.line"].items() if name != "tax_ids"}
    monkeypatch.setitem(odoo_data.MODELS, "account.move.line", fields)  # pyright: ignore[reportArgumentType]
    with pytest.raises(RejectedByErp, match="Invalid field 'tax_ids'") as refusal:
        rpc.poster.post([entry()])
    assert "lacks a field" in refusal.value.advice
    assert rpc.moves() == []


LOST = [
    ({"at": "before_commit", "action": "drop"}, False),
    ({"at": "after_commit", "action": "drop"}, True),
    ({"at": "before_commit", "action": "status", "status": 502}, False),
    ({"at": "after_commit", "action": "status", "status": 504}, True),
    ({"at": "after_commit", "action": "status", "status": 200}, True),
    ({"at": "after_commit", "action": "hang", "seconds": 0.6}, True),
]


@pytest.mark.parametrize("method", ["load", "write", "action_post"])
@pytest.mark.parametrize(("fault", "arrived"), LOST)
def test_a_lost_answer_is_an_unknown_outcome(rpc: Odoo, method: str, fault: dict[str, object], arrived: bool) -> None:
    """Taken for a failure a lost answer is sent again, taken for a success an entry is missing; both go on from it."""
    impatient = odoo_poster(settings_for(rpc.url, timeout_seconds=0.3))
    rpc.fault(f"account.move.{method}", **fault)
    entries = [entry("a#1"), entry("b#1")]
    with pytest.raises(OutcomeUnknown):
        impatient.post(entries)
    found = rpc.poster.look_up(["a#1", "b#1"])
    # One without lines is a claim only: it is filled when it is sent again.
    assert set(found) == {"load": set(), "write": {"a#1"} if arrived else set()}.get(method, {"a#1", "b#1"})
    states = {document.state for document in rpc.poster.read_back(list(found.values())).values()}
    assert states == ({"posted" if method == "action_post" and arrived else "draft"} if found else set())
    for document in found.values() if states == {"draft"} else ():
        rpc.poster.finish(document)
    left = [each for each in entries if each.key not in found]
    if left:
        rpc.poster.post(left)
    found = rpc.poster.look_up(["a#1", "b#1"])
    back = rpc.poster.read_back(list(found.values()))
    assert [differences(each, back[found[each.key]]) for each in entries] == [[], []]
    assert len(rpc.moves()) == 2
    impatient.close()


def test_trouble_after_the_claim_is_an_unknown_outcome(odoo: Odoo) -> None:
    """Taken for "nothing was sent", other content would be sent under a key that has a draft already."""
    odoo.fault("account.move.action_post", action="status", status=429, retry_after=7)
    with pytest.raises(OutcomeUnknown, match="429"):
        odoo.poster.post([entry()])
    assert odoo.poster.look_up([entry().key])


def test_a_refusal_whose_drafts_cannot_be_removed_is_an_unknown_outcome(odoo: Odoo) -> None:
    """Taken for a clean refusal, the next revision of the entry would meet the draft of this one."""
    odoo.fault("account.move.unlink", action="drop")
    with pytest.raises(OutcomeUnknown, match="drafts of it are left"):
        odoo.poster.post([entry("a#1", FEE, line("1250", credit="2"))])


def test_a_draft_is_not_finished_in_a_locked_period(odoo: Odoo) -> None:
    """A crash before the close and a retry after it: the draft would be posted in a later month."""
    odoo.fault("account.move.action_post", action="drop")
    with pytest.raises(OutcomeUnknown):
        odoo.poster.post([entry()])
    (document,) = odoo.poster.look_up([entry().key]).values()
    odoo.lock(fiscalyear_lock_date="2026-03-31")
    with pytest.raises(RejectedByErp, match="locked up to"):
        odoo.poster.finish(document)
    assert odoo.moves() == []
    with pytest.raises(RejectedByErp, match="is gone"):
        odoo.poster.finish(document)


def test_an_entry_that_a_person_set_back_is_never_deleted(odoo: Odoo) -> None:
    """What was posted once has a number, and may be in a report by now."""
    (document,) = odoo.poster.post([entry()])
    odoo.client.change("account.move", "button_draft", [int(document)], {})
    odoo.lock(fiscalyear_lock_date="2026-03-31")
    with pytest.raises(RejectedByErp):
        odoo.poster.finish(document)
    assert read(odoo, document).state == "draft"


def test_a_draft_that_may_not_be_deleted(rpc: Odoo) -> None:
    """The first draft of a month has a number; once others follow, Odoo keeps it, and it must hold up nothing."""
    rpc.fault("account.move.write", action="drop")
    with pytest.raises(OutcomeUnknown):
        rpc.poster.post([entry("a#1")])
    rpc.poster.post([entry("b#1")])
    with pytest.raises(RejectedByErp, match="not balanced"):
        rpc.poster.post([entry("a#1", FEE, line("1250", credit="2"))])
    assert rpc.poster.look_up(["a#1"]) == {}
    moved = replace(entry("a#1"), posting_date=date(2026, 3, 20))
    (document,) = rpc.poster.post([moved])
    assert differences(moved, read(rpc, document)) == []
    assert [move["name"] for move in rpc.moves()] == ["WEB/2026/03/0001", "WEB/2026/03/0002"]


def test_what_arrives_late_changes_nothing(rpc: Odoo) -> None:
    """A proxy may hold a request back and deliver it after its key has been used for the next attempt."""
    sent: list[Any] = []

    class Client(OdooClient):
        def change(self, *arguments: Any, **named: Any) -> Any:
            sent.append((arguments, named))
            return super().change(*arguments, **named)

    first = OdooPoster(Client(settings_for(rpc.url)), base_url=rpc.url, journal="WEB")
    rpc.fault("account.move.write", action="drop")
    with pytest.raises(OutcomeUnknown):
        first.post([entry("a#1")])
    changed = entry("a#1", line("6100", debit="7"), line("1250", credit="7"), day=date(2026, 3, 20))
    (document,) = rpc.poster.post([changed])
    assert [arguments[1] for arguments, _ in sent] == ["load", "write"]
    for arguments, named in sent:
        with suppress(ErpRefusedError):
            rpc.client.change(*arguments, **named)
    assert differences(changed, read(rpc, document)) == []
    assert len(rpc.moves()) == 1
    first.close()


def test_somebody_else_is_claiming_the_key(rpc: Odoo, monkeypatch: pytest.MonkeyPatch) -> None:
    """load() reports a lost race as a message; it is no refusal of the entry."""
    words = "could not serialize access due to concurrent update\n"
    answer: Any = {"ids": False, "messages": [{"type": "error", "record": 0, "message": words}], "nextrow": 0}
    monkeypatch.setattr(rpc.poster._client, "change", lambda *_, **__: answer)
    with pytest.raises(KeyAlreadyUsed, match="claiming"):
        rpc.poster.post([entry()])
    answer = {"ids": [1, 2], "messages": []}
    with pytest.raises(OutcomeUnknown, match="not Odoo's answer"):
        rpc.poster.post([entry()])
    answer = {"ids": False, "messages": [{"type": "error", "message": "Value too\nlong"}]}
    with pytest.raises(RejectedByErp, match="Value too long"):
        rpc.poster.post([entry()])


def test_an_odoo_that_refuses_everything(odoo: Odoo) -> None:
    """Wrong credentials or too many requests are no fault of the entry: it must not be marked as refused."""
    stranger = odoo_poster(settings_for(odoo.url, api_key="wrong", api=odoo.erp.option("api")))
    with pytest.raises(ErpUnavailable, match="api_key"):
        stranger.check()
    stranger.close()
    odoo.fault("account.move.load", action="status", status=429, retry_after=7)
    with pytest.raises(ErpUnavailable) as busy:
        odoo.poster.post([entry()])
    assert busy.value.retry_after == 7
    odoo.fault("ir.model.data.search_read", action="status", status=200)
    with pytest.raises(ErpUnavailable):
        odoo.poster.look_up(["a#1"])
    gone = odoo_poster(settings_for("http://127.0.0.1:9"))
    with pytest.raises(ErpUnavailable):
        gone.look_up(["a#1"])
    gone.close()


def test_a_database_that_is_not_there(rpc: Odoo) -> None:
    """Odoo answers with psycopg2's words; nothing was refused for good."""
    lost = odoo_poster(settings_for(rpc.url, database="nodb"))
    with pytest.raises(ErpUnavailable, match="nodb"):
        lost.check()
    lost.close()


def test_what_is_missing_is_said_before_anything_is_posted() -> None:
    """Without the right to read external ids every retry would look as if nothing was there."""
    with running_odoo(prepared=False, forbidden={"ir.model.data"}) as odoo:
        (problem,) = odoo.poster.check()
        assert "external ids" in problem
    with running_odoo(prepared=False) as odoo:
        (problem,) = odoo.poster.check()
        assert "no active journal with the code WEB" in problem
        with pytest.raises(RejectedByErp, match="no active journal with the code WEB"):
            odoo.poster.post([entry()])
        odoo.poster.prepare()
        assert odoo.poster.check() == []
        odoo.poster.prepare()
        journals = odoo.data.records["account.journal"]
        assert [journal["company_id"] for journal in journals.values()] == [odoo.ids[US], odoo.ids[DE]]
        odoo.data.change("account.journal", 1, type="sale")
        (problem,) = odoo.poster.check()
        assert "of type sale" in problem
        for journal in journals:
            odoo.data.change("account.journal", journal, active=False)
        (problem,) = odoo.poster.check()
        assert "no active journal" in problem


def test_a_key_that_belongs_to_another_record(rpc: Odoo) -> None:
    """An external id of ours that names no entry is a clash, not an entry."""
    rpc.data.add("ir.model.data", module="retail_assets", name="a#1", model="res.company", res_id=1)
    with pytest.raises(RejectedByErp, match=r"record of res.company"):
        rpc.poster.look_up(["a#1"])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda odoo, move: odoo.data.change("account.move", move, state="cancel"), "state: intended posted"),
        (lambda odoo, move: odoo.data.delete("ir.model.data", 1), "key: intended"),
        (lambda odoo, move: odoo.data.change("account.move", move, company_id=odoo.ids[DE]), "company: intended"),
        (lambda odoo, move: odoo.data.change("account.move.line", 1, debit=33.34, amount_currency=33.34), "33.34 USD"),
        (lambda odoo, move: odoo.data.change("account.move.line", 1, currency_id=odoo.ids["EUR"]), "33.33 EUR"),
        (lambda odoo, move: odoo.data.delete("account.move.line", 1), "lines: intended 1100 debit 33.33"),
    ],
)
def test_drift_is_seen(rpc: Odoo, damage: Callable[[Odoo, int], None], words: str) -> None:
    """A posted entry of Odoo can be set back, edited and posted again under the same number."""
    (document,) = rpc.poster.post([entry()])
    damage(rpc, int(document))
    assert words in "; ".join(map(str, differences(entry(), read(rpc, document))))


def test_notes_between_the_lines_are_no_difference(rpc: Odoo) -> None:
    """People may add a note or a section to an entry; it moves no money."""
    (document,) = rpc.poster.post([entry()])
    rpc.data.add("account.move.line", move_id=int(document), display_type="line_note", name="checked", debit=0.0)
    assert differences(entry(), read(rpc, document)) == []


def test_entries_of_several_companies_are_no_batch(rpc: Odoo) -> None:
    """They would be dated by the locks and filled with the accounts of the first company."""
    with pytest.raises(ValueError, match="Lindenhof"):
        rpc.poster.post([entry("a#1"), replace(entry("b#1"), company=DE, base_currency_code="EUR")])


def test_the_poster_of_the_configuration(odoo: Odoo) -> None:
    """The factory must hand over database, journal and key module, or nothing is idempotent."""
    configured = settings_for(odoo.url, key_module="shop_keys", journal="MISC", api=odoo.erp.option("api"))
    poster = poster_for(configured)
    poster.prepare()
    assert poster.check() == []
    assert poster.post([entry("configured#1")]) == list(poster.look_up(["configured#1"]).values())
    assert odoo.poster.look_up(["configured#1"]) == {}
    assert {record["module"] for record in odoo.data.records["ir.model.data"].values()} == {"shop_keys"}
    assert odoo.moves()[0]["name"].startswith("MISC/")
    poster.close()


def test_the_key_shows_nowhere(odoo: Odoo) -> None:
    """Messages end up in logs and in the outbox."""
    messages: list[str] = []
    for method in ("load", "write", "action_post"):
        odoo.fault(f"account.move.{method}", action="status", status=500)
        with pytest.raises(OutcomeUnknown) as unknown:
            odoo.poster.post([entry(f"{method}#1")])
        messages.append(str(unknown.value))
    assert KEY not in " ".join(messages)
