"""CSV files of systems that nobody has written code for, read as their mapping in ``retail.yaml`` says.

What comes out are our columns as ``textrows.convert_text`` takes them: numbers with a point and without grouping, signs
as ours, times in UTC. What a mapping cannot make sense of is a fault of its row, never a guess.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa

from retail_assets.contracts import ColumnType, Table
from retail_assets.mapping import ColumnSource, CsvMapping, RowFilter
from retail_assets.money import UnknownCurrencyError, exponent
from retail_assets.sources.csvfiles import CsvFile, RaggedRow, open_csv, plain_name
from retail_assets.sources.schema import ARROW_TYPES
from retail_assets.sources.schema import compute as pc

_NUMBERS: Final[tuple[ColumnType, ...]] = ("amount", "rate", "integer")
_FIRST_YEAR, _LAST_YEAR = 1970, 2199
_LONGEST_SHOWN_VALUE: Final = 200
_DAMAGED: Final = r"^[+-]?[0-9][.,]?[0-9]*E\+[0-9]+$"
_BLANKS: Final = "[ \\x{00a0}\\x{202f}]"
# How people and banks write what is a number with a sign: (regular expression of RE2, what it becomes).
_HABITS: Final = (
    ("\\x{2212}", "-"),
    (r"^\((.*)\)$", r"-\1"),
    (r"(?i)^(.*[0-9])\s*(?:CR|C)$", r"\1"),
    (r"(?i)^(.*[0-9])\s*(?:DR|D)$", r"-\1"),
    (r"^([+-]?)\s*(?:\p{Sc}|[A-Z]{3})\s*", r"\1"),
    (r"\s*(?:\p{Sc}|[A-Z]{3})(-?)$", r"\1"),
    (r"^([^+-].*)-$", r"-\1"),
    (r"^([+-])\s+", r"\1"),
)

Faults = dict[int, tuple[str, str | None, str]]


@dataclass(slots=True)
class MappedRows:
    """A block of rows in our columns: what ``convert_text`` takes. ``ignored`` rows of the file are not among them."""

    columns: dict[str, pa.Array]
    raw: pa.Table
    row_numbers: Sequence[int]
    faults: Faults = field(default_factory=dict)
    ignored: int = 0


def open_mapped(path: Path, mapping: CsvMapping) -> CsvFile:
    """The file in the dialect that its mapping describes.

    Raises:
        CsvError: it is empty, or lacks a column that the mapping names.
    """
    return open_csv(
        path,
        delimiter=mapping.delimiter,
        encoding=mapping.encoding,
        header_row=mapping.header_row,
        names=mapping.headers,
    )


def mapped_rows(file: CsvFile, mapping: CsvMapping, types: Mapping[str, ColumnType]) -> Iterator[MappedRows]:
    """The file's rows in our columns, block by block.

    Args:
        types: our column → the type it is to have (``column_types`` of its table).

    Raises:
        CsvError: it cannot be read in its encoding.
    """
    for raw, numbers in file.numbered_blocks():
        ignored = _ignored(raw, mapping.ignore)
        if ignored is not None:
            keep = pc.invert(ignored)
            numbers = [number for number, kept in zip(numbers, keep.to_pylist(), strict=True) if kept]
            rows = MappedRows({}, raw.filter(keep), numbers, ignored=raw.num_rows - len(numbers))
        else:
            rows = MappedRows({}, raw, numbers)
        for name, source in mapping.columns.items():
            rows.columns[name] = _column(rows, name, source, types.get(name, "text"), mapping)
        if mapping.unit == "minor":
            for name in mapping.columns:
                if types.get(name) == "amount":
                    rows.columns[name] = _from_minor(rows, name)
        yield rows


def column_types(table: Table) -> dict[str, ColumnType]:
    """Our columns of a table with their types, as ``mapped_rows`` takes them."""
    return {column.name: column.type for column in table.columns}


def broken_rows(file: CsvFile, mapping: CsvMapping) -> list[RaggedRow]:
    """The rows that could not be read, without those that the mapping ignores; complete once all blocks were read."""
    return [row for row in file.ragged if not _is_ignored(row, file, mapping.ignore)]


def translated(mapping: CsvMapping, words: pa.Array) -> pa.Array:
    """The file's words for types in ours; a word that the mapping does not have stays as it is."""
    if not mapping.types:
        return words
    known = pa.array(list(mapping.types), pa.string())
    meanings = pa.array(list(mapping.types.values()), pa.string())
    places = pc.index_in(pc.utf8_lower(pc.utf8_trim_whitespace(words)), value_set=known)
    return pc.coalesce(pc.take(meanings, places), words)


def _ignored(raw: pa.Table, rules: Sequence[RowFilter]) -> Any:
    found: Any = None
    for rule in rules:
        text = pc.utf8_trim_whitespace(_raw(raw, rule.header))
        if rule.values is not None:
            hit = pc.is_in(pc.utf8_lower(text), pa.array([value.strip().lower() for value in rule.values], pa.string()))
        else:
            hit = _each(text, re.compile(rule.pattern or "").search, pa.bool_(), bool)
        found = hit if found is None else pc.or_(found, hit)
    return found


