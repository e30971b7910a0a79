"""JSON records, byte for byte as received, to Arrow tables that keep their contract; what breaks it is rejected.

The fast path hands a whole page to Arrow with the contract as explicit schema: exact decimals, no floats, and an error
on anything that does not fit. Only a page that fails is split down to the records at fault. These get a second chance
(PHP writes ``[]`` for an empty object and ``""`` for nothing) and otherwise come back as rejected, with the reason.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from typing import Any, Final, overload

import msgspec
import pyarrow as pa
import pyarrow.json

from retail_assets.contracts import Column, Table, children_of
from retail_assets.ops.quarantine import Rejection
from retail_assets.sources.repair import UnfitError, repair
from retail_assets.sources.schema import ARROW_TYPES, UTC_TIMESTAMP, own_columns, record_schema, table_schema
from retail_assets.sources.schema import compute as pc

_TOMBSTONE_ID: Final = 0
# Arrow's decimal parser reads beyond its table of powers when a number has more than 38 decimals: "12.34" with forty
# zeros becomes 0, 1e-90 a large amount, 1e-99999999 ends the process. Such a page takes the way of the faulty ones.
# Each pattern begins with what it searches for, which is what makes it fast; "JE-00012" is no number.
_MISREAD_BY_ARROW: Final = tuple(
    map(
        re.compile,
        (rb"\.[0-9]{30}", rb'e-(?<=[0-9]e-)[0-9]{2,}["\s,}\]]', rb'E-(?<=[0-9]E-)[0-9]{2,}["\s,}\]]'),
    )
)
_UNREADABLE: Final = (pa.ArrowInvalid, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of one page of records of ``contract``: ``received == loaded + len(rejected)``.

    ``tables`` holds the good rows of the contract's table and of its children, ``loaded_keys`` the good records' keys,
    ``headers`` the columns of the file that the records are rows of.
    """

    contract: Table
    received: int
    tables: Mapping[Table, pa.Table]
    rejected: Sequence[Rejection] = ()
    loaded_keys: Sequence[str] = ()
    headers: Sequence[str] = ()

    @property
    def loaded(self) -> int:
        return self.received - len(self.rejected)


class _Keys(Sequence[str]):
    """The keys of the rows of a table, as text; worked out when first asked for, since that is seldom."""

    def __init__(self, table: Table, rows: pa.Table) -> None:
        self._table = table
        self._rows = rows

    @cached_property
    def _texts(self) -> list[str]:
        names = [name for name in self._table.primary_key if name != self._table.instance_column]
        columns = [self._rows.column(name).to_pylist() for name in names]
        return ["/".join(map(str, key)) for key in zip(*columns, strict=True)]

    def __len__(self) -> int:
        return self._rows.num_rows

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._texts[index]


@dataclass(slots=True)
class _Parsed:
    """Records that fit, beside the rows Arrow made of them and their bytes as an Arrow array."""

    rows: list[pa.Table] = field(default_factory=list)
    texts: list[pa.Array] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    given: list[Mapping[str, Any]] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)


