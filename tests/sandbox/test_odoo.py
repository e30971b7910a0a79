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