def _is_ignored(row: RaggedRow, file: CsvFile, rules: Sequence[RowFilter]) -> bool:
    fields = next(csv.reader(io.StringIO(row.text, newline=""), delimiter=file.delimiter), [])
    named = dict(zip(file.header, fields, strict=False))
    for rule in rules:
        value = named.get(plain_name(rule.header), "").strip()
        if rule.values is not None and value.lower() in {known.strip().lower() for known in rule.values}:
            return True
        if rule.pattern is not None and re.search(rule.pattern, value):
            return True
    return False


def _column(rows: MappedRows, name: str, source: ColumnSource, kind: ColumnType, mapping: CsvMapping) -> pa.Array:
    if source.constant is not None:
        return pa.array([source.constant] * rows.raw.num_rows, pa.string())
    if kind in _NUMBERS:
        return _number(rows, name, source, mapping)
    text = _text(rows, source)
    if kind in ("date", "timestamp"):
        chosen = source.format or (mapping.date_format if kind == "date" else mapping.time_format)
        return _moments(rows, name, text, kind, chosen, ZoneInfo(mapping.time_zone))
    if name.endswith(("_id", "_reference", "_number")):
        damaged = pc.fill_null(pc.match_substring_regex(text, _DAMAGED), False)
        reason = "is an id that a spreadsheet has rounded: export the file again, and do not save it from a spreadsheet"
        _note(rows, name, text, damaged, reason)
    return text


def _text(rows: MappedRows, source: ColumnSource) -> pa.Array:
    parts = [_raw(rows.raw, header) for header in source.header or ()]
    text = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, " ")
    if source.pattern is not None:
        expression = re.compile(source.pattern)
        text = _each(text, expression.search, pa.string(), lambda match: match[1] if expression.groups else match[0])
    return _or_null(pc.utf8_trim_whitespace(text))


def _number(rows: MappedRows, name: str, source: ColumnSource, mapping: CsvMapping) -> pa.Array:
    if source.credit is not None and source.debit is not None:
        text = _two_columns(rows, name, source.credit, source.debit, mapping)
    else:
        text = _plain_number(rows, name, _text(rows, source), mapping)
        if source.indicator is not None and source.negative is not None:
            text = _with_indicator(rows, name, text, source.indicator, source.negative)
    return _negated(text) if source.negate else text


def _two_columns(rows: MappedRows, name: str, credit: str, debit: str, mapping: CsvMapping) -> pa.Array:
    coming = _plain_number(rows, name, _or_null(_raw(rows.raw, credit)), mapping)
    going = _plain_number(rows, name, _or_null(_raw(rows.raw, debit)), mapping)
    empty_or_zero = r"^[+-]?0*\.?0*$"
    comes = pc.invert(pc.fill_null(pc.match_substring_regex(coming, empty_or_zero), True))
    goes = pc.invert(pc.fill_null(pc.match_substring_regex(going, empty_or_zero), True))
    _note(rows, name, coming, pc.and_(comes, goes), f"is in {credit}, but {debit} holds an amount as well")
    # Some write what goes out with a sign, some without.
    signed = pc.if_else(pc.starts_with(going, "-"), going, _negated(going))
    return pc.if_else(goes, signed, pc.coalesce(coming, signed))


def _with_indicator(rows: MappedRows, name: str, text: pa.Array, header: str, negative: Sequence[str]) -> pa.Array:
    words = pa.array([word.strip().lower() for word in negative], pa.string())
    is_negative = pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(_raw(rows.raw, header))), words)
    signed = pc.and_(is_negative, pc.fill_null(pc.starts_with(text, "-"), False))
    _note(rows, name, text, signed, f"has a sign of its own beside {header}: map the one or the other")
    return pc.if_else(is_negative, _negated(text), text)


def _negated(text: pa.Array) -> pa.Array:
    bare = pc.replace_substring_regex(text, r"^[+-]", "")
    return pc.if_else(pc.starts_with(text, "-"), bare, pc.binary_join_element_wise("-", bare, ""))


