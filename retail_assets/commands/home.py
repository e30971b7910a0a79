"""RETAIL_HOME: the folder that holds all state."""

import shutil

from retail_assets.settings import Settings

_FOLDERS = ("dagster", "dlt", "exports", "inbox", "dbt")


def prepare_home(settings: Settings) -> None:
    """Make the folders, readable by their owner only, and give Dagster its instance configuration."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _FOLDERS:
        (settings.home / name).mkdir(mode=0o700, exist_ok=True)
    for instance in settings.configuration.instances:
        settings.inbox_path(instance).mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(settings.checkout / "dagster.yaml", settings.dagster_path / "dagster.yaml")


def environment(settings: Settings) -> dict[str, str]:
    """Variables that make child processes (Dagster, dbt) use the same home, configuration and clock."""
    values = {
        "RETAIL_HOME": str(settings.home),
        "RETAIL_CONFIG": str(settings.config_path),
        "DAGSTER_HOME": str(settings.dagster_path),
        # Empty rather than absent: one of the shell that is meant for another home must not be taken for this.
        "RETAIL_DAGSTER_STORAGE": settings.team_database or "",
    }
    if settings.as_of is not None:
        values["RETAIL_AS_OF"] = settings.as_of.isoformat()
    return values


def is_sandbox(settings: Settings) -> bool:
    """Whether the configuration is the simulated retailer's, shipped with the project."""
    return settings.config_path == settings.checkout / "data" / "retail.yaml"
