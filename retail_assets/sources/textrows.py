"""Rows of text (CSV files) to Arrow tables that keep their contract; a row that breaks it is rejected, the others load.

Everything is done by columns: a file of a million rows costs seconds. A column that is written plainly is cast at once;
in any other what is no number, date or time is found by its form before it is cast, so that each bad row can be named.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from retail_assets.contracts import Column, ColumnType, Table
from retail_assets.ops.quarantine import Rejection
from retail_assets.sources.records import Batch, broken_rules, finish, record_key
from retail_assets.sources.schema import ARROW_TYPES
from retail_assets.sources.schema import compute as pc

#: What a text must look like to be cast without loss; trailing zeros beyond the scale are no loss.
_FORMS: Final[Mapping[ColumnType, str]] = {
    "integer": r"^[+-]?[0-9]{1,18}$",
    "amount": r"^[+-]?([0-9]{1,14}(\.[0-9]{0,4}0{0,20})?|\.[0-9]{1,4}0{0,20})$",
    "rate": r"^[+-]?([0-9]{1,16}(\.[0-9]{0,12}0{0,20})?|\.[0-9]{1,12}0{0,20})$",
    "boolean": r"^(?i:true|false|1|0|yes|no|y|n)$",
    "timestamp": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?$",
    "date": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
}
_IN_WORDS: Final[Mapping[ColumnType, str]] = {
    "integer": "is not a whole number",
    "amount": "is not an amount with at most 14 digits before and 4 after the point, such as 1234.50",
    "rate": "is not a number with at most 16 digits before and 12 after the point",
    "boolean": "is neither true nor false",
    "timestamp": "is not a date and time such as 2026-11-05T12:00:00",
    "date": "is not a date such as 2026-11-05",
}
# What Arrow casts as it is meant; whatever holds another character is looked at closely.
_PLAIN_CHARACTERS: Final[Mapping[ColumnType, bytes]] = {
    "integer": b"0123456789-",
    "amount": b"0123456789-.",
    "rate": b"0123456789-.",
}
_PLAIN_MOMENTS: Final[Mapping[ColumnType, bytes]] = {"timestamp": b"0000-00-00 00:00:00", "date": b"0000-00-00"}
_DIGITS_ALIKE: Final = bytes.maketrans(b"123456789T", b"000000000 ")
_LONGEST_PLAIN_NUMBER: Final = 18
_TRUE: Final = pa.array(["true", "1", "yes", "y"])
_LONGEST_SHOWN_VALUE: Final = 200

Faults = dict[int, tuple[str, str | None, str]]


def convert_text(
    table: Table,
    columns: Mapping[str, pa.Array],
    *,
    instance: str,
    loaded_at: datetime,
    origin: str,
    raw: pa.Table,
    row_numbers: Sequence[int],
    faults: Mapping[int, tuple[str, str | None, str]] | None = None,
) -> Batch:
    """Turn a block of rows into the Arrow table of a contract that keeps no payload.

    Args:
        columns: our column → its values, as text to be cast or already of the contract's Arrow type. Columns that are
            not given are null. Numbers have a point and no grouping, times are UTC, dates ISO; white space around and
            an empty text mean nothing, except in a column of type text.
        origin: the file, for the reader of an error.
        raw: the same rows as they were in the file, all text: what quarantine keeps of a bad one.
        row_numbers: the rows' numbers in the file.
        faults: row → (field, value, reason) of rows that the caller found wrong already.

    Returns:
        The rows that keep the contract, and the rows that break it.
    """
    count = raw.num_rows
    found: Faults = dict(faults or {})
    typed = {column.name: _typed(column, columns.get(column.name), count, found) for column in table.columns}
    for row, fault in broken_rules(table, typed).items():
        found.setdefault(row, fault)
    rejected = [
        Rejection(
            record_key(table, typed, row),
            field,
            value,
            reason,
            f"{origin}, row {row_numbers[row]}",
            row_as_json(raw, row),
        )
        for row, (field, value, reason) in sorted(found.items())
    ]
    if found:
        keep = pa.array([row not in found for row in range(count)])
        typed = {name: array.filter(keep) for name, array in typed.items()}
    rows = finish(table, typed, instance, loaded_at, None)
    return Batch(table, count, {table: rows}, rejected, headers=raw.column_names)


def row_as_json(raw: pa.Table, row: int) -> bytes:
    """One row of a file as a JSON object, for quarantine."""
    values = {name: raw.column(name)[row].as_py() for name in raw.column_names}
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _typed(column: Column, given: pa.Array | pa.ChunkedArray | None, count: int, faults: Faults) -> pa.Array:
    target = ARROW_TYPES[column.type]
    if given is None:
        return pa.nulls(count, target)
    array: Any = given.combine_chunks() if isinstance(given, pa.ChunkedArray) else given
    if array.type == target:
        return array
    plain = _plain(column, array)
    if plain is not None:
        return plain
    text = pc.utf8_trim_whitespace(array)
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    fits = pc.fill_null(pc.match_substring_regex(text, _FORMS[column.type]), True)
    text = _without(text, fits, column, faults)
    if column.type == "boolean":
        return pc.if_else(pc.is_null(text), pa.scalar(None, pa.bool_()), pc.is_in(pc.utf8_lower(text), _TRUE))
    if column.type in ("amount", "rate"):
        return _decimal(text, target)
    if column.type == "integer":
        return pc.replace_substring_regex(text, r"^\+", "").cast(target)
    parsed = _moments(text, column.type)
    # The form was right, but there is no such day or hour.
    _without(text, pc.or_(pc.is_valid(parsed), pc.is_null(text)), column, faults)
    return pc.assume_timezone(parsed, "UTC") if column.type == "timestamp" else parsed


def _plain(column: Column, array: pa.Array) -> pa.Array | None:
    """The column cast at once, if every value is written in the plainest way; None if it must be looked at closely.

    Arrow's casts take more than we do (``1e5``, ``2026-11-05 10:00``) and misread very long numbers. So the bytes of
    the whole column are compared with what they may be, which costs far less than a regular expression a value.
    """
    filled = pc.drop_null(pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array))
    if not len(filled):
        return pa.nulls(len(array), ARROW_TYPES[column.type])
    content = _bytes_of(filled)
    if column.type in _PLAIN_CHARACTERS:
        longest = pc.max(pc.binary_length(filled)).as_py()
        if longest > _LONGEST_PLAIN_NUMBER or content.translate(None, _PLAIN_CHARACTERS[column.type]):
            return None
    elif column.type in _PLAIN_MOMENTS:
        if content.translate(_DIGITS_ALIKE) != _PLAIN_MOMENTS[column.type] * len(filled):
            return None
    else:
        return None
    try:
        cast = filled.cast(pa.timestamp("us") if column.type == "timestamp" else ARROW_TYPES[column.type])
    except pa.ArrowInvalid:
        return None
    if column.type in _PLAIN_MOMENTS and _has_year_zero(cast):
        return None
    if column.type == "timestamp":
        cast = pc.assume_timezone(cast, "UTC")
    if len(cast) == len(array):
        return cast
    return pc.replace_with_mask(pa.nulls(len(array), cast.type), pc.fill_null(pc.not_equal(array, ""), False), cast)


def _bytes_of(array: pa.Array) -> bytes:
    """The bytes of a column without nulls, one value behind the other."""
    _, offsets, content = array.buffers()
    bounds = memoryview(offsets).cast("i")
    first, last = bounds[array.offset], bounds[array.offset + len(array)]
    return bytes(memoryview(content)[first:last])


def _without(text: pa.Array, fits: pa.Array, column: Column, faults: Faults) -> pa.Array:
    """The texts that fit; the others are noted as faults and become null."""
    if pc.all(fits, min_count=0).as_py():
        return text
    for row in pc.indices_nonzero(pc.invert(fits)).to_pylist():
        shown = text[row].as_py()[:_LONGEST_SHOWN_VALUE]
        faults.setdefault(row, (column.name, shown, _IN_WORDS[column.type]))
    return pc.if_else(fits, text, pa.scalar(None, pa.string()))


def _decimal(text: pa.Array, target: Any) -> pa.Array:
    # Arrow reads neither a leading plus nor trailing zeros beyond the scale.
    scale = target.scale
    cut = pc.replace_substring_regex(text, r"^\+", "")
    cut = pc.replace_substring_regex(cut, rf"(\.[0-9]{{{scale}}})0+$", r"\1")
    return pc.replace_substring_regex(cut, r"\.$", "").cast(target)


def _moments(text: pa.Array, kind: ColumnType) -> pa.Array:
    """Naive times or dates; null where the form is right but there is no such time or day."""
    target = pa.date32() if kind == "date" else pa.timestamp("us")
    blank = pc.replace_substring(text, "T", " ")
    try:
        moments = blank.cast(target)
    except pa.ArrowInvalid:
        moments = None
    if moments is None or _has_year_zero(moments):
        moments = pa.array([_moment(value) for value in blank.to_pylist()], pa.timestamp("us")).cast(target)
    return moments


def _has_year_zero(moments: pa.Array) -> bool:
    """Arrow knows a year 0, which neither Python nor a database does; some systems write it for "no date"."""
    first = pa.scalar(datetime(1, 1, 1)).cast(moments.type)  # noqa: DTZ001 - naive, as the column is
    return bool(pc.any(pc.less(moments, first), min_count=0).as_py())


def _moment(value: str | None) -> datetime | None:
    try:
        return None if value is None else datetime.fromisoformat(value)
    except ValueError:
        return None
