"""Warehouses that dbt has built."""

from pathlib import Path

import pytest

from tests.dbt.warehouse import Warehouse


@pytest.fixture(scope="module")
def empty_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A warehouse with the contracts' tables and no rows."""
    return Warehouse(_home(tmp_path_factory))


def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("retail_home")
