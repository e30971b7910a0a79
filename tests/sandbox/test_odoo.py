"""The simulated Odoo answers as a recorded Odoo 17 did; a kinder one would prove nothing."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from retail_assets.sandbox.odoo import OdooData, create_app, fill_books
from tests.support.server import running

KEY = "canary-key"


class Client:
    """Short ways to ask."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, service: str, method: str, *arguments: Any) -> dict[str, Any]:
        body = {"jsonrpc": "2.0", "method": "call", "id": 1,
                "params": {"service": service, "method": method, "args": arguments}}  # fmt: skip
        answer = requests.post(f"{self.url}/jsonrpc", json=body, timeout=10)
        assert answer.status_code == 200
        return answer.json()

    def execute(self, model: str, method: str, *arguments: Any, **named: Any) -> Any:
        answer = self.call("object", "execute_kw", "books", 2, KEY, model, method, arguments, named)
        assert "error" not in answer, answer
        return answer["result"]

    def refusal(self, model: str, method: str, *arguments: Any, **named: Any) -> tuple[str, str]:
        error = self.call("object", "execute_kw", "books", 2, KEY, model, method, arguments, named)["error"]
        assert (error["code"], error["message"]) == (200, "Odoo Server Error")
        assert set(error["data"]) == {"arguments", "context", "debug", "message", "name"}
        return error["data"]["name"], error["data"]["message"]


@pytest.fixture
def data() -> OdooData:
    return OdooData(forbidden={"sale.order"}, missing={"stock.lot"})


@pytest.fixture
def odoo(data: OdooData) -> Iterator[Client]:
    with running(create_app(data, key=KEY, series=19)) as url:
        yield Client(url)


def test_errors_are_recorded_ones(odoo: Client) -> None:
    """Errors come with HTTP 200, and a refused log-in is no error."""
    assert odoo.call("common", "authenticate", "books", "reader", "wrong", {})["result"] is False
    assert odoo.call("common", "authenticate", "books", "reader", KEY, {})["result"] == 2
    wrong = odoo.call("object", "execute_kw", "books", 2, "wrong", "account.move", "search", [[]], {})
    assert wrong["error"]["data"]["name"] == "odoo.exceptions.AccessDenied"
    nowhere = odoo.call("common", "authenticate", "nodb", "reader", KEY, {})
    assert nowhere["error"]["data"]["name"] == "psycopg2.OperationalError"
    assert odoo.refusal("account.move", "search_read", [], fields=["nosuch"]) == (
        "builtins.ValueError",
        "Invalid field 'nosuch' on model 'account.move'",
    )
    assert odoo.refusal("account.move", "_post")[0] == "odoo.exceptions.AccessError"
    assert odoo.refusal("account.journal", "read", [99999]) == (
        "odoo.exceptions.MissingError",
        "Record does not exist or has been deleted.\n(Record: account.journal(99999,), User: 2)",
    )
    assert odoo.refusal("stock.lot", "search", []) == ("odoo.exceptions.UserError", "Object stock.lot doesn't exist")
    assert odoo.refusal("sale.order", "search", [])[0] == "odoo.exceptions.AccessError"


def test_times_are_cut_to_seconds(odoo: Client, data: OdooData) -> None:
    """A record is found by write_date > its own value, and a line's change does not stamp its entry."""
    made = fill_books(data)
    (entry,) = odoo.execute("account.move", "read", [made["entry"]], fields=["write_date", "line_ids"])
    assert len(entry["write_date"]) == len("2026-11-23 03:37:27")
    later = [["id", "=", entry["id"]], ["write_date", ">", entry["write_date"]]]
    assert odoo.execute("account.move", "search", later) == [entry["id"]]
    before = data.records["account.move"][entry["id"]]["write_date"]
    data.change("account.move.line", entry["line_ids"][0], name="label")
    assert data.records["account.move"][entry["id"]]["write_date"] == before
    assert odoo.execute("account.move", "search", [["line_ids.name", "=", "label"]]) == [entry["id"]]


def test_values_are_odoos(odoo: Client, data: OdooData) -> None:
    """many2one as [id, name], nothing as false, floats as they come."""
    made = fill_books(data)
    fields = ["account_id", "debit", "currency_id", "amount_currency", "name"]
    lines = odoo.execute("account.move.line", "search_read", [["move_id", "=", made["entry"]]], fields=fields,
                         order="id asc", limit=2)  # fmt: skip
    assert lines[0]["account_id"] == [made["cash"], "1200 Bank"]
    assert (lines[0]["debit"], lines[0]["name"]) == (85.3, False)
    assert (lines[1]["currency_id"][1], lines[1]["amount_currency"]) == ("USD", 3.18)
    code, usage = "picking_type_id.code", "location_id.usage"
    domain = ["|", [code, "=", "outgoing"], "&", [code, "=", "incoming"], [usage, "=", "customer"]]
    assert odoo.execute("stock.picking", "search", domain) == [made["delivery"], made["return"]]


