"""Reports read without a warehouse behind: what came through the door, and what was refused at it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import dlt

from retail_assets.ops.quarantine import Rejection
from retail_assets.settings import instance_of
from retail_assets.sources.adyen.source import _details
from retail_assets.sources.intake import Counts, Intake
from retail_assets.sources.records import Batch


def gateway(**settings: Any) -> Any:
    """A configured account."""
    block = {"id": "adyen_eu", "system": "adyen", "entity": "DE", "bank": "bank_de", "folder": "adyen_eu"}
    return instance_of("gateways", {**block, "stores": [{"store": "shop_de"}], **settings})


class Door(Intake):
    """An intake that keeps what it is handed, without stores behind it."""

    def __init__(self) -> None:
        super().__init__("adyen", "adyen_eu", datetime(2026, 11, 5, tzinfo=UTC), "")
        self.details: list[dict[str, Any]] = []
        self.batches: list[dict[str, Any]] = []
        self.rejected: list[Rejection] = []

    @property
    def seen(self) -> Counts:
        """The counts of the one resource."""
        return self.counts["settlement_details"]

    def take(self, batch: Batch, resource: str) -> Iterator[Any]:
        counts = self.counts_of(resource)
        counts.received += batch.received
        counts.loaded += batch.loaded
        counts.quarantined += len(batch.rejected)
        self.rejected += batch.rejected
        for rows in batch.tables.values():
            self.details += rows.to_pylist()
        yield from ()


def read(folder: Path, **settings: Any) -> Door:
    """Read the files of a folder as the source does."""
    door = Door()
    with mock.patch.object(dlt.current, "resource_state", dict):
        for item in _details(gateway(**settings), folder, door):
            door.batches += item.data.to_pylist()
    return door
