"""The command line: what it says when it cannot go on, and how it exits."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from retail_assets.cli import app
from retail_assets.settings import json_schema
from tests.support.chain import environment

COMMANDS = [
    ["run"], ["summary"], ["plan"], ["post"], ["trace"], ["verify"], ["prepare"], ["doctor"], ["dev"],
    ["exceptions", "list"], ["exceptions", "show"], ["quarantine", "list"], ["quarantine", "show"],
    ["approve", "list"], ["approve", "show"], ["approve", "ask"], ["approve", "accept"], ["approve", "reject"],
    ["fees", "claim"], ["config", "schema"], ["config", "check"],
    ["sandbox", "demo"], ["sandbox", "generate"], ["sandbox", "serve"], ["sandbox", "score"], ["sandbox", "break"],
]  # fmt: skip


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CliRunner]:
    # The options of `retail` are set in the environment, which has to be as before when the test is over.
    with environment({"RETAIL_HOME": str(tmp_path / "home")}):
        yield CliRunner()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(cli: CliRunner, command: list[str]) -> None:
    """A command without help is one that nobody dares to run on the books."""
    shown = cli.invoke(app, [*command, "--help"])
    assert shown.exit_code == 0
    assert "Usage" in shown.output


@pytest.mark.parametrize(
    "command", [["summary"], ["plan"], ["trace", "1"], ["exceptions", "list"], ["sandbox", "score"]]
)
def test_without_a_warehouse_it_says_what_to_run(cli: CliRunner, command: list[str]) -> None:
    """A stack trace about a missing file tells a controller nothing."""
    shown = cli.invoke(app, command)
    assert shown.exit_code == 1
    assert "retail run" in shown.output


def test_a_wrong_configuration_ends_with_two_and_names_it(cli: CliRunner, tmp_path: Path) -> None:
    """Scripts tell 'cannot be used' from 'something is wrong with the data' by the exit code."""
    (tmp_path / "retail.yaml").write_text("entities: 3\n", encoding="utf-8")
    shown = cli.invoke(app, ["--config", str(tmp_path / "retail.yaml"), "config", "check"])
    assert shown.exit_code == 2
    assert "entities" in shown.output


def test_a_wrong_clock_is_refused(cli: CliRunner) -> None:
    """A clock without a zone would date journals by whoever's laptop it runs on."""
    shown = cli.invoke(app, ["--as-of", "2026-11-05T12:00:00", "config", "check"])
    assert shown.exit_code == 2
    assert "time zone" in shown.output


def test_an_unknown_entity_is_named_with_the_known_ones(cli: CliRunner, tmp_path: Path) -> None:
    """A mistyped entity that silently plans nothing looks like everything is posted."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "warehouse.duckdb").touch()
    shown = cli.invoke(app, ["plan", "--entity", "FR"])
    assert shown.exit_code == 2
    assert "US, DE, JP" in shown.output


def test_the_schema_is_printed_whole(cli: CliRunner) -> None:
    """Editors validate retail.yaml with it; a truncated or decorated one is of no use."""
    shown = cli.invoke(app, ["config", "schema"])
    assert json.loads(shown.output) == json.loads(json.dumps(json_schema()))


def test_a_second_world_is_not_made_over_the_first(cli: CliRunner) -> None:
    """Replacing the simulated ERP under an existing outbox would make posted documents vanish."""
    assert cli.invoke(app, ["sandbox", "generate", "--orders", "60", "--seed", "1"]).exit_code == 0
    again = cli.invoke(app, ["sandbox", "generate", "--orders", "60", "--seed", "2"])
    assert again.exit_code == 2
    assert "seed" in again.output
    assert cli.invoke(app, ["sandbox", "generate"]).exit_code == 0
