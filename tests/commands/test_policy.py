"""``retail policy check`` before there is anything to explain; what it explains is tested beside the models."""

from pathlib import Path

import duckdb
from typer.testing import CliRunner

from retail_assets.cli import app
from tests.support.chain import environment


def test_it_says_what_to_do_before_the_first_build(tmp_path: Path) -> None:
    """A traceback for somebody who asks on the first day, or an answer for an entity that does not exist."""
    with environment({"RETAIL_HOME": str(tmp_path)}):
        assert "start with `retail run`" in CliRunner().invoke(app, ["policy", "check"]).output
        duckdb.connect(str(tmp_path / "warehouse.duckdb")).close()
        unbuilt = CliRunner().invoke(app, ["policy", "check", "US"])
        assert unbuilt.exit_code == 2
        assert "no build has left its models here yet" in unbuilt.output
        unknown = CliRunner().invoke(app, ["policy", "check", "XX"])
        assert unknown.exit_code == 2
        assert "'XX' does not exist; known are US, DE, JP" in unknown.output
