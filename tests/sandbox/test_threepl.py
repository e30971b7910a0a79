"""The simulated logistics provider's files."""

from pathlib import Path

from retail_assets.sandbox.threepl import shipment_line_key_of, write_files
from tests.sources.fulfilment.lines import drop, shipment


def test_one_file_of_each_kind_a_day_with_the_same_bytes(tmp_path: Path) -> None:
    """A file that changes from run to run is loaded anew each time; a half-written one is loaded in half."""
    first, second = drop(tmp_path / "a"), drop(tmp_path / "b")
    assert [path.name for path in first] == [
        "shipments_20261102.csv",
        "shipments_20261103.csv",
        "returns_20261103.csv",
        "stock_levels_20261102.csv",
        "stock_movements_20261102.csv",
    ]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert first[1].read_text(encoding="utf-8").splitlines() == [
        "shipment_id,order_reference,sku,quantity,carrier,tracking_number,shipped_at,delivered_at,warehouse",
        "S2,1002,MUG,1,UPS,1Z000002,2026-11-03T12:00:00Z,2026-11-04T12:00:00Z,MAIN",
    ]
    assert first[3].read_text(encoding="utf-8").splitlines()[1] == "MAIN,MUG,2026-11-02T12:00:00Z,10,2,8"
    assert not list(tmp_path.rglob("*.part"))


def test_a_line_is_known_by_the_key_that_staging_makes(tmp_path: Path) -> None:
    """A ground truth that names other keys than the warehouse scores nothing."""
    assert shipment_line_key_of(shipment(1), "threepl_us") == "threepl_us:S1:1001:MUG::1"
    assert write_files([], tmp_path) == []
