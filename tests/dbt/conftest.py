"""Warehouses with all models: built by dbt, or by what dbt compiled."""

from pathlib import Path

import pytest

from tests.dbt.compiled import Compiled, compiled_project


@pytest.fixture(scope="session")
def project(request: pytest.FixtureRequest) -> Compiled:
    """The models as dbt compiled them, and a warehouse without rows."""
    cache = request.config.cache
    assert cache is not None
    return compiled_project(Path(cache.mkdir("dbt_project")))
