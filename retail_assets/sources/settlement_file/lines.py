"""What a mapping leaves open about a settlement line: its net, its payout, its moment, and an id that stays."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa

from retail_assets.contracts import table
from retail_assets.mapping import CsvMapping
from retail_assets.sources.files import DroppedFile
from retail_assets.sources.mapped import MappedRows, translated
from retail_assets.sources.records import Batch
from retail_assets.sources.schema import ARROW_TYPES
from retail_assets.sources.schema import compute as pc
from retail_assets.sources.textrows import convert_text

LINES: Final = table("settlement_file", "lines")

#: What a mapping may name, and what it must; ``a|b`` is one of the two.
MAPPABLE: Final = tuple(
    column.name
    for column in LINES.columns
    if column.name not in ("file_sha256", "row_number", "file_name", "has_own_id", "category")
)
REQUIRED: Final = ("type", "currency", "gross|net")

# What tells two lines of a payout apart where the sender gives them no id.
_IDENTIFYING: Final = (
    "payout_id",
    "payment_id",
    "refund_id",
    "dispute_id",
    "type",
    "currency",
    "gross",
    "fee",
    "net",
    "booked_at",
    "order_reference",
    "merchant_reference",
    "order_key",
    "description",
)
_ID_LENGTH: Final = 24


@dataclass(frozen=True, slots=True)
class WholeFile:
    """What a file's name says about all of its lines."""

    payout_id: str | None = None
    day: date | None = None


@dataclass(slots=True)
class Reading:
    """One file while it is read: what its rows have in common, and which ids were seen."""

    file: DroppedFile
    whole: WholeFile
    mapping: CsvMapping
    instance: str
    now: datetime
    made_ids: Counter[str] = field(default_factory=Counter)
    own_ids: dict[str, tuple[int, str]] = field(default_factory=dict)
    repeated: list[int] = field(default_factory=list)


def named(file_name: str, pattern: str | None) -> WholeFile | None:
    """What the pattern finds in a file's name; None if it does not fit.

    Raises:
        ValueError: its group ``date`` found something that is no day.
    """
    if pattern is None:
        return WholeFile()
    match = re.search(pattern, file_name)
    if match is None:
        return None
    groups = match.groupdict()
    return WholeFile(groups.get("payout_id"), date.fromisoformat(groups["date"]) if groups.get("date") else None)


def convert_lines(rows: MappedRows, reading: Reading) -> Batch:
    """One block of mapped rows as ``raw_settlement_file.lines``."""
    count = rows.raw.num_rows
    columns = dict(rows.columns)
    for name in ("gross", "fee", "net", "payout_amount", "presentment_amount"):
        if name in columns:
            columns[name] = _amounts(columns[name])
    _complete_payout(columns, reading, count)
    _complete_moment(columns, reading, count)
    _complete_amounts(columns, rows)
    columns["type"] = columns.get("type", pa.nulls(count, pa.string()))
    columns["category"] = pc.utf8_lower(translated(reading.mapping, columns["type"]))
    columns["file_name"] = pa.array([reading.file.name] * count, pa.string())
    columns["file_sha256"] = pa.array([reading.file.sha256] * count, pa.string())
    columns["row_number"] = pa.array(rows.row_numbers, pa.int64())
    columns["has_own_id"] = pa.array(["line_id" in columns] * count, pa.bool_())
    columns["line_id"] = _line_ids(columns, rows, reading)
    return convert_text(
        LINES,
        columns,
        instance=reading.instance,
        loaded_at=reading.now,
        origin=reading.file.name,
        raw=rows.raw,
        row_numbers=rows.row_numbers,
        faults=rows.faults,
    )


def _amounts(values: pa.Array) -> pa.Array:
    """Amounts that can be reckoned with; one that is no amount stays text, so that its row can be named."""
    if values.type == ARROW_TYPES["amount"]:
        return values
    try:
        fits = pc.fill_null(pc.match_substring_regex(values, r"^-?[0-9]{1,14}(\.[0-9]{0,4})?$"), True)
        return values.cast(ARROW_TYPES["amount"]) if pc.all(fits, min_count=0).as_py() else values
    except pa.ArrowInvalid:
        return values


def _complete_payout(columns: dict[str, pa.Array], reading: Reading, count: int) -> None:
    whole = reading.whole
    if whole.payout_id is not None:
        given = columns.get("payout_id", pa.nulls(count, pa.string()))
        columns["payout_id"] = pc.fill_null(given, whole.payout_id)
    if whole.day is not None:
        given = columns.get("payout_date", pa.nulls(count, pa.date32()))
        columns["payout_date"] = pc.fill_null(given, pa.scalar(whole.day, pa.date32()))


