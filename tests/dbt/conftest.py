"""Warehouses with all models: built by dbt, or by what dbt compiled."""

from pathlib import Path

import pytest

from tests.dbt.compiled import Compiled, compiled_project
from tests.dbt.warehouse import Warehouse


@pytest.fixture(scope="session")
def project(request: pytest.FixtureRequest) -> Compiled:
    """The models as dbt compiled them, and a warehouse without rows."""
    cache = request.config.cache
    assert cache is not None
    return compiled_project(Path(cache.mkdir("dbt_project")))


@pytest.fixture(scope="module")
def empty_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A warehouse with the contracts' tables and no rows."""
    return Warehouse(_home(tmp_path_factory))


def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("retail_home")
