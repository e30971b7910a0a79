"""What a source was given and what became of it: received = loaded + quarantined, always.

Rejected records go to the operations store before the load that leaves them out is committed, so that a crash between
the two can only repeat them, never lose them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import dlt
from sqlalchemy import Engine

from retail_assets.contracts import Table
from retail_assets.ops import load_log, quarantine
from retail_assets.ops.store import open_store
from retail_assets.sources.records import Batch
from retail_assets.sources.schema import dlt_columns


@dataclass(slots=True)
class Counts:
    """Records of one resource in one load."""

    received: int = 0
    loaded: int = 0
    quarantined: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass
class Intake:
    """The door of one source instance: everything it receives passes here, once.

    ``now`` is the loading time (aware, UTC). The operations store at ``operations_url`` is opened when first needed.
    """

    system: str
    instance: str
    now: datetime
    operations_url: str
    counts: dict[str, Counts] = field(default_factory=dict)

    @cached_property
    def operations(self) -> Engine:
        return open_store(self.operations_url)

    def close(self) -> None:
        """Give the operations store back."""
        if "operations" in self.__dict__:
            self.operations.dispose()
            del self.operations

    def counts_of(self, resource: str) -> Counts:
        """The running counts of one resource."""
        return self.counts.setdefault(resource, Counts())

    def take(self, batch: Batch, resource: str) -> Iterator[Any]:
        """Count a batch, quarantine what was rejected, and hand the rest to dlt as merge items."""
        counts = self.counts_of(resource)
        counts.received += batch.received
        counts.loaded += batch.loaded
        counts.quarantined += len(batch.rejected)
        table_name = batch.contract.name
        if batch.rejected:
            quarantine.record(
                self.operations,
                system=self.system,
                instance_id=self.instance,
                table_name=table_name,
                rejections=batch.rejected,
                now=self.now,
            )
        if batch.loaded_keys:
            quarantine.supersede(self.operations, self.system, self.instance, table_name, batch.loaded_keys, self.now)
        for table, rows in batch.tables.items():
            if rows.num_rows:
                yield merge_item(table, rows)

    def log(self, run_id: str | None = None) -> None:
        """Write the counts of a load that has committed to the load log.

        Raises:
            CountMismatchError: received is not loaded plus quarantined; a record was lost in our own hands.
        """
        for resource, counts in self.counts.items():
            load_log.record(
                self.operations,
                system=self.system,
                instance_id=self.instance,
                resource=resource,
                received=counts.received,
                loaded=counts.loaded,
                quarantined=counts.quarantined,
                loaded_at=self.now,
                run_id=run_id,
            )


def merge_item(table: Table, rows: Any) -> Any:
    """Arrow rows for dlt, merged on the contract's key; by a parent's key they replace all its former rows."""
    replaced: dict[str, Any] = {"merge_key": list(table.parent_key)} if table.parent_key else {}
    hints = dlt.mark.make_hints(
        table_name=table.name,
        write_disposition="merge",
        primary_key=list(table.primary_key),
        columns=dlt_columns(table),
        **replaced,
    )
    return dlt.mark.with_hints(rows, hints, create_table_variant=True)
