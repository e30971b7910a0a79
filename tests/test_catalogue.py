"""dbt's source files, made from the contracts."""

import pytest
import yaml

from retail_assets.catalogue import contracts_page, contracts_path, dbt_sources, sources_path, systems
from retail_assets.contracts import tables_of


@pytest.mark.parametrize("system", systems())
def test_source_files_are_current(system: str) -> None:
    """A contract was changed and `python -m retail_assets.catalogue` was not run: models read columns that are gone."""
    assert sources_path(system).read_text(encoding="utf-8") == dbt_sources(system)


def test_the_contracts_page_is_current() -> None:
    """A page that describes an older contract sends people looking for columns that are gone."""
    assert contracts_path().read_text(encoding="utf-8") == contracts_page()


@pytest.mark.parametrize("system", systems())
def test_sources_hold_every_table_and_column(system: str) -> None:
    """A table or a column without description, or one that dbt does not know."""
    (source,) = yaml.safe_load(dbt_sources(system))["sources"]
    assert source["schema"] == f"raw_{system}"
    found = {table["name"]: [column["name"] for column in table["columns"]] for table in source["tables"]}
    assert found == {table.name: [column.name for column in table.all_columns()] for table in tables_of(system)}
    assert all(column["description"] for table in source["tables"] for column in table["columns"])


def test_personal_data_is_marked() -> None:
    """An e-mail address that nobody knows to be personal."""
    (source,) = yaml.safe_load(dbt_sources("woocommerce"))["sources"]
    orders = next(table for table in source["tables"] if table["name"] == "orders")
    marked = [
        column["name"] for column in orders["columns"] if column.get("config", {}).get("meta", {}).get("personal")
    ]
    assert marked == ["billing_email"]


def test_unknown_system_is_refused() -> None:
    """A misspelt system that gives an empty source file."""
    with pytest.raises(KeyError, match="no contract names the system"):
        dbt_sources("woocomerce")