def convert(
    table: Table,
    records: Sequence[bytes],
    *,
    instance: str,
    loaded_at: datetime,
    origin: str,
    given: Sequence[Mapping[str, Any]] | None = None,
) -> Batch:
    """Turn one page of JSON records into Arrow tables for ``table`` and its children.

    Args:
        records: one JSON object each, as received.
        instance: id of the store, gateway, bank or ERP.
        loaded_at: aware time of loading.
        origin: the request or file they came from, for the reader of an error.
        given: per record, values of columns that the record itself lacks (an id that is only in the address).

    Returns:
        The rows that keep the contract, and the records that break it.
    """
    parsed = _Parsed()
    _parse(table, list(records), list(given or ()), origin, parsed)
    if not parsed.rows:
        return Batch(table, len(records), {}, parsed.rejected)
    root = _leaves(pa.concat_tables(parsed.rows))
    columns = _root_columns(table, root, parsed.given)
    lists = {child: _children(child, root, columns) for child in children_of(table)}

    faults = broken_rules(table, columns)
    for child, (child_columns, parents) in lists.items():
        # Without this a list that was renamed or left out would remove the children that are there.
        given_lists = root[child.list_path or ""]
        if not child.optional and given_lists.null_count:
            for row in pc.indices_nonzero(pc.is_null(given_lists)).to_pylist():
                faults.setdefault(row, (child.list_path or "", None, "is missing, but the contract requires it"))
        for row, (column, value, reason) in broken_rules(child, child_columns).items():
            faults.setdefault(parents[row].as_py(), (f"{child.list_path}[].{column}", value, reason))
    for row, (column, value, reason) in sorted(faults.items()):
        payload = parsed.payloads[row]
        key = record_key(table, columns, row)
        parsed.rejected.append(Rejection(key, column, value, reason, f"{origin}, record {key}", payload))

    if table.keeps_payload:
        columns["_payload"] = pa.concat_arrays(parsed.texts)
        columns["_payload_sha256"] = pa.array([hashlib.sha256(payload).hexdigest() for payload in parsed.payloads])
    keep = pa.array([row not in faults for row in range(len(parsed.payloads))]) if faults else None
    kept = _filter(columns, keep)
    tables = {table: finish(table, kept, instance, loaded_at, None)}
    for child, (child_columns, parents) in lists.items():
        rows = _filter(child_columns, None if keep is None else pc.take(keep, parents))
        lengths = _filter({"": pc.list_value_length(root[child.list_path or ""])}, keep)[""]
        # A record that lacks an optional list says nothing about it: what is there stays.
        childless = kept["id"].filter(pc.equal(lengths, 0))
        tables[child] = _finish_child(child, rows, childless, instance, loaded_at)
    return Batch(table, len(records), tables, parsed.rejected, _Keys(table, tables[table]))


def from_rows(
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    instance: str,
    loaded_at: datetime,
    payloads: Sequence[bytes] | None = None,
) -> pa.Table:
    """Rows that a parser of ours already typed (bank files, settings) as an Arrow table of the contract.

    Raises:
        pyarrow.ArrowException: a value does not fit its declared type; that is a fault of the parser, not of the input.
    """
    columns = {
        column.name: pa.array([row.get(column.name) for row in rows], type=ARROW_TYPES[column.type])
        for column in table.columns
    }
    return finish(table, columns, instance, loaded_at, payloads)


def _parse(table: Table, records: list[bytes], given: list[Mapping[str, Any]], origin: str, parsed: _Parsed) -> None:
    """Parse what fits in one go; on an error halve until the records at fault are alone."""
    if not records:
        return
    try:
        texts = _texts(records)
        lines = _lines(records)
        _require_safe(records, lines)
        rows = _read(table, records, lines)
    except _UNREADABLE:
        if len(records) > 1:
            middle = len(records) // 2
            _parse(table, records[:middle], given[:middle], origin, parsed)
            _parse(table, records[middle:], given[middle:], origin, parsed)
            return
        try:
            texts = _texts(records)
            repaired = [repair(table, records[0])]
            rows = _read(table, repaired, _lines(repaired))
        except UnfitError as fault:
            where = f"{origin}, record {fault.key or '?'}"
            parsed.rejected.append(Rejection(fault.key, fault.field, fault.value, fault.reason, where, records[0]))
            return
        except _UNREADABLE as error:
            reason = f"cannot be read: {error}"
            parsed.rejected.append(Rejection(None, None, None, reason, f"{origin}, record ?", records[0]))
            return
    parsed.rows.append(rows)
    parsed.texts.append(texts)
    parsed.payloads.extend(records)
    parsed.given.extend(given)


def _texts(records: Sequence[bytes]) -> pa.Array:
    """The records as text. Arrow's JSON reader takes what is no UTF-8 as it comes; here it is refused."""
    return pa.array(records, pa.binary()).cast(pa.string())


def _lines(records: Sequence[bytes]) -> bytes:
    # A line break inside valid JSON can only be white space, so a blank may take its place.
    return b"\n".join(
        record.replace(b"\n", b" ").replace(b"\r", b" ") if b"\n" in record or b"\r" in record else record
        for record in records
    )