def _plain_number(rows: MappedRows, name: str, text: pa.Array, mapping: CsvMapping) -> pa.Array:
    """Numbers with a point, a leading sign and no grouping; what may be none is left to the check of its form."""
    text = _or_null(pc.utf8_trim_whitespace(text))
    if mapping.decimal_mark == "." and not _holds_other(text, b"0123456789.-"):
        return pc.replace_substring_regex(text, *_HABITS[-2]) if pc.any(pc.ends_with(text, "-")).as_py() else text
    for expression, replacement in _HABITS:
        text = pc.replace_substring_regex(text, expression, replacement)
    mark = mapping.decimal_mark
    if mapping.grouping is not None:
        group = _BLANKS if mapping.grouping in (" ", "\u00a0", "\u202f") else f"[{mapping.grouping}]"
        grouped = pc.fill_null(pc.match_substring_regex(text, group), False)
        form = rf"^[+-]?[0-9]{{1,3}}({group}[0-9]{{2,3}})*{group}[0-9]{{3}}([{mark}][0-9]*)?$"
        wrong = pc.and_(grouped, pc.invert(pc.fill_null(pc.match_substring_regex(text, form), True)))
        reason = f"is not a number with {mapping.grouping!r} between thousands and {mark!r} before the decimals"
        text = _without(rows, name, text, wrong, reason)
        text = pc.replace_substring_regex(text, group, "")
    if mark == ",":
        wrong = pc.fill_null(pc.match_substring(text, "."), False)
        text = _without(rows, name, text, wrong, "has a point, but the mapping says that ',' stands before decimals")
        text = pc.replace_substring(text, ",", ".")
    return text


def _from_minor(rows: MappedRows, name: str) -> pa.Array:
    """Amounts in minor units as decimals, by the currency of their row."""
    text, currencies = rows.columns[name], pc.utf8_upper(rows.columns["currency"])
    whole = pc.fill_null(pc.match_substring_regex(text, r"^[+-]?[0-9]{1,14}(\.0*)?$"), True)
    text = _without(rows, name, text, pc.invert(whole), "is not a whole number of minor units")
    digits = pc.replace_substring_regex(pc.replace_substring_regex(text, r"\.0*$", ""), r"^\+", "")
    numbers = digits.cast(pa.decimal128(18, 0))
    amounts: Any = pa.nulls(len(text), ARROW_TYPES["amount"])
    for currency in pc.unique(currencies).to_pylist():
        hit = pc.fill_null(pc.equal(currencies, currency), False)
        try:
            unit = Decimal(1).scaleb(-exponent(currency or ""))
        except UnknownCurrencyError:
            lost = hit if currency else pc.is_null(currencies)
            _note(rows, "currency", currencies, lost, "is no ISO 4217 currency, so its minor unit is not known")
            continue
        scaled = pc.multiply(numbers, pa.scalar(unit)).cast(ARROW_TYPES["amount"])
        amounts = pc.if_else(hit, scaled, amounts)
    return amounts


def _moments(rows: MappedRows, name: str, text: pa.Array, kind: ColumnType, form: str, zone: ZoneInfo) -> pa.Array:
    """Dates, or times in UTC. Each distinct text is parsed once: files have many rows of the same day."""
    distinct = pc.unique(text)
    parsed = [None if value is None else _moment(value, form, zone) for value in distinct.to_pylist()]
    places = pc.index_in(text, value_set=distinct)
    wanted = "a date" if kind == "date" else "a date and time"
    shown = f"of the form {form}" if form != "iso" else "such as 2026-11-05" + ("T12:00:00" * (kind != "date"))
    missed = pa.array([value is not None and moment is None for value, moment in zip(distinct.to_pylist(), parsed)])  # noqa: B905
    _note(rows, name, text, pc.take(missed, places), f"is not {wanted} {shown}")
    if kind == "date":
        days: list[date | None] = [moment and moment.astimezone(zone).date() for moment in parsed]
        return pc.take(pa.array(days, pa.date32()), places)
    return pc.take(pa.array([moment and moment.astimezone(UTC) for moment in parsed], ARROW_TYPES["timestamp"]), places)


def _moment(value: str, form: str, zone: ZoneInfo) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if form == "iso" else datetime.strptime(value, form)  # noqa: DTZ007
    except (ValueError, OverflowError):
        return None
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _raw(raw: pa.Table, header: str) -> pa.Array:
    column: Any = raw.column(plain_name(header))
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _or_null(text: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _holds_other(text: pa.Array, characters: bytes) -> bool:
    """Whether a value holds any other character: the column is looked through as one text."""
    lists = pa.LargeListArray.from_arrays(pa.array([0, len(text)], pa.int64()), pc.fill_null(text, ""))
    joined = pc.binary_join(lists, "")[0].as_buffer().to_pybytes()
    return bool(joined.translate(None, characters))


def _each(text: pa.Array, search: Callable[[str], Any], kind: Any, found: Callable[[Any], Any]) -> pa.Array:
    nothing = False if kind == pa.bool_() else None
    return pa.array([found(match) if (match := search(value or "")) else nothing for value in text.to_pylist()], kind)


def _without(rows: MappedRows, name: str, text: pa.Array, wrong: Any, reason: str) -> pa.Array:
    _note(rows, name, text, wrong, reason)
    return pc.if_else(wrong, pa.scalar(None, pa.string()), text)


def _note(rows: MappedRows, name: str, text: pa.Array, wrong: Any, reason: str) -> None:
    for row in pc.indices_nonzero(wrong).to_pylist():
        value = text[row].as_py()
        rows.faults.setdefault(row, (name, value and value[:_LONGEST_SHOWN_VALUE], reason))
