"""``retail plan --shadow``: what it takes for a change, without a build (tests/dbt/test_scenario.py has one)."""

import io
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from retail_assets.commands import CommandError
from retail_assets.commands.shadow import Shadow, print_shadow, shadow_plan
from retail_assets.settings import Configuration, Settings, load_settings
from tests.support.chain import AS_OF

SEED = "account_mapping.csv"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home without marts, and a checkout of its own with the seeds and retail.yaml committed once."""
    found = load_settings({"RETAIL_HOME": str(tmp_path / "home"), "RETAIL_AS_OF": AS_OF})
    found.home.mkdir()
    checkout = tmp_path / "checkout"
    shutil.copytree(found.dbt_project_path / "seeds", checkout / "dbt_project" / "seeds")
    (checkout / "data").mkdir()
    for path in (found.config_path, found.config_path.with_suffix(".env")):
        shutil.copy(path, checkout / "data")
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "one"],
    ):
        subprocess.run(["git", "-C", str(checkout), *arguments], check=True)
    return replace(found, checkout=checkout, config_path=checkout / "data" / "retail.yaml")


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Stands in for the build: notes which files were changed and then fails as dbt would."""
    seen: list[list[str]] = []

    def copy_raw(settings: Settings, scratch: Path) -> None:
        seen.append(sorted(path.name for path in scratch.iterdir()))
        raise CommandError("built")

    monkeypatch.setattr("retail_assets.commands.shadow._copy_raw", copy_raw)
    return seen


def shadow(settings: Settings, change: str) -> Shadow:
    return shadow_plan(settings, change, ["US"], Console(file=io.StringIO()))


def test_what_is_the_same_is_not_built(settings: Settings) -> None:
    """A build to learn that nothing changed."""
    for change in ("HEAD", str(settings.config_path)):
        assert shadow(settings, change).changed_files == []


def test_a_ref_gives_its_files_and_no_others(settings: Settings, built: list[list[str]]) -> None:
    """What was changed since that commit is taken back for the shadow: mapping and policy."""
    (settings.dbt_project_path / "seeds" / SEED).write_text("entity_code\n")
    with pytest.raises(CommandError, match="built"):
        shadow(settings, "HEAD")
    text = settings.config_path.read_text()
    settings.config_path.write_text(text.replace("disputes: receivable", "disputes: loss"))
    with pytest.raises(CommandError, match="built"):
        shadow(replace(settings, configuration=load_settings_of(settings)), "HEAD")
    assert built == [[SEED], [SEED, "retail.yaml"]]


def load_settings_of(settings: Settings) -> Configuration:
    return load_settings({"RETAIL_HOME": str(settings.home), "RETAIL_CONFIG": str(settings.config_path)}).configuration


@pytest.mark.parametrize("change", ["nonsense", "--exec=touch x", "README.md", "HEAD:README.md"])
def test_what_is_no_change_is_refused(settings: Settings, change: str) -> None:
    """A mistyped ref that passes for 'nothing would change' approves anything."""
    with pytest.raises(CommandError, match="neither"):
        shadow(settings, change)


def test_a_configuration_that_cannot_be_used_is_refused(settings: Settings, tmp_path: Path) -> None:
    """In words, as `retail config check` would."""
    path = tmp_path / "other.yaml"
    path.write_text("entities: 3\n")
    with pytest.raises(CommandError, match="entities"):
        shadow(settings, str(path))


def test_nothing_is_printed_as_such() -> None:
    """Silence would look like a command that failed."""
    console = Console(file=io.StringIO())
    print_shadow(console, Shadow([]))
    assert isinstance(console.file, io.StringIO)
    assert "nothing would change" in console.file.getvalue()
