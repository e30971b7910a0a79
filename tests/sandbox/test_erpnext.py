"""The simulated ERPNext answers as a recorded ERPNext 15 did; a kinder one would prove nothing."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from retail_assets.sandbox.erp_seed import ShippedLine, add_deliveries
from retail_assets.sandbox.erpnext import create_app
from tests.erp.books import KEY, SECRET, SEED, US
from tests.support.server import running

TOKEN = {"Authorization": f"token {KEY}:{SECRET}"}
DR, CR = "debit_in_account_currency", "credit_in_account_currency"


class Site:
    """A running site and short ways to ask it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.headers.update(TOKEN)

    def call(self, method: str, path: str, body: Any = None, **params: Any) -> tuple[int, Any]:
        params = {name: value if isinstance(value, str | int) else json.dumps(value) for name, value in params.items()}
        answer = self._session.request(method, f"{self.url}/api/{path}", json=body, params=params, timeout=10)
        return answer.status_code, json.loads(answer.content, parse_float=Decimal)

    def get(self, path: str, **params: Any) -> Any:
        status, body = self.call("GET", path, **params)
        assert status == 200, body
        return body.get("data", body.get("message"))

    def post(self, **changes: Any) -> dict[str, Any]:
        status, body = self.call("POST", "resource/Journal Entry", journal_entry(**changes))
        assert status == 200, body
        return body["data"]

    def refusal(self, method: str, path: str, body: Any) -> tuple[int, str, str]:
        """Status, exception type and message, unwrapped as a client has to do it."""
        status, answer = self.call(method, path, body)
        messages = [json.loads(text)["message"] for text in json.loads(answer.get("_server_messages", "[]"))]
        assert answer["exception"].split(":")[0].endswith(answer["exc_type"])
        assert json.loads(answer["exc"])
        return status, answer["exc_type"], " ".join(messages)

    def fault(self, **fault: Any) -> None:
        assert self._session.put(f"{self.url}/_sandbox/erp_faults", json=[fault], timeout=10).status_code == 200

    def close(self) -> None:
        self._session.close()


def account(name: str, debit: Any = 0, credit: Any = 0, **more: Any) -> dict[str, Any]:
    return {"account": f"{name} - CP", DR: debit, CR: credit, **more}


FEE, CLEARING, EUR = "6100 - Payment Fees", "1250 - Stripe Clearing", "1251 - Stripe Clearing EUR"


def journal_entry(**changes: Any) -> dict[str, Any]:
    plain = {
        "company": US,
        "posting_date": "2026-03-15",
        "docstatus": 1,
        "accounts": [account(FEE, debit=2.5), account(CLEARING, credit=2.5)],
    }
    return plain | changes


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "erp.sqlite"


@pytest.fixture
def site(database: Path) -> Iterator[Site]:
    app = create_app(database, SEED, KEY, SECRET)
    with running(app) as url:
        site = Site(url)
        yield site
        site.close()
    app.state.site.close()


def make_unique(site: Site) -> None:
    field = {"dt": "Journal Entry", "label": "Platform ref", "fieldtype": "Data", "unique": 1, "no_copy": 1}
    status, body = site.call("POST", "resource/Custom Field", field)
    assert (status, body["data"]["name"]) == (200, "Journal Entry-platform_ref")


def test_login(site: Site) -> None:
    """Wrong and missing tokens are told apart, as the real one does."""
    assert site.get("method/frappe.auth.get_logged_user") == "Administrator"
    url = f"{site.url}/api/resource/Company"
    wrong = requests.get(url, headers={"Authorization": f"token {KEY}:no"}, timeout=10)
    assert (wrong.status_code, wrong.json()["exc_type"]) == (401, "AuthenticationError")
    assert wrong.json()["exception"] == "frappe.exceptions.AuthenticationError"
    missing = requests.get(url, timeout=10)
    assert (missing.status_code, missing.json()["exc_type"]) == (403, "PermissionError")


