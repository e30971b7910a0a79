"""Dockerfile and compose.yaml, as far as they can be proved without a container engine."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from click import Group

from retail_assets.cli import app

CHECKOUT = Path(__file__).resolve().parent.parent
OURS = ("migrate", "code", "daemon", "webserver", "intake")
#: Of the Compose specification, what this file uses; a key that is spelt wrong is refused by the engine, too late.
KEYS = {
    "image", "build", "user", "restart", "init", "cap_drop", "security_opt", "volumes", "networks", "logging",
    "env_file", "environment", "healthcheck", "stop_grace_period", "command", "depends_on", "mem_limit", "ports",
}  # fmt: skip
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((CHECKOUT / "compose.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined."""
    text = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def test_the_services_fit_together(compose: dict[str, Any]) -> None:
    """A service that waits for one that does not exist, or mounts a volume nobody declared, never starts."""
    services = compose["services"]
    assert set(services) == {"postgres", *OURS}
    assert set(compose) == {"name", "x-retail", "services", "volumes", "networks"}
    for name, service in services.items():
        assert set(service) <= KEYS, name
        assert set(service.get("depends_on", {})) <= set(services), name
        assert set(service["networks"]) <= set(compose["networks"]), name
        named = {volume.partition(":")[0] for volume in service["volumes"] if not volume.startswith((".", "/"))}
        assert named <= set(compose["volumes"]), name
        for other, wait in service.get("depends_on", {}).items():
            healthy = wait["condition"] == "service_healthy"
            assert healthy is ("healthcheck" in services[other]), f"{name} waits for {other}"


def test_every_service_that_stays_is_watched_bounded_and_restarted(compose: dict[str, Any]) -> None:
    """A process that hangs, or eats the host, is nobody's failure until somebody looks."""
    for name, service in compose["services"].items():
        if name == "migrate":
            continue
        assert set(service["healthcheck"]) <= HEALTH_KEYS
        assert service["healthcheck"]["test"][0] == "CMD", "no shell is needed, and the image may have none"
        assert service["restart"] == "unless-stopped"
        assert "mem_limit" in service or name == "postgres"


def test_nothing_has_more_rights_than_it_needs(compose: dict[str, Any]) -> None:
    """What is broken into must not be root, nor reach the world, nor know the ERP's password, if it need not."""
    for name in OURS:
        service = compose["services"][name]
        assert service["user"] == "10001:10001"
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), "TLS is ended by a proxy"
    knows = {name: compose["services"][name]["env_file"] for name in OURS}
    assert knows["daemon"] == knows["webserver"] == ["dagster.env"]
    assert compose["networks"]["inside"] == {"internal": True}
    assert compose["services"]["postgres"]["networks"] == compose["services"]["daemon"]["networks"] == ["inside"]


def test_no_secret_is_part_of_it(compose: dict[str, Any], instructions: list[tuple[str, str]]) -> None:
    """A password in an image or in a compose file is in every backup and every clone."""
    for service in compose["services"].values():
        assert not [key for key in service.get("environment", {}) if re.search("PASS|SECRET|KEY|TOKEN|URL", key)]
    assert not [rest for name, rest in instructions if name in ("ENV", "ARG") and re.search("PASS|SECRET|TOKEN", rest)]
    ignored = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*", "only what is named gets into the image"
    assert "data/retail.env" in ignored


def test_the_image_is_of_this_project_pinned_and_not_root(instructions: list[tuple[str, str]]) -> None:
    """A build that copies what is not there fails; one that installs the newest of all works until it does not."""
    copied = [rest.split()[:-1] for name, rest in instructions if name == "COPY" and not rest.startswith("--from")]
    assert all((CHECKOUT / path).exists() for paths in copied for path in paths)
    allowed = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert all(f"!{path}" in allowed for paths in copied for path in paths)
    installs = [rest for name, rest in instructions if name == "RUN" and "pip install" in rest]
    assert all("==" in one or "--requirement" in one or "--no-deps" in one for one in installs)
    assert [rest for name, rest in instructions if name == "USER"] == ["retail"]
    assert instructions[-1] == ("CMD", '["retail", "--help"]')
    version = re.search(r"^UV_VERSION := (.*)$", (CHECKOUT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert any(f"uv=={version[1]}" in rest for _, rest in instructions)


def test_the_commands_exist(compose: dict[str, Any]) -> None:
    """A command that was renamed leaves a service that restarts for ever."""
    scripts = {"retail", "dagster", "dagster-daemon", "dagster-webserver"}
    for name in OURS:
        program, *arguments = compose["services"][name]["command"]
        assert program in scripts
        if program == "retail":
            command: Any = typer.main.get_command(app)
            while arguments and not arguments[0].startswith("-"):
                assert isinstance(command, Group) or hasattr(command, "commands")
                command = command.commands[arguments.pop(0)]
            options = {option for parameter in command.params for option in parameter.opts}
            assert {argument for argument in arguments if argument.startswith("--")} <= options


def test_a_team_gets_the_versions_that_were_tested() -> None:
    """The extra that a team installs must be pinned to what the tests ran with."""
    locks = {
        name: dict(
            line.partition(";")[0].strip().split("==")
            for line in (CHECKOUT / name).read_text(encoding="utf-8").splitlines()
            if "==" in line
        )
        for name in ("requirements.lock", "requirements-team.lock", "requirements-dev.lock")
    }
    team = locks["requirements-team.lock"]
    assert locks["requirements.lock"].items() <= team.items()
    assert {name for name in team if locks["requirements-dev.lock"].get(name, team[name]) != team[name]} == set()
    wanted = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    for requirement in wanted["project"]["optional-dependencies"]["postgres"]:
        assert re.split(r"[\[=><]", requirement)[0] in team