def _complete_moment(columns: dict[str, pa.Array], reading: Reading, count: int) -> None:
    booked = columns.get("booked_at", pa.nulls(count, ARROW_TYPES["timestamp"]))
    days = columns.get("payout_date")
    if booked.null_count and days is not None:
        zone = ZoneInfo(reading.mapping.time_zone)
        midnights = [day and datetime.combine(day, time(), zone).astimezone(UTC) for day in days.to_pylist()]
        booked = pc.coalesce(booked, pa.array(midnights, ARROW_TYPES["timestamp"]))
    columns["booked_at"] = booked


def _complete_amounts(columns: dict[str, pa.Array], rows: MappedRows) -> None:
    """gross − fee = net: one of the three may be missing, and all three must agree."""
    count = rows.raw.num_rows
    given = [name for name in ("gross", "fee", "net") if name in columns]
    if any(pa.types.is_string(columns[name].type) for name in given):
        # A value that is no amount: row by row, so that only its own row is refused.
        _complete_singly(columns, rows, given)
        return
    zero = pa.scalar(Decimal(0), ARROW_TYPES["amount"])
    gross, fee, net = (columns.get(name) for name in ("gross", "fee", "net"))
    if fee is not None:
        fee = pc.fill_null(fee, zero)
    if gross is not None and net is not None:
        found = _exact(pc.subtract(gross, net))
        if fee is None:
            fee = found
        else:
            wrong = pc.fill_null(pc.not_equal(found, fee), False)
            for row in pc.indices_nonzero(wrong).to_pylist():
                reason = f"is not gross {gross[row]} − fee {fee[row]}: the columns or signs of the mapping are wrong"
                rows.faults.setdefault(row, ("net", str(net[row]), reason))
    fee = pa.array([Decimal(0)] * count, ARROW_TYPES["amount"]) if fee is None else fee
    if gross is None and net is not None:
        gross = _exact(pc.add(net, fee))
    if net is None and gross is not None:
        net = _exact(pc.subtract(gross, fee))
    columns |= {"gross": gross, "fee": fee, "net": net}


def _exact(values: Any) -> pa.Array:
    return values.cast(ARROW_TYPES["amount"])


def _complete_singly(columns: dict[str, pa.Array], rows: MappedRows, given: Sequence[str]) -> None:
    for name in given:
        texts = columns[name].cast(pa.string()).to_pylist()
        values = [_decimal(text) for text in texts]
        for row, (text, value) in enumerate(zip(texts, values, strict=True)):
            if text is not None and value is None:
                rows.faults.setdefault(row, (name, text, "is not an amount with at most 14 digits before and 4 after"))
        columns[name] = pa.array(values, ARROW_TYPES["amount"])
    _complete_amounts(columns, rows)


def _decimal(text: str | None) -> Decimal | None:
    if text is None or not re.fullmatch(r"[+-]?([0-9]{1,14}(\.[0-9]{0,4}0*)?|\.[0-9]{1,4}0*)", text):
        return None
    return Decimal(text)


def _line_ids(columns: Mapping[str, pa.Array], rows: MappedRows, reading: Reading) -> pa.Array:
    if "line_id" in columns:
        _note_repeated(columns, rows, reading)
        return columns["line_id"]
    parts = [columns[name].cast(pa.string()).to_pylist() for name in _IDENTIFYING if name in columns]
    ids = []
    for values in zip(*parts, strict=True):
        content = "\x1f".join(value or "" for value in values)
        reading.made_ids[content] += 1
        text = f"{content}\x1f{reading.made_ids[content]}"
        ids.append(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_ID_LENGTH])
    return pa.array(ids, pa.string())


def _note_repeated(columns: Mapping[str, pa.Array], rows: MappedRows, reading: Reading) -> None:
    """An id that comes twice in a file: the same line again, or a column that is no id of lines."""
    amounts = [columns[name].to_pylist() for name in ("gross", "fee", "type", "payout_id") if name in columns]
    for row, identifier in enumerate(columns["line_id"].to_pylist()):
        if identifier is None:
            continue
        content = repr([values[row] for values in amounts])
        number, first = reading.own_ids.setdefault(identifier, (rows.row_numbers[row], content))
        if number == rows.row_numbers[row]:
            continue
        if content == first:
            reading.repeated.append(rows.row_numbers[row])
        else:
            reason = (
                f"is the id of row {number} as well, which is another line: map line_id to a column that differs for "
                "each line, or leave it out"
            )
            rows.faults.setdefault(row, ("line_id", identifier, reason))
