"""Files of a logistics provider: shipments, returns, stock counts and movements as CSV, one of each kind a day."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from retail_assets.sandbox.tax import write_csv


@dataclass(frozen=True, slots=True)
class ShipmentLine:
    """One article of a shipment; times are Unix seconds, ``order_reference`` is the order's number."""

    shipment_id: str
    order_reference: str
    sku: str
    quantity: int
    carrier: str
    tracking_number: str
    shipped_at: int
    delivered_at: int | None = None
    warehouse: str = "MAIN"


@dataclass(frozen=True, slots=True)
class ReturnLine:
    """One article of a return."""

    return_id: str
    order_reference: str
    sku: str
    quantity: int
    received_at: int
    condition: str = "sellable"
    reason: str = ""
    warehouse: str = "MAIN"


@dataclass(frozen=True, slots=True)
class StockLevel:
    """What a count found of one article at one location."""

    location: str
    sku: str
    as_of: int
    on_hand: int
    reserved: int = 0

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved


@dataclass(frozen=True, slots=True)
class StockMovement:
    """A change of stock; ``quantity`` is negative when it goes out."""

    movement_id: str
    location: str
    sku: str
    movement_type: str
    quantity: int
    moved_at: int
    order_reference: str = ""
    reference: str = ""


def shipment_line_key_of(line: ShipmentLine, provider_id: str, occurrence: int = 1) -> str:
    """The key under which staging knows a shipment line that has no line number."""
    return f"{provider_id}:{line.shipment_id}:{line.order_reference}:{line.sku}::{occurrence}"


def write_files(
    shipments: Iterable[ShipmentLine],
    folder: Path,
    *,
    returns: Iterable[ReturnLine] = (),
    levels: Iterable[StockLevel] = (),
    movements: Iterable[StockMovement] = (),
) -> list[Path]:
    """One file of each kind for each day (UTC) on which something happened; the same lines give the same bytes."""
    kinds: tuple[tuple[str, str, list[Any], Sequence[str]], ...] = (
        ("shipments", "shipped_at", list(shipments), _names(ShipmentLine)),
        ("returns", "received_at", list(returns), _names(ReturnLine)),
        ("stock_levels", "as_of", list(levels), (*_names(StockLevel), "available")),
        ("stock_movements", "moved_at", list(movements), _names(StockMovement)),
    )
    written = []
    for kind, moment, lines, names in kinds:
        days: dict[date, list[Any]] = {}
        for line in lines:
            days.setdefault(datetime.fromtimestamp(getattr(line, moment), UTC).date(), []).append(line)
        for day, found in sorted(days.items()):
            rows = [{name: _text(name, getattr(line, name)) for name in names} for line in found]
            written.append(write_csv(folder / f"{kind}_{day:%Y%m%d}.csv", names, rows))
    return written


def _names(kind: type) -> list[str]:
    return [field.name for field in fields(kind)]


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name.endswith("_at") or name == "as_of":
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)
