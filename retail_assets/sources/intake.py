"""What a source was given and what became of it: received = loaded + quarantined, always.

Rejected records go to the operations store before the load that leaves them out is committed, so that a crash between
the two can only repeat them, never lose them. Rows are gathered before dlt gets them, since it does much work for each
item, however small.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final

import dlt
import pyarrow as pa
from dlt.sources import DltResource
from sqlalchemy import Engine

from retail_assets.contracts import Table
from retail_assets.http import Traffic
from retail_assets.ops import drift, load_log, quarantine
from retail_assets.ops.store import open_store
from retail_assets.sources.observed import Observation, sampled_places
from retail_assets.sources.records import Batch
from retail_assets.sources.schema import SCHEMA_CONTRACT, dlt_columns

#: Records after which a portion of a long load is full: what came so far is then committed, with its checkpoint.
PORTION: Final = 50_000
#: Of the gathered rows of one resource, those of the largest table are handed to dlt when all take this much memory.
_GATHERED_BYTES: Final = 12 << 20
_SECONDS_BETWEEN_REPORTS: Final = 5.0
_REFUSED_LOOKED_AT: Final = 5


class StalledLoadError(Exception):
    """A source that is read in portions makes no progress."""


@dataclass(slots=True)
class Counts:
    """Records of one resource in one load."""

    received: int = 0
    loaded: int = 0
    quarantined: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one resource of a load is: records received so far, in so many seconds, with so many requests."""

    instance: str
    resource: str
    received: int
    seconds: float
    requests: int

    @property
    def per_second(self) -> float:
        """Records a second since the resource was begun."""
        return self.received / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        sent = f", {self.requests:,} requests" if self.requests else ""
        return f"{self.instance} {self.resource}: {self.received:,} records so far, {self.per_second:,.0f}/s{sent}"


@dataclass
class _Gathered:
    """Rows that wait to be handed on, by table, and how much memory they take."""

    parts: dict[Table, list[pa.Table]] = field(default_factory=dict)
    sizes: Counter[Table] = field(default_factory=Counter)

    def add(self, table: Table, rows: pa.Table) -> None:
        """Let rows wait."""
        self.parts.setdefault(table, []).append(rows)
        self.sizes[table] += rows.nbytes

    def too_many(self) -> Table | None:
        """The table that waits with most, once all together take too much memory."""
        return self.sizes.most_common(1)[0][0] if self.sizes.total() >= _GATHERED_BYTES else None

    def taken(self, table: Table) -> pa.Table:
        """All that waits for a table, which waits no longer."""
        del self.sizes[table]
        return pa.concat_tables(self.parts.pop(table))