def test_create_and_submit_in_one_call(site: Site) -> None:
    """One transaction: the numbers, the totals and the general ledger are there at once."""
    make_unique(site)
    posted = site.post(platform_ref="settl-1")
    year = datetime.now(UTC).year
    assert posted["name"] == f"ACC-JV-{year}-00001"
    assert (posted["docstatus"], posted["platform_ref"], posted["difference"]) == (1, "settl-1", 0)
    assert posted["creation"] == posted["modified"]
    assert len(posted["modified"]) == len("2026-11-23 03:29:21.561275")
    rows = site.get(
        "resource/GL Entry", fields=["account", "debit", "credit"], filters=[["voucher_no", "=", posted["name"]]]
    )
    assert sorted((row["account"], row["debit"], row["credit"]) for row in rows) == [
        ("1250 - Stripe Clearing - CP", 0, Decimal("2.5")),
        ("6100 - Payment Fees - CP", Decimal("2.5"), 0),
    ]


def test_a_unique_key_takes_one_document(site: Site) -> None:
    """The whole of exactly-once rests on this answer, also after a cancellation."""
    make_unique(site)
    first = site.post(platform_ref="k")
    refused = (417, "UniqueValidationError", "Platform ref must be unique")
    path = "resource/Journal Entry"
    assert site.refusal("POST", path, journal_entry(platform_ref="k")) == refused
    _, body = site.call("POST", path, journal_entry(platform_ref="k"))
    assert "Duplicate entry 'k' for key 'platform_ref'" in body["exception"]
    assert site.call("PUT", f"{path}/{first['name']}", {"docstatus": 2})[1]["data"]["docstatus"] == 2
    assert site.refusal("POST", path, journal_entry(platform_ref="k")) == refused
    # The refused ones took no number, and entries without a key do not clash with each other.
    assert [site.post()["name"][-5:], site.post()["name"][-5:]] == ["00002", "00003"]


def test_unknown_fields_are_ignored_without_a_word(site: Site) -> None:
    """That is how a misspelt key field ends in two documents."""
    names = {site.post(platform_ref="k")["name"] for _ in range(2)}
    assert len(names) == 2
    assert "platform_ref" not in site.get(f"resource/Journal Entry/{names.pop()}")


def test_base_amounts_are_recomputed(site: Site) -> None:
    """Sent base amounts are ignored; three lines that add up in EUR need not add up in USD."""
    posted = site.post(
        multi_currency=1,
        accounts=[
            account(EUR, debit=100, exchange_rate=1.087, debit_ignored=1, debit_in_company=5) | {"debit": 999},
            account(CLEARING, credit=108.7),
        ],
    )
    assert [row["debit"] for row in posted["accounts"]] == [Decimal("108.7"), 0]
    thirds = [account(EUR, debit=amount, exchange_rate=1.08735) for amount in (33.33, 33.33, 33.34)]
    entry = journal_entry(multi_currency=1, accounts=[*thirds, account(EUR, credit=100, exchange_rate=1.08735)])
    message = "Total Debit must be equal to Total Credit. The difference is -0.01"
    assert site.refusal("POST", "resource/Journal Entry", entry) == (417, "ValidationError", message)


def test_a_foreign_line_without_a_rate(site: Site) -> None:
    """It takes the newest Currency Exchange up to that day, or 1.0, and says nothing."""
    rows = [account(EUR, debit=100), account(EUR, credit=100)]
    rates = {}
    for day in ("2025-12-31", "2026-03-15", "2026-07-01"):
        posted = site.post(multi_currency=1, posting_date=day, accounts=rows)
        rates[day] = {row["exchange_rate"] for row in posted["accounts"]}
    assert rates == {"2025-12-31": {1}, "2026-03-15": {Decimal("1.087")}, "2026-07-01": {Decimal("1.1")}}


