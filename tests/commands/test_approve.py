"""``retail approve``: who decides is whom the operating system knows, and what is decided is what is posted."""

import json
import os
import pwd
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner, Result

from retail_assets.accounting.control import control_for
from retail_assets.cli import app
from retail_assets.defs.export.planning import ask, plan_for
from retail_assets.ops import approvals, audit
from retail_assets.ops.approvals import Request
from retail_assets.ops.store import open_store, writing
from retail_assets.settings import Operations, Policies, Settings, SettingsError, load_settings
from tests.accounting.ledgers import NOW, entry_rows
from tests.support.chain import environment

ME = pwd.getpwuid(os.getuid()).pw_name
WANTED = Request("entry", "sale/1", "US", "a" * 64, "entry sale/1#1")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with environment({"RETAIL_HOME": str(tmp_path)}):
        yield tmp_path


def retail(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["approve", *arguments])


def asked(by: str) -> None:
    settings = load_settings()
    operations = open_store(settings.operations_url)
    with writing(operations) as connection:
        approvals.request(connection, [WANTED], requested_by=by, now=NOW)
    operations.dispose()


def with_policy(settings: Settings, policy: dict[str, Any]) -> Settings:
    changed = settings.configuration.model_copy(update={"policies": Policies(entities={"US": policy})})
    return replace(settings, configuration=changed)


def test_somebody_else_is_shown_what_waits_and_approves(home: Path) -> None:
    """From the list to the decision, with the id as it is shown."""
    asked("somebody-else")
    (row,) = json.loads(retail("list", "--json").stdout)
    assert (row["subject"], row["requested_by"], row["decision"]) == ("sale/1", "somebody-else", None)
    identifier = row["approval_id"][:12]
    assert identifier in retail("list").stdout
    assert "entry sale/1#1" in retail("show", identifier).stdout
    done = retail("accept", identifier, "--reason", "as agreed")
    assert (done.exit_code, f"approved by {ME}" in done.stdout) == (0, True)
    assert json.loads(retail("list", "--json").stdout) == []
    assert json.loads(retail("show", identifier, "--json").stdout)["reason"] == "as agreed"
    again = retail("reject", identifier, "--reason", "no")
    assert (again.exit_code, "already" in again.stderr) == (2, True)
    # The head of the chain is anchored, so that the decision cannot be cut off.
    assert json.loads((home / "exports" / "audit_head.json").read_text())["seq"] == 2


@pytest.mark.usefixtures("home")
def test_nobody_approves_what_he_asked_for() -> None:
    """By the command line and under a name from the environment."""
    asked(ME)
    refused = retail("accept", WANTED.approval_id, "--reason", "fine")
    assert (refused.exit_code, "somebody else must decide" in refused.stderr) == (2, True)
    for name in ("RETAIL_ACTOR", "USER", "LOGNAME", "SUDO_USER"):
        with environment({name: "bob"}):
            assert retail("accept", WANTED.approval_id, "--reason", "fine").exit_code == 2
    assert json.loads(retail("list", "--json").stdout)[0]["decision"] is None


@pytest.mark.usefixtures("home")
def test_whoever_shares_an_account_says_who_he_is(tmp_path: Path) -> None:
    """In a container everybody is one user; then, and only then, the environment says who somebody is."""
    original = load_settings().config_path
    path = tmp_path / "retail.yaml"
    path.write_text(f"{original.read_text()}\noperations:\n  shared_accounts: [{ME}]\n")
    (tmp_path / "retail.env").write_text(original.with_suffix(".env").read_text())
    asked("ann")
    with environment({"RETAIL_CONFIG": str(path)}):
        nameless = retail("accept", WANTED.approval_id, "--reason", "fine")
        assert (nameless.exit_code, "RETAIL_ACTOR" in nameless.stderr) == (2, True)
        with environment({"RETAIL_ACTOR": "Ann"}):
            assert retail("accept", WANTED.approval_id, "--reason", "fine").exit_code == 2
        with environment({"RETAIL_ACTOR": "bob"}):
            assert retail("accept", WANTED.approval_id, "--reason", "fine").exit_code == 0
        with environment({"RETAIL_ACTOR": "b ob"}), pytest.raises(SettingsError, match="login name"):
            load_settings()


