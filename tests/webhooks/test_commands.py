"""``retail webhooks``."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import yaml
from typer.testing import CliRunner

from retail_assets.cli import app
from retail_assets.ops import inbox
from retail_assets.ops.store import open_store, writing
from retail_assets.settings import load_settings
from tests.ops.test_inbox import event
from tests.support.chain import environment

SHIPPED = Path(__file__).resolve().parents[2] / "data"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home with nothing in it, and the shipped configuration, to be spoilt."""
    for name in ("retail.yaml", "retail.env"):
        (tmp_path / name).write_bytes((SHIPPED / name).read_bytes())
    values = {"RETAIL_HOME": str(tmp_path / "home"), "RETAIL_CONFIG": str(tmp_path / "retail.yaml")}
    with environment(values):
        yield tmp_path
    structlog.reset_defaults()


def test_the_status_counts_and_names_what_was_given_up(home: Path) -> None:
    """Events waited, or were dead, and nobody saw it."""
    store = open_store(load_settings().operations_url)
    with writing(store) as connection:
        inbox.put(connection, [event(), event(b"2"), event(b"3")])
    inbox.bury(store, {3: "it is [no] JSON"}, now=load_settings().now())
    store.dispose()
    found = json.loads(CliRunner().invoke(app, ["webhooks", "status", "--json"]).stdout)
    assert {(row["source"], row["state"], row["events"]) for row in found["inbox"]} == {
        ("cedar_us", "received", 2),
        ("cedar_us", "dead", 1),
    }
    assert [(row["event_id"], row["reason"]) for row in found["dead"]] == [(3, "it is [no] JSON")]
    assert found["waiting"][0]["oldest_seconds"] > 0
    shown = CliRunner().invoke(app, ["webhooks", "status"])
    assert shown.exit_code == 0
    assert "it is [no] JSON" in shown.stdout


def test_without_keys_nothing_is_served(home: Path) -> None:
    """An intake that refuses everybody ran for weeks."""
    document = yaml.safe_load((home / "retail.yaml").read_text(encoding="utf-8"))
    for item in (*document["stores"], *document["gateways"]):
        item.pop("webhook_secrets", None)
    (home / "retail.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    answer = CliRunner().invoke(app, ["webhooks", "serve"])
    assert (answer.exit_code, "webhook_secrets" in answer.output) == (2, True)


def test_a_port_that_is_taken_is_named(home: Path) -> None:
    """The stack trace of a socket said nothing of which setting to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = CliRunner().invoke(app, ["webhooks", "serve", "--port", str(port)])
    assert answer.exit_code == 2
    assert str(port) in answer.output
    assert "webhooks.port" in answer.output
