"""The simulated Stripe must page, filter and refuse as the real one does."""

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from retail_assets.sandbox.profiles import GATEWAYS
from retail_assets.sandbox.server import RunningServer, running_server
from retail_assets.sandbox.storage import change_state
from retail_assets.sandbox.stripe import REPORT_COLUMNS, create_app, write_reports
from tests.sandbox.conftest import CREDENTIALS, State
from tests.support.server import running

CHECKOUT = Path(__file__).resolve().parents[2]
RESOURCES = ("balance_transactions", "charges", "refunds", "disputes", "payouts")
LISTED = (*RESOURCES, "payment_intents")
every_resource = pytest.mark.parametrize("resource", RESOURCES)


def ask(server: RunningServer, path: str, gateway_id: str = "stripe_us", **query: Any) -> requests.Response:
    """A request with the account's key; ``created__gte=1`` stands for ``created[gte]=1``."""
    named = {name.replace("__", "[") + "]" if "__" in name else name: value for name, value in query.items()}
    headers = {"Authorization": f"Bearer {CREDENTIALS[f'{gateway_id.upper()}_API_KEY']}"}
    return requests.get(f"{server.url}/{gateway_id}/v1/{path}", params=named, headers=headers, timeout=10)


def data(answer: requests.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def walk(server: RunningServer, path: str, gateway_id: str = "stripe_us", **query: Any) -> list[dict[str, Any]]:
    """All objects of a list by cursor."""
    found: list[dict[str, Any]] = []
    while True:
        cursor = {"starting_after": found[-1]["id"]} if found else {}
        body = ask(server, path, gateway_id, limit=100, **query, **cursor).json()
        found += body["data"]
        if not body["has_more"]:
            return found


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a report by its headers."""
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def error(answer: requests.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"
    return answer.json()["error"]


# -- keys --------------------------------------------------------------------------------------------------------------


def test_bearer_and_basic_open_the_account(sandbox: RunningServer) -> None:
    """Stripe takes the key as bearer token or as the user name of Basic."""
    url, key = f"{sandbox.url}/stripe_us/v1/balance", CREDENTIALS["STRIPE_US_API_KEY"]
    assert requests.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=10).ok
    assert requests.get(url, auth=(key, ""), timeout=10).ok


def test_no_and_wrong_keys_are_401(sandbox: RunningServer) -> None:
    """The other account's key must not open this one, and no message may repeat a key in full."""
    url, foreign = f"{sandbox.url}/stripe_us/v1/balance", CREDENTIALS["STRIPE_DE_API_KEY"]
    assert "did not provide an API key" in error(requests.get(url, timeout=10), 401)["message"]
    wrong = error(requests.get(url, headers={"Authorization": f"Bearer {foreign}"}, timeout=10), 401)
    assert "Invalid API Key" in wrong["message"]
    assert foreign not in wrong["message"]


# -- lists -------------------------------------------------------------------------------------------------------------


@every_resource
def test_lists_are_newest_first_and_complete(sandbox: RunningServer, world: State, resource: str) -> None:
    """Cursor paging must neither lose nor double an object, also among those of one second."""
    for gateway_id in GATEWAYS:
        found = walk(sandbox, resource, gateway_id)
        created = [one["created"] for one in found]
        assert created == sorted(created, reverse=True)
        assert sorted(one["id"] for one in found) == sorted(one["id"] for one in world.rows(gateway_id, resource))


def test_pages_are_ten_by_default_and_a_hundred_at_most(sandbox: RunningServer) -> None:
    """A limit out of range is refused, not cut."""
    assert len(data(ask(sandbox, "charges"))) == 10
    assert ask(sandbox, "charges").json()["url"] == "/v1/charges"
    assert len(data(ask(sandbox, "charges", limit=100))) == 100
    for limit in ("0", "101", "many"):
        assert error(ask(sandbox, "charges", limit=limit), 400)["param"] == "limit"


def test_cursors_work_both_ways(sandbox: RunningServer) -> None:
    """``ending_before`` gives the page before, still newest first."""
    first = data(ask(sandbox, "charges", limit=5))
    second = ask(sandbox, "charges", limit=5, starting_after=first[-1]["id"])
    back = ask(sandbox, "charges", limit=5, ending_before=data(second)[0]["id"])
    assert (data(back), back.json()["has_more"]) == (first, False)
    between = ask(sandbox, "charges", limit=2, ending_before=data(second)[0]["id"])
    assert (data(between), between.json()["has_more"]) == (first[-2:], True)
    assert error(ask(sandbox, "charges", starting_after="ch_none"), 400)["code"] == "resource_missing"


@every_resource
def test_created_bounds(sandbox: RunningServer, resource: str) -> None:
    """``gte`` holds its bound, ``gt`` does not: a loader's overlap depends on it."""
    found = walk(sandbox, resource)
    middle = found[len(found) // 2]["created"]
    for bound, keep in (
        ("gt", lambda at: at > middle), ("gte", lambda at: at >= middle),
        ("lt", lambda at: at < middle), ("lte", lambda at: at <= middle),
    ):  # fmt: skip
        expected = [one["id"] for one in found if keep(one["created"])]
        assert [one["id"] for one in walk(sandbox, resource, **{f"created__{bound}": middle})] == expected
    assert error(ask(sandbox, resource, created__gte="2026-10-01"), 400)["param"] == "created[gte]"


def test_filters(sandbox: RunningServer) -> None:
    """Type, source, currency, charge, payment intent, status, arrival date."""
    lines = walk(sandbox, "balance_transactions")
    refunds = walk(sandbox, "balance_transactions", type="refund")
    assert refunds == [line for line in lines if line["type"] == "refund"] != []
    assert data(ask(sandbox, "balance_transactions", source=refunds[0]["source"])) == refunds[:1]
    assert len(walk(sandbox, "balance_transactions", currency="usd")) == len(lines)
    assert data(ask(sandbox, "balance_transactions", currency="eur")) == []
    refund = data(ask(sandbox, "refunds"))[0]
    assert refund in data(ask(sandbox, "refunds", charge=refund["charge"]))
    assert refund["charge"] in [
        one["id"] for one in data(ask(sandbox, "charges", payment_intent=refund["payment_intent"]))
    ]
    in_transit = data(ask(sandbox, "payouts", status="in_transit"))
    assert in_transit
    assert {payout["status"] for payout in in_transit} == {"in_transit"}
    arrival = in_transit[0]["arrival_date"]
    assert in_transit[0] in data(ask(sandbox, "payouts", arrival_date=arrival))
    assert all(payout["arrival_date"] >= arrival for payout in walk(sandbox, "payouts", arrival_date__gte=arrival))


@every_resource
def test_unknown_parameters_are_refused(sandbox: RunningServer, resource: str) -> None:
    """A misspelt filter that is ignored would load everything, or nothing."""
    assert error(ask(sandbox, resource, create="1"), 400)["code"] == "parameter_unknown"
    assert error(ask(sandbox, resource, arrival_date__before="1"), 400)["code"] == "parameter_unknown"
    if resource != "balance_transactions":
        assert error(ask(sandbox, resource, payout="po_1"), 400)["code"] == "parameter_unknown"


# -- payouts and balance -----------------------------------------------------------------------------------------------


def test_lines_of_a_payout_hold_its_own_line(sandbox: RunningServer) -> None:
    """The list of a payout contains the payout itself: who sums it without care gets zero."""
    for payout in walk(sandbox, "payouts")[:5]:
        lines = walk(sandbox, "balance_transactions", payout=payout["id"])
        own = [line for line in lines if line["type"] == "payout"]
        assert [line["id"] for line in own] == [payout["balance_transaction"]]
        assert sum(line["net"] for line in lines) == 0
        assert sum(line["net"] for line in lines if line["type"] != "payout") == payout["amount"]
    assert error(ask(sandbox, "balance_transactions", payout="po_none"), 400)["param"] == "payout"


def test_only_reconciled_automatic_payouts_can_be_listed(world: State, tmp_path) -> None:
    """Stripe cannot say what is in a manual payout, nor in one whose reconciliation is not complete."""
    (tmp_path / "sandbox").mkdir()
    for path in (world.home / "sandbox").iterdir():
        if path.suffix in (".sqlite", ".json") and path.name != "erp.sqlite":
            (tmp_path / "sandbox" / path.name).write_bytes(path.read_bytes())
    first, second = world.rows("stripe_us", "payouts")[:2]
    with change_state(tmp_path / "sandbox" / "stripe_us.sqlite") as connection:
        connection.execute("update payouts set automatic = 0 where id = ?", (first["id"],))
        connection.execute("update payouts set reconciliation_status = 'in_progress' where id = ?", (second["id"],))
    with running_server(tmp_path, CREDENTIALS) as server:
        assert "automatic" in error(ask(server, "balance_transactions", payout=first["id"]), 400)["message"]
        assert "in progress" in error(ask(server, "balance_transactions", payout=second["id"]), 400)["message"]


def test_balance_is_the_sum_of_the_ledger(sandbox: RunningServer) -> None:
    """The control total of the clearing account."""
    for gateway_id, gateway in GATEWAYS.items():
        balance = ask(sandbox, "balance", gateway_id).json()
        lines = walk(sandbox, "balance_transactions", gateway_id)
        for part in ("available", "pending"):
            (entry,) = balance[part]
            assert entry["currency"] == gateway.currency.lower()
            assert entry["amount"] == sum(line["net"] for line in lines if line["status"] == part)


def test_single_objects(sandbox: RunningServer) -> None:
    """Each object can be fetched alone; a missing one is named."""
    for resource in LISTED:
        newest = data(ask(sandbox, resource, limit=1))[0]
        assert ask(sandbox, f"{resource}/{newest['id']}").json() == newest
    missing = error(ask(sandbox, "charges/ch_none"), 404)
    assert (missing["code"], missing["message"]) == ("resource_missing", "No such charge: 'ch_none'")
    assert "Unrecognized request URL" in error(ask(sandbox, "nothing"), 404)["message"]


def test_metadata_names_the_store_s_public_address(sandbox: RunningServer) -> None:
    """An address that depends on where the sandbox is served: with the next port no payment is the store's any more."""
    urls = {charge["metadata"].get("site_url") for charge in walk(sandbox, "charges")} - {None}
    configured = yaml.safe_load((CHECKOUT / "data" / "retail.yaml").read_text(encoding="utf-8"))["stores"]
    assert urls == {store["site_url"] for store in configured if store["id"] == "cedar_us"}


def test_intents_are_what_charges_have_in_common(sandbox: RunningServer) -> None:
    """Each attempt to pay has one intent, which names its latest charge and what came of it."""
    charges = walk(sandbox, "charges")
    intents = walk(sandbox, "payment_intents")
    assert {one["id"] for one in intents} == {charge["payment_intent"] for charge in charges} - {None}
    assert len({one["id"] for one in intents}) == len(intents)
    taken = {charge["payment_intent"] for charge in charges if charge["captured"]}
    assert {one["id"] for one in intents if one["status"] == "succeeded"} == taken
    by_id = {charge["id"]: charge for charge in charges}
    assert all(by_id[one["latest_charge"]]["payment_intent"] == one["id"] for one in intents)
    assert [one["created"] for one in intents] == sorted((one["created"] for one in intents), reverse=True)


def test_disputes_hold_whole_lines(sandbox: RunningServer) -> None:
    """Stripe embeds the ledger lines of a dispute; everywhere else it gives their ids."""
    lines = {line["id"]: line for line in walk(sandbox, "balance_transactions")}
    disputes = walk(sandbox, "disputes")
    assert disputes
    for dispute in disputes:
        assert dispute["balance_transactions"] == [lines[line["id"]] for line in dispute["balance_transactions"]] != []


def test_a_manual_account_names_no_lines(world: State) -> None:
    """Nobody knows which lines a payout made by hand took."""
    state = world.home / "sandbox" / "stripe_us.sqlite"
    app = create_app(state, GATEWAYS["stripe_us"], "sk_test", 1, manual_payouts=True)
    with running(app) as url:
        headers = {"Authorization": "Bearer sk_test"}
        (payout,) = requests.get(f"{url}/v1/payouts?limit=1", headers=headers, timeout=10).json()["data"]
        assert (payout["automatic"], payout["reconciliation_status"]) == (False, "not_applicable")
        refused = requests.get(f"{url}/v1/balance_transactions?payout={payout['id']}", headers=headers, timeout=10)
        assert "automatic" in error(refused, 400)["message"]


def test_reports_hold_what_was_paid_out(world: State, tmp_path: Path) -> None:
    """The report of a payout adds up to it, in major units, with or without a row of its own."""
    state = world.home / "sandbox" / "stripe_jp.sqlite"
    first, second = write_reports(state, tmp_path / "a"), write_reports(state, tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second] != []
    assert not list((tmp_path / "a").glob("*.tmp"))
    bare = write_reports(state, tmp_path / "c", own_rows=False, extra=False)
    for path, without in zip(first, bare, strict=True):
        rows = rows_of(path)
        assert sum(Decimal(row["net"]) for row in rows) == 0
        assert tuple(rows_of(without)[0]) == REPORT_COLUMNS
        assert not [row for row in rows_of(without) if row["source_id"].startswith("po_")]
    payouts = {payout["id"]: payout["amount"] for payout in world.rows("stripe_jp", "payouts")}
    found: dict[str, Decimal] = {}
    for path in bare:
        for row in rows_of(path):
            found[row["automatic_payout_id"]] = found.get(row["automatic_payout_id"], Decimal(0)) + Decimal(row["net"])
    assert found == payouts  # yen have no decimals
