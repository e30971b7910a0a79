"""How PayPal's report files are laid out: which report of which account and day a file is, before its rows are read.

The first field of a row says what it is: RH and RF begin and end the report, FH and FF the file, SH and SF a section;
CH names the columns of the body rows SB below it; SC and RC count. Extracts often lack some of them.
"""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Final, Literal

Kind = Literal["settlement", "transactions"]

#: Every first field that a PayPal report may have.
ROW_TYPES: Final = frozenset({"RH", "FH", "SH", "CH", "SB", "SF", "SC", "RF", "RC", "FF"})
_PROBE_BYTES: Final = 1 << 20
_PROBED_ROWS: Final = 100
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DELIMITERS: Final = ",\t;|"
# STL-20260106.01.009.CSV: day, file number, version of the format; a letter between them names the reporting window.
_NAME: Final = re.compile(r"(?:STL|TRR)-([0-9]{8})(?:\.[A-Z]+)*(?:\.([0-9]+))?(?:\.([0-9]+))?\.", re.IGNORECASE)
_MOMENT: Final = re.compile(
    r"([0-9]{4})[/-]([0-9]{2})[/-]([0-9]{2})[ T]([0-9]{2}):([0-9]{2}):([0-9]{2}) ?([+-][0-9]{2}:?[0-9]{2}|Z)?"
)
# What a settlement report must name; the transaction detail report has these and a status.
_NEEDED: Final = ("transactioneventcode", "transactiondebitorcredit", "grosstransactionamount")
_STATUS: Final = "transactionalstatus"


class ReportError(Exception):
    """A file is none of the reports that are read here; says why."""


@dataclass(frozen=True, slots=True)
class Marker:
    """A row that is no body row: its number in the file and its fields, the row type first."""

    number: int
    fields: tuple[str, ...]

    @property
    def type(self) -> str:
        return row_type(self.fields[0])

    def text(self, position: int) -> str:
        """A field without blanks around it; empty if the row is shorter."""
        return self.fields[position].strip() if position < len(self.fields) else ""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the rows above the first body row say.

    ``report_id`` tells reports apart (account, start of the period, file number); ``version`` orders deliveries of the
    same report: when it was made, format version, size (one that is cut off is no newer than the whole), file name.
    ``header_row`` is None for a report without columns, which is what a day without transactions may look like.
    """

    path: Path
    kind: Kind
    report_id: str
    version: tuple[str, str, int, str]
    delimiter: str
    encoding: str
    file_number: int
    header_row: int | None
    markers: tuple[Marker, ...] = field(default=(), repr=False)


def row_type(text: str) -> str:
    """The first field of a row as it is compared."""
    return text.replace("\ufeff", "").strip().upper()


def column_name(text: str) -> str:
    """A column's name as it is compared: old reports write TransactionID, newer ones ``Transaction ID``, some with two
    blanks."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def moment(text: str) -> datetime | None:
    """``2026/01/06 00:00:30 -0800`` in UTC; without an offset it is UTC. None if it is no such time."""
    found = _MOMENT.fullmatch(text.strip())
    if found is None:
        return None
    *parts, offset = found.groups()
    try:
        return datetime(*map(int, parts), tzinfo=timezone(offset_of(offset or "Z"))).astimezone(UTC)  # pyright: ignore[reportArgumentType]
    except (ValueError, OverflowError):
        return None


def offset_of(text: str) -> timedelta:
    """``-0800``, ``-08:00`` or ``Z`` as the distance to UTC.

    Raises:
        ValueError: it is none of these.
    """
    if text in ("", "Z"):
        return timedelta(0)
    digits = text[1:].replace(":", "")
    if text[0] not in "+-" or len(digits) != len("0800") or not digits.isascii() or not digits.isdigit():
        raise ValueError(f"{text!r} is no offset to UTC")
    return (-1 if text[0] == "-" else 1) * timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))


def read_layout(path: Path) -> Layout:
    """Look at a file's first rows.

    Raises:
        ReportError: it is neither a settlement nor a transaction detail report.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_PROBE_BYTES)
    encoding = _encoding(head)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head).removeprefix("\ufeff")
    delimiter = _delimiter(text)
    above: list[Marker] = []
    for number, fields in _rows(text, delimiter):
        kind = row_type(fields[0]) if fields else ""
        if kind in ("CH", "SB"):
            break
        if kind not in ROW_TYPES and any(value.strip() for value in fields):
            raise ReportError(f"row {number} begins with {fields[0][:40]!r}, which no row of a PayPal report does")
        if kind:
            above.append(Marker(number, tuple(fields)))
    else:
        if any(marker.type == "SF" for marker in above) or {"RH", "SH"} <= {marker.type for marker in above}:
            return _described(path, _named_kind(path), above, delimiter, encoding, None)
        raise ReportError("has no row CH that names the columns, so it is no PayPal report")
    if kind == "SB":
        raise ReportError("has body rows (SB) before the row CH that names their columns")
    names = {column_name(name) for name in fields[1:]}
    if missing := [name for name in _NEEDED if name not in names]:
        raise ReportError(
            "is neither a settlement (STL) nor a transaction detail report (TRR): it has no column "
            + ", ".join(missing)
        )
    report = "transactions" if _STATUS in names else "settlement"
    return _described(path, report, above, delimiter, encoding, number)


def _described(
    path: Path, kind: Kind, markers: Sequence[Marker], delimiter: str, encoding: str, header_row: int | None
) -> Layout:
    first: dict[str, Marker] = {}
    for marker in markers:
        first.setdefault(marker.type, marker)
    none = Marker(0, ("",))
    report, file, section = first.get("RH", none), first.get("FH", none), first.get("SH", none)
    named = _NAME.search(path.name)
    day, named_number, named_version = named.groups() if named else (None, None, None)
    start = section.text(1).replace("/", "-").removesuffix(section.text(1)[19:])
    period = start.removesuffix(" 00:00:00") or (f"{day[:4]}-{day[4:6]}-{day[6:]}" if day else "")
    account = section.text(3) or report.text(3)
    number = file.text(1) or named_number or "1"
    file_number = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 1
    made = moment(report.text(1))
    return Layout(
        path=path,
        kind=kind,
        report_id=f"{account or '-'}/{period}/{file_number:02d}" if period else path.name,
        version=(
            made.isoformat() if made else "",
            (report.text(4) or named_version or "").zfill(3),
            path.stat().st_size,
            path.name,
        ),
        delimiter=delimiter,
        encoding=encoding,
        file_number=file_number,
        header_row=header_row,
        markers=tuple(markers),
    )


def _named_kind(path: Path) -> Kind:
    return "transactions" if path.name.upper().startswith("TRR") else "settlement"


def _encoding(head: bytes) -> str:
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name
    # Every row begins with two ASCII letters, so UTF-16 without a mark shows as zeros in turn.
    if head[1:2] == b"\0":
        return "utf-16-le"
    return "utf-16-be" if head[:1] == b"\0" else "utf-8"


def _delimiter(text: str) -> str:
    """What stands behind the first row's type; PayPal writes commas, or tabs on request."""
    first = re.match(r'\s*"?[A-Za-z]{2}"?\s?([,\t;|])', text)
    return first[1] if first else _DELIMITERS[0]


def _rows(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """The first rows with their numbers; up to where quotes are broken."""
    rows = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for number, fields in enumerate(reader, 1):
            rows.append((number, fields))
            if number == _PROBED_ROWS:
                break
    except csv.Error:
        return rows
    return rows