def _require_safe(records: Sequence[bytes], lines: bytes) -> None:
    """Refuse what Arrow's reader would misread, or not survive: a bare null ends the process as well."""
    if not all(record.startswith(b"{") or record.lstrip().startswith(b"{") for record in records):
        raise pa.ArrowInvalid("a record is no JSON object")
    if any(pattern.search(lines) for pattern in _MISREAD_BY_ARROW):
        raise pa.ArrowInvalid("a number has more decimals than Arrow can read")


def _read(table: Table, records: Sequence[bytes], lines: bytes) -> pa.Table:
    parsed = pyarrow.json.read_json(
        pa.BufferReader(lines),
        read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        parse_options=pyarrow.json.ParseOptions(
            explicit_schema=record_schema(table), unexpected_field_behavior="ignore"
        ),
    )
    if parsed.num_rows != len(records):
        raise pa.ArrowInvalid(f"{len(records)} records were sent, {parsed.num_rows} were read")
    parsed.validate(full=True)  # The reader itself lets an amount of 10^14 and more pass, which overflows later on.
    for name, values in _json_columns(table, records).items():
        parsed = parsed.append_column(name, values)
    return parsed


@cache
def _raw_decoder(table: Table) -> tuple[tuple[str, ...], msgspec.json.Decoder] | None:
    names = tuple(column.name for column in table.columns if column.type == "json")
    if not names:
        return None
    fields = [(name, msgspec.Raw, msgspec.Raw(b"null")) for name in names]
    return names, msgspec.json.Decoder(list[msgspec.defstruct("JsonColumns", fields, gc=False)])


def _json_columns(table: Table, records: Sequence[bytes]) -> dict[str, pa.Array]:
    """Columns of type ``json``: the bytes of that member, untouched."""
    decoder = _raw_decoder(table)
    if decoder is None:
        return {}
    names, decode = decoder[0], decoder[1].decode
    members = decode(b"[" + b",".join(records) + b"]")
    values = {name: [bytes(getattr(member, name)) for member in members] for name in names}
    return {
        name: _texts([None if raw == b"null" else raw for raw in raws])  # pyright: ignore[reportArgumentType]
        for name, raws in values.items()
    }


