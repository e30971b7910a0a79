"""Fixtures and settings that hold for every test."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Telemetry would wait for a network that tests must not use; it has to be off before dlt and dbt are imported.
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["DO_NOT_TRACK"] = "1"
os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"

# Deadlines measure the machine; examples are derived from the test alone, so that a failure can be repeated.
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's RETAIL_* variables, proxies or netrc reach a test."""
    for name in [name for name in os.environ if name.startswith("RETAIL_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no.netrc"))
