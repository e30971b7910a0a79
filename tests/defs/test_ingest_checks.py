"""What the checks of a raw asset say of its load."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import duckdb
import pytest

from retail_assets import keys
from retail_assets.defs.ingest.checks import check_results
from retail_assets.settings import Settings, load_settings
from retail_assets.sources.intake import Counts, Intake
from retail_assets.sources.warehouse import create_raw_tables

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
ASSET = dg.AssetKey(["raw_paypal", "paypal_us", "transactions"])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = load_settings({"RETAIL_HOME": str(tmp_path)})
    create_raw_tables(found.warehouse_path)
    return found


def _accounted(settings: Settings, counts: Counts) -> bool:
    intake = Intake("paypal", "paypal_us", NOW, settings.operations_url, counts={"transactions": counts})
    context: Any = SimpleNamespace(selected_asset_check_keys={dg.AssetCheckKey(ASSET, keys.ACCOUNTED_CHECK)})
    (result,) = check_results(context, ASSET, intake, settings)
    return result.passed


def test_rows_of_another_table_of_the_resource_count(settings: Settings) -> None:
    """An account with a balance and no transaction was said to have lost a record."""
    with duckdb.connect(str(settings.warehouse_path)) as connection:
        connection.execute(
            "insert into raw_paypal.balances by name select 'paypal_us' as gateway_id, 'USD' as currency, "
            "0 as total_balance, 0 as available_balance, 0 as withheld_balance, ? as _loaded_at, '{}' as _payload, "
            "'x' as _payload_sha256",
            [NOW],
        )
    assert _accounted(settings, Counts(received=1, loaded=1))


def test_a_load_that_is_not_there_is_found(settings: Settings) -> None:
    """Counted as loaded, and nowhere in the warehouse: the loss that counting alone never sees."""
    assert not _accounted(settings, Counts(received=1, loaded=1))
    assert not _accounted(settings, Counts(received=2, loaded=0, quarantined=1))
