"""A few days at a logistics provider."""

from datetime import timedelta
from pathlib import Path

from retail_assets.sandbox.threepl import ReturnLine, ShipmentLine, StockLevel, StockMovement, write_files
from tests.sources.loading import NOW

DAY = 86_400
NOON = int((NOW - timedelta(days=3)).timestamp())
BLOCK = {"id": "threepl_us", "system": "threepl_csv", "folder": "threepl", "stores": ["cedar_us"]}


def shipment(number: int, sku: str = "MUG", quantity: int = 1, day: int = 0, **changes: object) -> ShipmentLine:
    """A line of shipment ``S<number>``, sent on a day from the first one."""
    values = {"delivered_at": None, **changes}
    return ShipmentLine(
        f"S{number}",
        f"{1000 + number}",
        sku,
        quantity,
        "UPS",
        f"1Z{number:06d}",
        NOON + day * DAY,
        **values,  # pyright: ignore
    )


def drop(folder: Path) -> list[Path]:
    """Two days of shipments, a return, a count and movements: five files with eight lines."""
    return write_files(
        [shipment(1), shipment(1, "CUP", 2), shipment(2, day=1, delivered_at=NOON + 2 * DAY)],
        folder,
        returns=[ReturnLine("R1", "1001", "MUG", 1, NOON + DAY, reason="too small")],
        levels=[StockLevel("MAIN", "MUG", NOON, 10, 2), StockLevel("MAIN", "CUP", NOON, 0)],
        movements=[
            StockMovement("M1", "MAIN", "MUG", "shipment", -1, NOON, "1001", "S1"),
            StockMovement("M2", "MAIN", "MUG", "return", 1, NOON, "1001", "R1"),
        ],
    )
