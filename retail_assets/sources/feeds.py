"""CSV files that are known by their columns: read by name or by a mapping, checked by row, never counted twice.

A feed is one kind of file for one raw table. Without a mapping its headers are the names of our columns; case, blanks
and punctuation of a header do not matter then.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pyarrow as pa

from retail_assets.contracts import Table
from retail_assets.mapping import CsvMapping
from retail_assets.ops.quarantine import Rejection
from retail_assets.sources.csvfiles import CsvError, CsvFile, open_csv
from retail_assets.sources.files import DroppedFile
from retail_assets.sources.intake import Intake
from retail_assets.sources.mapped import broken_rows, column_types, mapped_rows, open_mapped
from retail_assets.sources.records import Batch
from retail_assets.sources.schema import compute as pc
from retail_assets.sources.textrows import convert_text

#: Columns that a feed fills by itself.
_OURS: Final = ("file_name", "file_sha256", "row_number", "occurrence")
_LARGEST_KEPT_FILE: Final = 1 << 20

Columns = Mapping[str, Any]


def _no_more(file: DroppedFile, header: Sequence[str]) -> Columns:
    return {}


@dataclass(frozen=True, slots=True)
class Feed:
    """One kind of file.

    Attributes:
        table: the raw table that its rows become.
        wanted: columns of ours without which a file is none of this kind.
        mapping: how its columns map to ours; None if they bear our names.
        dialect: of files that bear our names, what ``CsvMapping`` has besides columns (``time_zone``, …).
        more: of such files, further columns as ``CsvMapping`` has them, by the file and its header.
    """

    table: Table
    wanted: Sequence[str]
    mapping: CsvMapping | None = None
    dialect: Mapping[str, Any] = field(default_factory=dict)
    more: Callable[[DroppedFile, Sequence[str]], Columns] = _no_more

    @property
    def names(self) -> list[str]:
        """The columns that a file may have."""
        return [column.name for column in self.table.columns if column.name not in _OURS]

    def check(self, where: str) -> None:
        """See that the mapping fits; MappingError names what does not. ``where`` is its place in ``retail.yaml``."""
        if self.mapping is not None:
            self.mapping.check(where, allowed=self.names, required=self.wanted)

    def missing(self, header: Sequence[str]) -> list[str]:
        """The wanted columns that a file of our names lacks."""
        there = {_plain(name) for name in header}
        return [name for name in self.wanted if name not in there]

    def by_name(self, file: DroppedFile, header: Sequence[str]) -> CsvMapping:
        """The mapping of a file that bears our names."""
        there = {_plain(name): name for name in reversed(header)}
        columns = {name: there[name] for name in self.names if name in there}
        return CsvMapping.model_validate({**self.dialect, "columns": {**columns, **self.more(file, header)}})


@dataclass(frozen=True, slots=True)
class OpenFeed:
    """A file, the kind it is of, and how it is read."""

    feed: Feed
    file: DroppedFile
    csv: CsvFile
    mapping: CsvMapping


def open_feed(file: DroppedFile, feeds: Sequence[Feed]) -> OpenFeed:
    """The feed that a file belongs to: of those whose columns it has, the one that uses most of them.

    Raises:
        CsvError: it is no CSV file, or of no such kind; says what it lacks.
    """
    found: list[OpenFeed] = []
    lacks: list[str] = []
    for feed in feeds:
        try:
            if feed.mapping is not None:
                found.append(OpenFeed(feed, file, open_mapped(file.path, feed.mapping), feed.mapping))
                continue
            opened = open_csv(file.path)
        except CsvError as error:
            lacks.append(str(error))
            continue
        if missing := feed.missing(opened.header):
            header = ", ".join(opened.header)
            lacks.append(f"as {feed.table.name} it lacks the columns {', '.join(missing)}; its header is {header}")
        else:
            found.append(OpenFeed(feed, file, opened, feed.by_name(file, opened.header)))
    if not found:
        raise CsvError(f"{file.name} is of no known kind: {'; '.join(dict.fromkeys(lacks))}")
    return max(found, key=lambda one: len(one.mapping.columns))


def refused(file: DroppedFile, table: Table, error: Exception) -> Batch:
    """A file that cannot be read, as one rejected record."""
    with file.path.open("rb") as opened:
        content = opened.read(_LARGEST_KEPT_FILE)
    return Batch(table, 1, {}, [Rejection(file.name, None, None, str(error), file.name, content)])


def read_feed(opened: OpenFeed, intake: Intake) -> Iterator[Batch]:
    """A file's rows as batches; good rows close what an earlier file had in quarantine under their key.

    A file without rows is noted in the counts of the resource, which is called as the table is.
    """
    table, file = opened.feed.table, opened.file
    occurrences: Counter[tuple[Any, ...]] = Counter()
    first_rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    is_empty = True
    for rows in mapped_rows(opened.csv, opened.mapping, column_types(table)):
        count = rows.raw.num_rows
        is_empty = is_empty and not count and not rows.ignored
        columns = {name: _present(array) for name, array in rows.columns.items()}
        for column in table.columns:
            if column.required and column.type == "text" and column.name not in (*columns, *_OURS):
                columns[column.name] = pa.array([""] * count, pa.string())
        keys = [name for name in table.primary_key if name in columns]
        identities = list(zip(*(columns[name].to_pylist() for name in keys), strict=True))
        if "occurrence" in table.primary_key:
            columns["occurrence"] = _numbered(identities, occurrences)
        else:
            contents = zip(*(column.to_pylist() for column in columns.values()), strict=True)
            for row, (identity, content) in enumerate(zip(identities, contents, strict=True)):
                if first_rows.setdefault(identity, content) != content:
                    fault = (keys[-1], str(identity[-1]), "is there twice in this file, with different values")
                    rows.faults.setdefault(row, fault)
        columns["file_name"] = pa.array([file.name] * count, pa.string())
        columns["file_sha256"] = pa.array([file.sha256] * count, pa.string())
        columns["row_number"] = pa.array(rows.row_numbers, pa.int64())
        batch = convert_text(
            table,
            columns,
            instance=intake.instance,
            loaded_at=intake.now,
            origin=file.name,
            raw=rows.raw,
            row_numbers=rows.row_numbers,
            faults=rows.faults,
        )
        yield replace(batch, loaded_keys=_good_keys(batch))
    ragged = [row.rejection(file.name) for row in broken_rows(opened.csv, opened.mapping)]
    if is_empty and not ragged:
        intake.counts_of(table.name).notes.append(f"{file.name} has no rows")
    yield Batch(table, len(ragged), {}, ragged, [file.name])


def _present(array: pa.Array) -> pa.Array:
    """Text that is empty rather than absent: a key has no nulls."""
    return pc.fill_null(array, "") if array.type == pa.string() else array


def _numbered(identities: Sequence[tuple[Any, ...]], occurrences: Counter[tuple[Any, ...]]) -> pa.Array:
    positions = []
    for identity in identities:
        occurrences[identity] += 1
        positions.append(occurrences[identity])
    return pa.array(positions, pa.int64())


def _good_keys(batch: Batch) -> list[str]:
    """The keys of the loaded rows, as quarantine names those of rejected ones, without any that is there as well."""
    rows = batch.tables[batch.contract]
    names = [name for name in batch.contract.primary_key if name != batch.contract.instance_column]
    columns = [rows.column(name).to_pylist() for name in names]
    bad = {rejection.record_key for rejection in batch.rejected}
    return [key for parts in zip(*columns, strict=True) if (key := "/".join(map(str, parts))) not in bad]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")