@pytest.mark.usefixtures("home")
def test_a_store_that_was_put_back_takes_no_decisions(home: Path) -> None:
    """Yesterday's copy of the store, from before a rejection, could be approved instead."""
    asked("ann")
    before = (home / "operations.sqlite").read_bytes()
    assert retail("reject", WANTED.approval_id, "--reason", "no").exit_code == 0
    for leftover in home.glob("operations.sqlite*"):
        leftover.unlink()
    (home / "operations.sqlite").write_bytes(before)
    assert retail("accept", WANTED.approval_id, "--reason", "yes").exit_code == 2


def test_the_plan_asks_and_an_approval_lets_it_through(home: Path) -> None:
    """The whole way: limit, plan, request, decision, plan."""
    settings = with_policy(load_settings(), {"approval_limit": "100"})
    _marts(settings, "250.00")
    operations = open_store(settings.operations_url)
    try:
        waiting = plan_for(settings, operations, "US")
        assert (waiting.items, len(waiting.requests)) == ((), 1)
        assert [ask(replace(settings, actor="ann"), operations, waiting) for _ in range(2)] == [1, 0]
        (wanted,) = waiting.requests
        assert retail("accept", wanted.approval_id, "--reason", "seen").exit_code == 0
        assert [item.posting_key for item in plan_for(settings, operations, "US").items] == ["sale/1#1"]
        assert audit.verify(operations, settings.audit_anchor_path) == []
    finally:
        operations.dispose()
    # The configuration itself has no limit, so there is nothing to ask for.
    assert "0 new approvals" in retail("ask", "--entity", "US").stdout


def test_rules_stay_under_approval(home: Path) -> None:
    """Whoever may edit the configuration switches the approval of the configuration off."""
    on, off = ({"policy_approval": value, "approval_limit": "100"} for value in (True, False))
    settings = load_settings()
    _marts(settings, "1.00")
    operations = open_store(settings.operations_url)
    try:
        assert plan_for(with_policy(settings, off), operations, "US").requests == ()
        (wanted,) = plan_for(with_policy(settings, on), operations, "US").requests
        assert wanted.kind == "policy"
        with writing(operations) as connection:
            approvals.request(connection, [wanted], requested_by="ann", now=NOW)
        assert retail("accept", wanted.approval_id, "--reason", "as in the handbook").exit_code == 0
        assert len(plan_for(with_policy(settings, on), operations, "US").items) == 1
        for changed in (off, on | {"approval_limit": "1000"}, on | {"tips": "income"}):
            assert plan_for(with_policy(settings, changed), operations, "US").items == ()
        assert control_for(settings, operations, "DE").rules_hash is None
    finally:
        operations.dispose()


def test_accounts_may_be_shared_only_by_configuration() -> None:
    """The default would let everybody be anybody."""
    assert Operations().shared_accounts == ()  # pyright: ignore[reportCallIssue]


def _marts(settings: Settings, amount: str) -> None:
    header, lines = entry_rows("sale/1", amount)
    with duckdb.connect(str(settings.warehouse_path)) as connection:
        connection.execute("create schema marts")
        for name, rows in (("acc_journal_entries", [header]), ("acc_journal_lines", lines)):
            types = {int: "integer", str: "varchar"}
            columns = ", ".join(
                f"{column} "
                + (
                    "decimal(18, 4)"
                    if column.endswith("_amount") or column == "exchange_rate"
                    else "date"
                    if column == "posting_date"
                    else types.get(type(value), "varchar")
                )
                for column, value in rows[0].items()
            )
            connection.execute(f"create table marts.{name} ({columns})")
            for row in rows:
                connection.execute(
                    f"insert into marts.{name} values ({', '.join('?' for _ in row)})", list(row.values())
                )
