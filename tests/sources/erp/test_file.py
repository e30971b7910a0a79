"""An ERP that imports files: configured like any other, and nothing is read of it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from retail_assets.defs.ingest.assets import ingest_definitions
from retail_assets.defs.ingest.instances import source_instances
from retail_assets.settings import Configuration, Settings, instance_of
from retail_assets.sources.erp import examine
from retail_assets.sources.intake import Intake


def test_nothing_is_read(tmp_path: Path) -> None:
    """The chain must build without tables of such an ERP, and say so to whoever looks for them."""
    folder = tmp_path / "exports"
    erp = instance_of("erps", {"id": "ledger", "system": "file", "folder": str(folder)})
    with pytest.raises(FileNotFoundError, match="does not exist"):
        examine(erp, folder)
    folder.mkdir()
    assert examine(erp, folder) == f"takes files in {folder}; nothing is read of it"
    configuration = Configuration.model_construct(erps=(erp,), stores=(), gateways=(), banks=(), tax=(), fulfilment=())
    now = datetime(2026, 11, 5, tzinfo=UTC)
    settings = Settings(tmp_path, tmp_path / "retail.yaml", configuration, now)
    (instance,) = source_instances(settings)
    assert instance.inbox == folder
    intake = Intake("erp", "ledger", now, settings.operations_url)
    assert dict(instance.build(intake).resources) == {}
    assert ingest_definitions(settings).resolve_all_asset_specs() == []
