"""Fixtures and settings that hold for every test."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_NUMBERS = itertools.count(1)

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


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[..., str]]:
    """Makes an empty (or, by default, migrated) operations store on a real Postgres and returns its URL."""
    # Not before it is needed: most tests want neither.
    from retail_assets.ops.store import open_store
    from tests.support.postgres import administer, running_postgres

    with running_postgres() as url:

        def database(*, migrated: bool = True) -> str:
            name = f"operations_{next(_NUMBERS)}"
            administer(url, f"CREATE DATABASE {name}" + (" TEMPLATE migrated" if migrated else ""))
            return url.set(database=name).render_as_string(hide_password=False)

        administer(url, "CREATE DATABASE migrated")
        open_store(url.set(database="migrated").render_as_string(hide_password=False)).dispose()
        yield database
