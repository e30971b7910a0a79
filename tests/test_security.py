"""The promises of docs/security.md: each names tests that exist; and a few that belong to no other module."""

import ast
import re
import stat
from pathlib import Path

from retail_assets.commands.home import prepare_home
from retail_assets.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "security.md"


def test_every_test_that_the_page_names_exists() -> None:
    """The page promised what no test holds any more."""
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 40
    missing = []
    for path, name in named:
        file = ROOT / path
        functions = set()
        if file.is_file():
            functions = {
                node.name for node in ast.walk(ast.parse(file.read_bytes())) if isinstance(node, ast.FunctionDef)
            }
        if not functions or (name and name not in functions):
            missing.append(f"{path}::{name}")
    assert not missing


def test_state_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """The warehouse holds customers' addresses and what they bought, and everybody on the machine could read it."""
    home = tmp_path / "home"
    settings = load_settings({"RETAIL_HOME": str(home), "SANDBOX_URL": "http://127.0.0.1:1"})
    prepare_home(settings)
    folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
    assert len(folders) > 5
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}


def test_what_listens_listens_on_this_machine_only() -> None:
    """The intake, or its metrics, stood open to the network of whoever tried it out."""
    webhooks = load_settings({"SANDBOX_URL": "http://127.0.0.1:1"}).configuration.webhooks
    assert (webhooks.host, webhooks.metrics_host) == ("127.0.0.1", "127.0.0.1")
    dev = (ROOT / "retail_assets" / "commands" / "dev.py").read_text(encoding="utf-8")
    assert '"--host", "127.0.0.1"' in dev