@dataclass
class Intake:
    """The door of one source instance: everything it receives passes here, once.

    ``now`` is the loading time (aware, UTC). The operations store at ``operations_url`` is opened when first needed.
    ``thorough`` says that this load is to find what no change told of, however recently that was looked for.
    ``asked`` names the records that are to be read, ids by resource; a source that can read records by id reads no
    others then and leaves its cursors alone, any other reads what changed. ``report``
    is told how far a long load is, every few seconds. ``portion`` is how many records make a portion full.
    ``traffic`` counts the requests of the clients that are made while it is watching.

    A load may be taken in portions. A source that can go on where it stopped asks at each of its checkpoints whether
    the portion is full (``portion_full``); if so it saves its checkpoint in its state, says that there is more
    (``more``) and returns. What it yielded is then committed together with the checkpoint, and the source is run again,
    with ``begin_portion`` in between, until none of its resources has more.
    """

    system: str
    instance: str
    now: datetime
    operations_url: str
    report: Callable[[Progress], None] | None = None
    portion: int = PORTION
    thorough: bool = False
    asked: Mapping[str, Sequence[int]] = field(default_factory=dict)
    counts: dict[str, Counts] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)
    traffic: Traffic = field(default_factory=Traffic)
    drifts: list[drift.Drift] = field(default_factory=list)
    _observed: dict[str, Observation] = field(default_factory=dict)
    _gathered: dict[str, _Gathered] = field(default_factory=dict)
    _begun: dict[str, float] = field(default_factory=dict)
    _reported: float = 0.0
    _in_portion: int = 0

    @cached_property
    def operations(self) -> Engine:
        return open_store(self.operations_url)

    @cached_property
    def _open_rejections(self) -> dict[str, set[str]]:
        """Keys of records in quarantine by table: only these can be superseded, and there are few."""
        found: dict[str, set[str]] = {}
        for row in quarantine.rows(self.operations, status="open"):
            if (row["system"], row["instance_id"]) == (self.system, self.instance) and row["record_key"] is not None:
                found.setdefault(row["table_name"], set()).add(row["record_key"])
        return found

    def close(self) -> None:
        """Give the operations store back."""
        if "operations" in self.__dict__:
            self.operations.dispose()
            del self.operations

    def counts_of(self, resource: str) -> Counts:
        """The running counts of one resource."""
        return self.counts.setdefault(resource, Counts())

    def resource(self, name: str, rows: Callable[[], Iterable[Any]]) -> DltResource:
        """A dlt resource whose batches are gathered and whose progress is seen.

        Args:
            rows: yields what ``take`` and ``merge_item`` give; nothing is read before it is iterated.
        """

        def whole() -> Iterator[Any]:
            self.counts_of(name)
            self._begun.setdefault(name, time.monotonic())
            gathered = self._gathered[name] = _Gathered()
            yield from rows()
            for table in list(gathered.parts):
                yield merge_item(table, gathered.taken(table))
            del self._gathered[name]

        return dlt.resource(whole, name=name, schema_contract=SCHEMA_CONTRACT, write_disposition="merge")

    def take(self, batch: Batch, resource: str) -> Iterator[Any]:
        """Count a batch, quarantine what was rejected, and hand the rest to dlt as merge items."""
        counts = self.counts_of(resource)
        counts.received += batch.received
        counts.loaded += batch.loaded
        counts.quarantined += len(batch.rejected)
        self._in_portion += batch.received
        if batch.rejected:
            self._quarantine(batch)
        if batch.loaded_keys:
            self._supersede(batch)
        self._observe(batch)
        self._report_now_and_then(resource, counts)
        gathered = self._gathered.get(resource)
        for table, rows in batch.tables.items():
            if not rows.num_rows:
                continue
            if gathered is None:
                yield merge_item(table, rows)
            else:
                gathered.add(table, rows)
        if gathered is not None and (most := gathered.too_many()) is not None:
            yield merge_item(most, gathered.taken(most))

    def portion_full(self) -> bool:
        """Whether a source should stop at the checkpoint it has reached."""
        return self._in_portion >= self.portion

    def more(self, resource: str) -> None:
        """Say that a resource stopped at a checkpoint and has more to read."""
        self.unfinished.add(resource)

    def begin_portion(self) -> set[str]:
        """Start the next portion of a load: the resources that had more, and are now to be run again.

        Raises:
            StalledLoadError: the last portion brought nothing, so the next would not either.
        """
        if self.unfinished and not self._in_portion:
            raise StalledLoadError(
                f"{self.system} {self.instance}: {', '.join(sorted(self.unfinished))} stopped for the next portion, "
                "but the last one brought no record: the source does not go on from its checkpoint"
            )
        waiting, self.unfinished = self.unfinished, set()
        self._in_portion = 0
        return waiting

    def log(self, run_id: str | None = None) -> None:
        """Write the counts of a load that has committed to the load log, and note what changed in its records' shape.

        A load of records that were asked for, and a portion with more to come, are counted, but tell nobody that the
        source was read.

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
                is_complete=not self.asked and resource not in self.unfinished,
            )
        observed, self._observed = self._observed, {}
        if observed:
            self.drifts += drift.record(
                self.operations,
                system=self.system,
                instance_id=self.instance,
                observations=observed,
                now=self.now,
            )

    def _observe(self, batch: Batch) -> None:
        """Look at the shape of some records, also of those that were refused: a flipped type is refused."""
        if batch.headers and batch.received:
            self._observed.setdefault(batch.contract.name, Observation()).look_at_headers(batch.headers)
        rows = batch.tables.get(batch.contract)
        payloads = [rejection.payload for rejection in batch.rejected[:_REFUSED_LOOKED_AT]]
        if rows is not None and "_payload" in rows.column_names:
            kept = rows.column("_payload")
            payloads += [kept[place].as_py().encode() for place in sampled_places(len(kept))]
        if payloads and batch.contract.keeps_payload:
            self._observed.setdefault(batch.contract.name, Observation()).look_at(batch.contract, payloads)

    def _quarantine(self, batch: Batch) -> None:
        name = batch.contract.name
        quarantine.record(
            self.operations,
            system=self.system,
            instance_id=self.instance,
            table_name=name,
            rejections=batch.rejected,
            now=self.now,
        )
        keys = {rejection.record_key for rejection in batch.rejected if rejection.record_key is not None}
        self._open_rejections.setdefault(name, set()).update(keys)

    def _supersede(self, batch: Batch) -> None:
        name = batch.contract.name
        good = self._open_rejections.get(name, set()).intersection(batch.loaded_keys)
        if good:
            quarantine.supersede(self.operations, self.system, self.instance, name, good, self.now)
            self._open_rejections[name] -= good

    def _report_now_and_then(self, resource: str, counts: Counts) -> None:
        moment = time.monotonic()
        begun = self._begun.setdefault(resource, moment)
        if self.report is None or moment - max(begun, self._reported) < _SECONDS_BETWEEN_REPORTS:
            return
        self._reported = moment
        self.report(Progress(self.instance, resource, counts.received, moment - begun, self.traffic.requests))


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