def test_json2_has_statuses(odoo: Client) -> None:
    """Odoo 19 answers with the plain result, and with HTTP statuses."""

    def post(model: str, key: str = KEY, **named: Any) -> requests.Response:
        headers = {"Authorization": f"bearer {key}", "X-Odoo-Database": "books"}
        return requests.post(f"{odoo.url}/json/2/{model}/search", json=named, headers=headers, timeout=10)

    assert post("account.move", domain=[]).json() == []
    assert post("account.move", key="wrong").status_code == 401
    assert post("sale.order", domain=[]).status_code == 403
    assert (post("stock.lot", domain=[]).status_code, post("stock.lot").json()["name"]) == (
        404, "odoo.exceptions.UserError",
    )  # fmt: skip


ENTRY = {"journal_id": 1, "date": "2024-03-15", "ref": "settl-1"}
AMOUNTS = ((1, "100"), (2, "2.5"), (3, "-102.5"))


@pytest.fixture
def books(odoo: Client, data: OdooData) -> Client:
    """Three accounts, a journal, and a database that keeps its books in dollars."""
    dollar, euro = data.add("res.currency", name="USD"), data.add("res.currency", name="EUR")
    company = data.add("res.company", name="My Company", currency_id=dollar)
    data.add("res.currency.rate", name="2024-01-01", currency_id=euro, company_id=company, inverse_company_rate=1.087)
    for code, name in (("101902", "Bank EUR"), ("620100", "PSP fees"), ("101901", "PSP clearing")):
        data.add("account.account", code=code, name=name, company_id=company, deprecated=False)
    data.add("account.journal", code="PSP", name="PSP settlements", type="general", company_id=company)
    return odoo


def lines_of(*amounts: tuple[int, float]) -> list[list[Any]]:
    """Commands that add a line for each account and dollar amount."""
    return [
        [0, 0, {"account_id": account, "debit": max(amount, 0.0), "credit": max(-amount, 0.0)}]
        for account, amount in amounts
    ]


def made(books: Client, *amounts: tuple[int, float], post: bool = False, **values: Any) -> int:
    """A new entry."""
    lines = lines_of(*(amounts or ((1, 100.0), (2, 2.5), (3, -102.5))))
    (move,) = books.execute("account.move", "create", [{**ENTRY, **values, "line_ids": lines}])
    if post:
        assert books.execute("account.move", "action_post", [move]) is False
    return move


def shown(books: Client, move: int, *fields: str) -> list[Any]:
    (record,) = books.execute("account.move", "read", [move], fields=fields)
    return [record[name] for name in fields]


def load(books: Client, key: str, *amounts: tuple[int, str], line_ids: bool) -> dict[str, Any]:
    """An entry through load(), with or without external ids on its lines."""
    columns = ["id", "journal_id/.id", "date", "ref", "line_ids/account_id/.id", "line_ids/debit", "line_ids/credit"]
    rows = []
    for number, (account, amount) in enumerate(amounts):
        header = [f"psp.{key}", "1", "2024-03-15", key] if number == 0 else [""] * 4
        sides = ["0", amount.removeprefix("-")] if amount.startswith("-") else [amount, "0"]
        rows.append([*header, str(account), *sides, *([f"psp.{key}_{number}"] if line_ids else [])])
    return books.execute("account.move", "load", [*columns, "line_ids/id"][: 8 if line_ids else 7], rows)


def test_load_without_ids_on_the_lines_adds_them(books: Client) -> None:
    """Trap 1: three lines, six, and nine on the entry that is posted by then."""
    assert load(books, "trap1", *AMOUNTS, line_ids=False) == {"ids": [1], "messages": [], "nextrow": 0}
    assert load(books, "trap1", *AMOUNTS, line_ids=False)["ids"] == [1]
    assert len(shown(books, 1, "line_ids")[0]) == 6
    books.execute("account.move", "action_post", [1])
    assert load(books, "trap1", *AMOUNTS, line_ids=False)["ids"] == [1]
    assert len(shown(books, 1, "line_ids")[0]) == 9
    assert shown(books, 1, "state", "amount_total") == ["posted", 307.5]


