"""Team mode: several people, hosts and processes, one database."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from retail_assets.commands.home import environment as home_environment
from retail_assets.commands.home import prepare_home
from retail_assets.commands.orphans import AnotherRunError, sole_runner
from retail_assets.settings import Operations, Settings, load_settings
from tests.support.chain import environment


def of_team(home: Path, database: str) -> Settings:
    settings = load_settings({"RETAIL_HOME": str(home)})
    operations = Operations.model_construct(**{**dict(settings.configuration.operations), "url": SecretStr(database)})
    return replace(settings, configuration=settings.configuration.model_copy(update={"operations": operations}))


def test_a_team_shares_one_instance_and_runs_one_command_at_a_time(
    postgres: Callable[..., str], tmp_path: Path
) -> None:
    """Two hosts on one database would post from two half-built warehouses, or end each other's runs as dead."""
    database = postgres()
    one, other = (of_team(tmp_path / name, database) for name in ("one", "other"))
    for settings in (one, other):
        prepare_home(settings)
    with sole_runner(one):
        with pytest.raises(AnotherRunError, match="of your team is at work"), sole_runner(other):
            pass
        with environment(home_environment(one)), dg.DagsterInstance.get() as instance:
            instance.report_runless_asset_event(dg.AssetMaterialization("told"))
    with sole_runner(other), environment(home_environment(other)), dg.DagsterInstance.get() as instance:
        assert instance.get_latest_materialization_event(dg.AssetKey("told")) is not None
    assert not (one.dagster_path / "history").exists()