def _leaves(rows: pa.Table) -> dict[str, pa.Array]:
    """Every column by its dotted path, the members of structs as columns of their own."""
    leaves: dict[str, pa.Array] = {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        _add_leaves(leaves, name, column.combine_chunks())
    return leaves


def _add_leaves(leaves: dict[str, pa.Array], path: str, array: pa.Array) -> None:
    if isinstance(array, pa.StructArray):
        for member, values in zip(array.type, array.flatten(), strict=True):
            _add_leaves(leaves, f"{path}.{member.name}" if path else member.name, values)
    else:
        leaves[path] = array


def _root_columns(
    table: Table, root: Mapping[str, pa.Array], given: Sequence[Mapping[str, Any]]
) -> dict[str, pa.Array]:
    columns = {
        column.name: root[column.name] if column.type == "json" else _typed(column, root[column.source_path])
        for column in table.columns
    }
    for name in {name for values in given for name in values}:
        arrow_type = columns[name].type
        columns[name] = pc.coalesce(pa.array([values.get(name) for values in given], arrow_type), columns[name])
    return columns


def _children(
    child: Table, root: Mapping[str, pa.Array], parent_columns: Mapping[str, pa.Array]
) -> tuple[dict[str, pa.Array], pa.Array]:
    """A child's columns, and for each of its rows the index of its parent."""
    lists = root[child.list_path or ""]
    parents = pc.list_parent_indices(lists)
    elements: dict[str, pa.Array] = {}
    _add_leaves(elements, "", pc.list_flatten(lists))
    columns = {column.name: _typed(column, elements[column.source_path]) for column in own_columns(child)}
    # parent_key is (instance, parent's id): the id travels under the child's own name for it.
    columns[child.parent_key[1]] = pc.take(parent_columns["id"], parents)
    return {column.name: columns[column.name] for column in child.columns}, parents


def _typed(column: Column, array: pa.Array) -> pa.Array:
    if column.type == "timestamp":
        return pc.assume_timezone(array, "UTC")
    if column.type == "date":
        return array.cast(pa.date32())
    return array


def broken_rules(table: Table, columns: Mapping[str, pa.Array]) -> dict[int, tuple[str, str | None, str]]:
    """Rows that break a rule of their contract: row → (column, value, reason)."""
    faults: dict[int, tuple[str, str | None, str]] = {}
    for column in table.columns:
        array = columns[column.name]
        if column.required and array.null_count:
            for row in pc.indices_nonzero(pc.is_null(array)).to_pylist():
                faults.setdefault(row, (column.name, None, "is missing, but the contract requires it"))
        if column.minimum is not None:
            low = pc.fill_null(pc.less(array, pa.scalar(column.minimum).cast(array.type)), False)
            for row in pc.indices_nonzero(low).to_pylist():
                value = str(array[row].as_py())
                faults.setdefault(row, (column.name, value, f"must not be below {column.minimum}"))
        if column.pattern is not None:
            fits = pc.fill_null(pc.match_substring_regex(array, f"^(?:{column.pattern})$"), True)
            for row in pc.indices_nonzero(pc.invert(fits)).to_pylist():
                faults.setdefault(row, (column.name, array[row].as_py(), f"does not have the form {column.pattern}"))
    return faults


def _filter(columns: Mapping[str, pa.Array], keep: pa.Array | None) -> dict[str, pa.Array]:
    """The rows to keep; None keeps them all."""
    return dict(columns) if keep is None else {name: array.filter(keep) for name, array in columns.items()}


def finish(
    table: Table,
    columns: Mapping[str, pa.Array],
    instance: str,
    loaded_at: datetime,
    payloads: Sequence[bytes] | None,
) -> pa.Table:
    """Add our own columns, in the order of the contract."""
    count = len(next(iter(columns.values())))
    ours: dict[str, pa.Array] = {**columns, **_common(table, count, instance, loaded_at)}
    if payloads is not None:
        ours["_payload"] = _texts(payloads)
        ours["_payload_sha256"] = pa.array([hashlib.sha256(payload).hexdigest() for payload in payloads], pa.string())
    schema = table_schema(table)
    return pa.table([ours[name] for name in schema.names], schema=schema)


def _finish_child(
    child: Table, columns: Mapping[str, pa.Array], childless: pa.Array, instance: str, loaded_at: datetime
) -> pa.Table:
    """The children's rows, plus a tombstone for each parent that has none, which removes the ones it had before."""
    parent_column = child.parent_key[1]
    count, gone = len(columns[parent_column]), len(childless)
    deleted = pa.nulls(count, pa.bool_())
    joined = dict(columns)
    if gone:
        for column in child.columns:
            tombstones = (
                childless
                if column.name == parent_column
                else pa.repeat(_TOMBSTONE_ID, gone).cast(ARROW_TYPES[column.type])
                if column.name == "id"
                else pa.nulls(gone, ARROW_TYPES[column.type])
            )
            joined[column.name] = pa.concat_arrays([columns[column.name], tombstones])
        deleted = pa.concat_arrays([deleted, pa.repeat(True, gone)])
    joined |= _common(child, count + gone, instance, loaded_at)
    joined["_deleted"] = deleted
    schema = table_schema(child)
    return pa.table([joined[name] for name in schema.names], schema=schema)


def _common(table: Table, count: int, instance: str, loaded_at: datetime) -> dict[str, pa.Array]:
    common = {"_loaded_at": pa.repeat(pa.scalar(loaded_at, UTC_TIMESTAMP), count)}
    if table.instance_column:
        common[table.instance_column] = pa.repeat(instance, count)
    return common


def record_key(table: Table, columns: Mapping[str, pa.Array], row: int) -> str:
    parts = (columns[name][row].as_py() for name in table.primary_key if name in columns)
    return "/".join("?" if part is None else str(part) for part in parts)