def test_load_with_ids_on_the_lines_rewrites_a_posted_entry(books: Client) -> None:
    """Trap 2: no line is added, but the amounts of a posted entry change without a message."""
    load(books, "trap2", *AMOUNTS, line_ids=True)
    load(books, "trap2", *AMOUNTS, line_ids=True)
    assert [len(shown(books, 1, "line_ids")[0]), *shown(books, 1, "state")] == [3, "draft"]
    books.execute("account.move", "action_post", [1])
    assert load(books, "trap2", (1, "99"), (2, "0"), (3, "-99"), line_ids=True)["messages"] == []
    assert shown(books, 1, "state", "amount_total") == ["posted", 99.0]


def test_load_answers_with_messages(books: Client) -> None:
    """HTTP 200 and no error: only ids says that nothing was kept."""
    unknown = load(books, "bad", (1, "5"), (999999, "-5"), line_ids=True)
    unbalanced = load(books, "bad", (1, "5"), (2, "-4"), line_ids=True)
    assert (unknown["ids"], unbalanced["ids"]) == (False, False)
    assert unknown["messages"][0]["message"] == (
        "No matching record found for database id '999999' in field 'Journal Items/Account'"
    )
    assert "total of debits equals $\u00a05.00" in unbalanced["messages"][0]["message"]
    assert books.execute("account.move", "search_count", []) == books.execute("ir.model.data", "search_count", []) == 0


def test_a_claimed_draft_is_filled_and_posted_once(books: Client) -> None:
    """The one sequence that a crash may interrupt anywhere."""
    header = [["id", "journal_id/.id", "date", "ref"], [["psp.a", "1", "2024-03-15", "a"]]]
    for _ in range(2):
        assert books.execute("account.move", "load", *header)["ids"] == [1]
        books.execute("account.move", "write", [1], {"line_ids": [[5, 0, 0], *lines_of((1, 5.0), (3, -5.0))]})
    assert len(shown(books, 1, "line_ids")[0]) == 2
    books.execute("account.move", "action_post", [1])
    assert shown(books, 1, "state", "name") == ["posted", "PSP/2024/03/0001"]
    assert books.refusal("account.move", "action_post", [1]) == (
        "odoo.exceptions.UserError",
        "The entry PSP/2024/03/0001 (id 1) must be in draft.",
    )


def test_the_first_draft_of_a_month_is_numbered(books: Client) -> None:
    """So it cannot be deleted once others follow it."""
    first, second = made(books), made(books)
    assert (shown(books, first, "name"), shown(books, second, "name")) == (["PSP/2024/03/0001"], ["/"])
    books.execute("account.move", "action_post", [second])
    assert "not the last one in the chain" in books.refusal("account.move", "unlink", [first])[1]


def test_load_leaves_alone_what_it_must_not_update(books: Client) -> None:
    """What Odoo's own data files rely on: made with noupdate, an entry is not changed in mode update."""
    context = {"mode": "update", "noupdate": True}
    header = ["id", "journal_id/.id", "date", "ref"]
    for ref in ("first", "second"):
        row = ["psp.a", "1", "2024-03-15", ref]
        assert books.execute("account.move", "load", header, [row], context=context)["ids"] == [1]
    assert shown(books, 1, "ref") == ["first"]
    books.execute("account.move", "load", header, [["psp.a", "1", "2024-03-15", "third"]])
    assert shown(books, 1, "ref") == ["third"]


def test_a_name_of_ones_own(books: Client) -> None:
    """Trap 3: it is unique once posted only, and the numbering goes on from it."""
    made(books, post=True, name="PSPX/2024/1")
    twin = made(books, name="PSPX/2024/1")
    assert "same name already exists" in books.refusal("account.move", "action_post", [twin])[1]
    assert shown(books, made(books, post=True), "name") == ["PSPX/2024/2"]


def test_lock_dates(books: Client, data: OdooData) -> None:
    """Trap 4: the fiscal year's moves an entry without a word; the others do nothing for an adviser."""
    for lock, day in (
        ("period_lock_date", "2024-01-15"),
        ("fiscalyear_lock_date", "2024-02-29"),
        ("tax_lock_date", "2024-01-15"),
    ):
        data.change("res.company", 1, **{lock: "2024-01-31"})
        assert shown(books, made(books, post=True, date="2024-01-15"), "state", "date") == ["posted", day]
        data.change("res.company", 1, **{lock: None})