REFUSALS = {
    "unbalanced": (
        {"accounts": [account(FEE, debit=2), account(CLEARING, credit=1)]},
        "ValidationError",
        "Total Debit must be equal to Total Credit. The difference is 1.00",
    ),
    "unknown account": (
        {"accounts": [account(FEE, debit=1), account("Nope", credit=1)]},
        "LinkValidationError",
        "Could not find Row #2: Account: Nope - CP",
    ),
    "another company's account": (
        {"accounts": [account(FEE, debit=1), {"account": "1250 - Stripe Clearing - LH", CR: 1}]},
        "ValidationError",
        f"Account 1250 - Stripe Clearing - LH does not belong to company: {US}",
    ),
    "no party": (
        {"accounts": [account("1100 - Web Customers", debit=1), account(CLEARING, credit=1)]},
        "ValidationError",
        "Row 1: Party Type and Party is required for Receivable / Payable account 1100 - Web Customers - CP",
    ),
    "unknown party": (
        {
            "accounts": [
                account("1100 - Web Customers", debit=1, party_type="Customer", party="X"),
                account(FEE, credit=1),
            ]
        },
        "LinkValidationError",
        "Could not find Row #1: Party: X",
    ),
    "one currency only": (
        {"accounts": [account(EUR, debit=1), account(EUR, credit=1)]},
        "ValidationError",
        "Please check Multi Currency option to allow accounts with other currency",
    ),
    "no fiscal year": (
        {"posting_date": "2019-03-15"},
        "FiscalYearError",
        f"Date 03-15-2019 is not in any active Fiscal Year for <strong>{US}</strong>",
    ),
    "zero line": (
        {"accounts": [account(FEE), account(CLEARING)]},
        "ValidationError",
        "Row 1: Both Debit and Credit values cannot be zero",
    ),
    "no company": ({"company": None}, "MandatoryError", "Error: Value missing for Journal Entry: Company"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_submit_leaves_nothing(site: Site, name: str) -> None:
    """Not even a draft, and no number is used up."""
    changes, kind, message = REFUSALS[name]
    assert site.refusal("POST", "resource/Journal Entry", journal_entry(**changes)) == (417, kind, message)
    assert site.get("resource/Journal Entry") == []
    assert site.get("resource/GL Entry") == []


def test_an_unbalanced_draft_is_taken(site: Site) -> None:
    """Only the submit checks; so a draft is no proof of anything."""
    draft = site.post(docstatus=0, accounts=[account(FEE, debit=2), account(CLEARING, credit=1)])
    assert site.get("resource/GL Entry") == []
    path = f"resource/Journal Entry/{draft['name']}"
    assert site.refusal("PUT", path, {"docstatus": 1})[1] == "ValidationError"
    assert site.call("PUT", path, {"accounts": [account(FEE, debit=2), account(CLEARING, credit=2)]})[0] == 200
    assert site.call("PUT", path, {"docstatus": 1})[1]["data"]["docstatus"] == 1
    assert len(site.get("resource/GL Entry")) == 2


def test_submitted_entries_are_not_edited(site: Site) -> None:
    """What was submitted stays as it is; drafts can go, and leave a trace."""
    make_unique(site)
    path = f"resource/Journal Entry/{site.post(platform_ref='k')['name']}"
    assert site.refusal("PUT", path, {"accounts": [{DR: 1}]})[1] == "MandatoryError"
    refusal = site.refusal("PUT", path, {"platform_ref": "other"})
    assert refusal[:2] == (417, "UpdateAfterSubmitError")
    assert "<strong>Platform ref</strong> after submission from <strong>k</strong>" in refusal[2]
    assert "Submitted Record cannot be deleted" in site.refusal("DELETE", path, None)[2]
    draft = site.post(docstatus=0)["name"]
    assert site.call("DELETE", f"resource/Journal Entry/{draft}") == (202, {"data": "ok"})
    deleted = site.get("resource/Deleted Document", fields=["deleted_doctype", "deleted_name"])
    assert deleted == [{"deleted_doctype": "Journal Entry", "deleted_name": draft}]


def test_cancelling_writes_reversed_lines(site: Site) -> None:
    """A loader that does not look at is_cancelled counts a cancelled entry."""
    name = site.post()["name"]
    site.call("POST", "method/frappe.client.cancel", {"doctype": "Journal Entry", "name": name})
    rows = site.get("resource/GL Entry", fields=["debit", "credit", "is_cancelled"])
    assert sorted((row["debit"], row["credit"], row["is_cancelled"]) for row in rows) == [
        (0, Decimal("2.5"), 1),
        (0, Decimal("2.5"), 1),
        (Decimal("2.5"), 0, 1),
        (Decimal("2.5"), 0, 1),
    ]


def test_frozen_and_closed_periods(site: Site) -> None:
    """Both refuse, neither moves the date."""
    settings = "resource/Accounts Settings/Accounts Settings"
    assert site.call("PUT", settings, {"acc_frozen_upto": "2026-03-31"})[0] == 200
    message = "You are not authorized to add or update entries before 03-31-2026"
    assert site.refusal("POST", "resource/Journal Entry", journal_entry()) == (417, "ValidationError", message)
    assert site.call("PUT", settings, {"acc_frozen_upto": None})[1]["data"]["acc_frozen_upto"] is None
    closed = [{"document_type": "Journal Entry", "closed": 1}]
    period = {"period_name": "P1", "company": US, "start_date": "2026-03-01", "end_date": "2026-03-31"}
    assert site.call("POST", "resource/Accounting Period", period | {"closed_documents": closed})[0] == 200
    status, kind, message = site.refusal("POST", "resource/Journal Entry", journal_entry())
    assert (status, kind) == (417, "ClosedAccountingPeriod")
    assert message.endswith("within the closed Accounting Period <strong>P1 - CP</strong>")
    assert site.post(posting_date="2026-04-01")


def test_names_are_taken_once(site: Site) -> None:
    """A second document of that name is a conflict of its own kind."""
    again = {"company": US, "account_number": "6100", "account_name": "Payment Fees"}
    refusal = site.refusal("POST", "resource/Account", again)
    assert refusal == (409, "DuplicateEntryError", "Account <strong>6100 - Payment Fees - CP</strong> already exists")
    assert site.refusal("GET", "resource/Journal Entry/ACC-JV-1", None)[:2] == (404, "DoesNotExistError")


def test_many_in_one_call(site: Site) -> None:
    """At most 200, and all or nothing."""
    make_unique(site)
    path = "method/frappe.client.insert_many"
    documents = [journal_entry(doctype="Journal Entry", platform_ref=f"k{number}") for number in range(3)]
    status, body = site.call("POST", path, {"docs": documents})
    assert (status, len(body["message"])) == (200, 3)
    fresh = journal_entry(doctype="Journal Entry", platform_ref="fresh")
    assert site.refusal("POST", path, {"docs": json.dumps([fresh, documents[0]])})[1] == "UniqueValidationError"
    assert site.get("resource/Journal Entry", filters=[["platform_ref", "=", "fresh"]]) == []
    message = "Only 200 inserts allowed in one request"
    assert site.refusal("POST", path, {"docs": [fresh] * 201}) == (417, "ValidationError", message)


def test_lists(site: Site) -> None:
    """Filters, order and pages are what an incremental loader stands on."""
    for number in range(25):
        site.post(
            user_remark=f"remark {number:02d}",
            accounts=[account(FEE, debit=number + 1), account(CLEARING, credit=number + 1)],
        )
    path = "resource/Journal Entry"
    assert len(site.get(path)) == 20
    assert set(site.get(path)[0]) == {"name"}
    everything = site.get(path, fields=["name", "modified"], order_by="modified asc, name asc", limit_page_length=0)
    assert len({row["modified"] for row in everything}) == 25
    assert everything == sorted(everything, key=lambda row: row["modified"])
    pages = [
        site.get(path, fields=["name"], order_by="modified asc, name asc", limit_start=start, limit_page_length=10)
        for start in (0, 10, 20)
    ]
    assert [row["name"] for page in pages for row in page] == [row["name"] for row in everything]
    # Exact for itself: nothing is newer than the newest.
    assert site.get(path, filters=[["modified", ">", everything[-1]["modified"]]]) == []
    assert len(site.get(path, filters=[["modified", ">=", everything[-1]["modified"]]])) == 1
    found: dict[str, list[Any]] = {
        "=": [["user_remark", "=", "REMARK 03"]],
        "!=": [["user_remark", "!=", "remark 03"]],
        "like": [["user_remark", "like", "%k 1%"]],
        "in": [["user_remark", "in", ["remark 01", "remark 02", "nothing"]]],
        "between": [["total_debit", "between", [9, 11]]],
        "<": [["Journal Entry", "total_debit", "<", 3]],
        "is": [["cheque_no", "is", "set"]],
    }
    counts = {name: len(site.get(path, filters=filters, limit_page_length=0)) for name, filters in found.items()}
    assert counts == {"=": 1, "!=": 24, "like": 10, "in": 2, "between": 3, "<": 2, "is": 0}
    assert site.get("method/frappe.client.get_count", doctype="Journal Entry", filters={"docstatus": 1}) == 25
    assert site.call("GET", path, filters=[["nothing", "=", 1]])[1]["exc_type"] == "DataError"
    assert site.call("GET", path, order_by="name; drop table x")[0] == 417


def test_the_seed(site: Site) -> None:
    """What the retailer's books hold before anything is posted."""
    assert [row["name"] for row in site.get("resource/Company", order_by="name asc")] == [US, "Lindenhof GmbH"]
    chart = site.get("resource/Account/1251 - Stripe Clearing EUR - CP")
    assert (chart["account_currency"], chart["account_number"], chart["is_group"]) == ("EUR", "1251", 0)
    rate = site.get("resource/Currency Exchange/2026-01-01-EUR-USD")
    assert rate["exchange_rate"] == Decimal("1.087")
    invoices = site.get("resource/Sales Invoice", fields=["*"], order_by="name asc")
    assert [row["name"][:9] for row in invoices] == ["ACC-SINV-"] * 2
    assert [row["status"] for row in invoices] == ["Unpaid", "Return"]
    assert invoices[1]["return_against"] == invoices[0]["name"]
    assert [row["grand_total"] for row in invoices] == [Decimal("120.5"), Decimal("-20.5")]


def test_the_answer_to_a_new_invoice_is_out_of_date(site: Site) -> None:
    """Only a fresh read tells status and outstanding amount."""
    invoice = {"company": US, "customer": "Wholesale Inc", "items": [{"qty": 2, "rate": 50}], "docstatus": 1}
    made = site.call("POST", "resource/Sales Invoice", invoice)[1]["data"]
    assert (made["status"], made["outstanding_amount"]) == ("Draft", 0)
    read = site.get(f"resource/Sales Invoice/{made['name']}")
    assert (read["status"], read["outstanding_amount"]) == ("Unpaid", 100)


def test_the_state_outlives_the_server(database: Path) -> None:
    """A restart must neither lose documents nor seed twice, nor use a number again."""
    moment = datetime(2026, 11, 5, 12, tzinfo=UTC)
    names, modified, companies = [], [], []
    for _ in range(2):
        app = create_app(database, SEED, KEY, SECRET, clock=lambda: moment)
        with running(app) as url:
            site = Site(url)
            names.append(site.post()["name"])
            modified = [row["modified"] for row in site.get("resource/Journal Entry", fields=["modified"])]
            companies = site.get("resource/Company")
            site.close()
        app.state.site.close()
    assert names == ["ACC-JV-2026-00001", "ACC-JV-2026-00002"]
    assert len(companies) == 2
    # With a clock that stands still, times still tell what came first.
    assert len(set(modified)) == 2
    assert all(text.startswith("2026-11-05 12:00:00.") for text in modified)


def test_faults(site: Site) -> None:
    """Each loses the answer at another point; what was committed stays."""
    url = f"{site.url}/api/resource/Journal Entry"

    def post() -> int:
        return requests.post(url, json=journal_entry(), headers=TOKEN, timeout=0.5).status_code

    site.fault(at="before_commit", action="drop", method="POST")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        post()
    assert len(site.get("resource/Journal Entry")) == 0
    site.fault(at="after_commit", action="drop", method="POST")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        post()
    assert len(site.get("resource/Journal Entry")) == 1
    site.fault(at="after_commit", action="hang", seconds=1, method="POST")
    with pytest.raises(requests.Timeout):
        post()
    site.fault(action="status", status=503, method="POST", path="Journal", skip=1, times=2, retry_after=3)
    assert [post() for _ in range(4)] == [200, 503, 503, 200]
    assert len(site.get("resource/Journal Entry")) == 4
    wrong = requests.put(f"{site.url}/_sandbox/erp_faults", json=[{"at": "nowhere"}], timeout=10)
    assert wrong.status_code == 400


def test_fast_enough_for_a_load_test(site: Site, record_property: Callable[[str, object], None]) -> None:
    """The simulated ERP must not be what limits a benchmark of the posting."""
    started = time.perf_counter()
    for _ in range(200):
        site.post()
    rate = 200 / (time.perf_counter() - started)
    record_property("entries_per_second", int(rate))
    assert rate > 50


def test_stock_follows_deliveries(tmp_path: Path) -> None:
    """A delivery takes from its Bin, a return gives back, and a cancelled one leaves marked movements on both sides."""
    lines = [
        ShippedLine(US, "1001", "MUG-1", 3, datetime(2026, 11, 3, 9, 30)),  # noqa: DTZ001 - the ERP's own time
        ShippedLine(US, "1001", "MUG-1", 1, datetime(2026, 11, 4, 9, 30), is_return=True),  # noqa: DTZ001
    ]
    seed = add_deliveries(SEED, lines, in_stock=10, reserved={"MUG-1": 4})
    app = create_app(tmp_path / "erp.sqlite", seed, KEY, SECRET, forbidden={"GL Entry"})
    with running(app) as url:
        site = Site(url)
        bins = ["item_code", "warehouse", "actual_qty", "reserved_qty", "projected_qty"]
        assert site.get("resource/Bin", fields=bins) == [
            {
                "item_code": "MUG-1",
                "warehouse": "Stores - CP",
                "actual_qty": 10,
                "reserved_qty": 4,
                "projected_qty": 6,
            }
        ]
        delivered, returned = site.get(
            "resource/Delivery Note", fields=["name", "is_return", "return_against", "po_no"], order_by="name asc"
        )
        assert (returned["return_against"], returned["po_no"]) == (delivered["name"], "1001")
        (item,) = site.get(f"resource/Delivery Note/{returned['name']}")["items"]
        assert (item["item_code"], item["qty"]) == ("MUG-1", -1)
        # Rows of a document are listed only for those who name it; what a role does not allow is refused.
        assert site.call("GET", "resource/Delivery Note Item", fields=["name"])[0] == 403
        assert len(site.get("resource/Delivery Note Item", fields=["name"], parent="Delivery Note")) == 2
        status, refusal = site.call("GET", "resource/GL Entry", fields=["name"])
        assert (status, refusal["exc_type"]) == (403, "PermissionError")
        site.call("PUT", f"resource/Delivery Note/{delivered['name']}", {"docstatus": 2})
        moves = site.get(
            "resource/Stock Ledger Entry",
            fields=["actual_qty", "is_cancelled"],
            filters=[["voucher_no", "=", delivered["name"]]],
            order_by="name asc",
        )
        assert [(move["actual_qty"], move["is_cancelled"]) for move in moves] == [(-3, 1), (3, 1)]
        assert site.get("resource/Bin", fields=["actual_qty"]) == [{"actual_qty": 13}]
        site.close()
    app.state.site.close()