def test_refusals_of_entries(books: Client) -> None:
    """The recorded words, misleading ones included."""
    debit = {"debit": 1.0, "credit": 0.0}
    kind, words = books.refusal("account.move", "create", [{**ENTRY, "line_ids": lines_of((1, 111.41), (3, -110.41))}])
    assert kind == "odoo.exceptions.UserError"
    assert "The total of debits equals $\u00a0111.41 and the total of credits equals $\u00a0110.41." in words
    kind, words = books.refusal("account.move", "create", [{**ENTRY, "line_ids": lines_of((999, 1.0), (3, -1.0))}])
    assert kind == "odoo.exceptions.ValidationError"
    assert "requires the record being deleted" in words
    assert "account_move_line_account_id_fkey" in words
    assert books.refusal("account.move", "create", [{**ENTRY, "nosuch": 1}])[0] == "builtins.ValueError"
    wrong = [[0, 0, {"account_id": 1, **debit, "currency_id": 2, "amount_currency": -1.0}], *lines_of((3, -1.0))]
    assert "secondary currency" in books.refusal("account.move", "create", [{**ENTRY, "line_ids": wrong}])[1]
    assert books.refusal("account.move", "create", [{**ENTRY, "journal_id": 99999}])[0].endswith("MissingError")
    good = {**ENTRY, "line_ids": lines_of((1, 1.0), (3, -1.0))}
    books.refusal("account.move", "create", [good, {**ENTRY, "line_ids": lines_of((1, 1.0))}, good])
    assert books.execute("account.move", "search_count", []) == 0


def test_only_a_currency_amount_is_converted_at_odoos_rate(books: Client) -> None:
    """A base amount that is not sent is Odoo's own."""
    foreign = [[0, 0, {"account_id": account, "currency_id": 2, "amount_currency": amount}]
               for account, amount in ((1, 100.0), (3, -100.0))]  # fmt: skip
    (move,) = books.execute("account.move", "create", [{**ENTRY, "line_ids": foreign}])
    fields = ["debit", "credit", "amount_currency"]
    lines = books.execute("account.move.line", "search_read", [["move_id", "=", move]], fields=fields)
    assert [(each["debit"], each["credit"], each["amount_currency"]) for each in lines] == [
        (108.7, 0.0, 100.0),
        (0.0, 108.7, -100.0),
    ]


def test_what_may_be_done_to_a_posted_entry(books: Client, data: OdooData) -> None:
    """Its reference may change and it may go back to a draft; it cannot be deleted, nor its lines taken away."""
    move = made(books, post=True)
    (first, *_) = shown(books, move, "line_ids")[0]
    assert books.execute("account.move", "write", [move], {"ref": "changed"}) is True
    broken = books.refusal("account.move", "write", [move], {"line_ids": [[1, first, {"debit": 1.0}]]})
    assert "The move (PSP/2024/03/0001 (changed)) is not balanced." in broken[1]
    emptied = books.refusal("account.move", "write", [move], {"line_ids": [[5, 0, 0], *lines_of((1, 1.0), (3, -1.0))]})
    assert emptied[1].startswith("You can't delete a posted journal item.")
    assert books.refusal("account.move", "unlink", [move])[1].startswith("You can't delete a posted journal item.")
    assert books.execute("account.move", "button_draft", [move]) is None
    books.execute("account.move", "action_post", [move])
    assert shown(books, move, "name", "posted_before") == ["PSP/2024/03/0001", True]
    data.change("account.journal", 1, restrict_mode_hash_table=True)
    assert "already hashed" in books.refusal("account.move", "write", [move], {"line_ids": [[1, first, {}]]})[1]
    assert "strict mode" in books.refusal("account.move", "button_draft", [move])[1]


def test_an_external_id_is_unique(books: Client, data: OdooData) -> None:
    """What makes it a key; and it goes with its record."""
    move = made(books)
    record = {"module": "psp", "name": "claim", "model": "account.move", "res_id": move}
    books.execute("ir.model.data", "create", [record])
    kind, words = books.refusal("ir.model.data", "create", [record])
    assert kind == "odoo.exceptions.ValidationError"
    assert "ir_model_data_module_name_uniq_index" in words
    assert "cannot contain spaces" in books.refusal("ir.model.data", "create", [{**record, "name": "a b"}])[1]
    assert books.execute("account.move", "unlink", [move]) is True
    assert data.records["ir.model.data"] == data.records["account.move.line"] == {}
    assert books.refusal("res.partner", "action_post", [])[0] == "builtins.AttributeError"
