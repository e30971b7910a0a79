"""CSV files of any dialect as blocks of text columns, with the rows that are no rows set aside.

Arrow parses; this module sees to what Arrow leaves open. Blocks are cut here, between records, so that a field may be
as large as it likes and a row's number is always known. Arrow is only handed text whose quotes are well-formed: a lone
quote would make one field of everything behind it. Where quotes are broken, that stretch is read row by row.
"""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.csv

from retail_assets.ops.quarantine import Rejection
from retail_assets.sources.schema import compute as pc

#: Arrow's CSV reader is a module that type checkers do not see.
_reader: Any = pyarrow.csv

_BLOCK_BYTES: Final = 16 << 20
_LARGEST_RECORD_BYTES: Final = 64 << 20
_PROBE_BYTES: Final = (1 << 18, 16 << 20)
_PROBED_ROWS: Final = 30
_LAST_HEADER_ROW: Final = 100
_LONGEST_BROKEN_RECORD: Final = 1000  # lines
_LONGEST_TEXT_KEPT: Final = 1 << 20
_DELIMITERS: Final = (",", ";", "\t", "|")
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_QUOTE, _LINE_FEED, _RETURN = b'"\n\r'
_UNREADABLE: Final = "\udcff"

# What cannot be decoded becomes a lone surrogate, which is no valid UTF-8 either: its row is set aside, the rest loads.
codecs.register_error("retail_assets.unreadable", lambda error: (_UNREADABLE, getattr(error, "end", 1)))

# A field may be as large as a record; csv refuses 128 KB by itself.
csv.field_size_limit(_LARGEST_RECORD_BYTES)


class CsvError(Exception):
    """The file as a whole cannot be read: says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class RaggedRow:
    """A row that cannot be read as one: too many or too few fields, broken quotes, or bytes that are no text.

    ``text`` is the row as it was in the file, ``number`` counts from 1 with the file's first row, blank rows and the
    rows above the header included, as a spreadsheet does. ``actual`` is the number of fields it has.
    """

    number: int
    text: str
    expected: int
    actual: int
    fault: str = ""

    @property
    def reason(self) -> str:
        """What is wrong with it, for quarantine."""
        return self.fault or f"has {self.actual} fields, but the header has {self.expected}"

    def rejection(self, file_name: str, record_key: str | None = None) -> Rejection:
        """The row as quarantine keeps it."""
        payload = self.text.encode("utf-8", "surrogatepass")
        key = record_key or f"{file_name}/{self.number}"
        return Rejection(key, None, None, self.reason, f"{file_name}, row {self.number}", payload)


@dataclass(slots=True)
class CsvFile:
    """A CSV file with a header, all columns as text.

    ``header`` holds the names as the file has them, each once (a name that repeats gets a number behind it, an empty
    one is called after its position). ``first_row`` is the number of the first row below the header. ``ragged`` fills
    while the blocks are read, in the order of the file.
    """

    path: Path
    delimiter: str
    encoding: str
    header: list[str]
    first_row: int
    ragged: list[RaggedRow] = field(default_factory=list)
    _skip_characters: int = 0
    _names: list[str] = field(default_factory=list)

    def blocks(self) -> Iterator[tuple[pa.Table, int]]:
        """Blocks of consecutive rows, and the number of each block's first row in the file (the first row is row 1).

        Rows without any content are left out. Ragged rows are left out and noted in ``ragged``.
        """
        for table, numbers in self.numbered_blocks():
            start = 0
            for end in range(1, len(numbers) + 1) if isinstance(numbers, list) else (len(numbers),):
                if end == len(numbers) or numbers[end] != numbers[end - 1] + 1:
                    yield table.slice(start, end - start), numbers[start]
                    start = end

    def numbered_blocks(self) -> Iterator[tuple[pa.Table, Sequence[int]]]:
        """As ``blocks``, but with one row number for each row, so that gaps make no new block."""
        number = self.first_row
        self.ragged.clear()
        with self.path.open("rb") as file:
            stream = _Utf8Stream(file, self.encoding, self._skip_characters)
            rest, wanted, ended = b"", _BLOCK_BYTES, False
            while not ended:
                data = rest + stream.read(wanted - len(rest))
                ended = len(data) < wanted
                cut, sound = _cut(data, self.delimiter.encode(), ended)
                if not ended and not cut and sound and len(data) < _LARGEST_RECORD_BYTES:
                    rest, wanted = data, 2 * wanted
                    continue
                if sound and cut:
                    table, numbers, count = self._parsed(data[:cut].replace(b"\r\r\n", b"\r\n"), number)
                else:
                    table, numbers, count, cut = self._recovered(data, number, ended)
                rest, wanted = data[cut:], max(_BLOCK_BYTES, 2 * (len(data) - cut))
                number += count
                table, numbers = _without_blank_rows(table, numbers)
                if table.num_rows:
                    yield table.select(self.header), numbers

    def _parsed(self, chunk: bytes, number: int) -> tuple[pa.Table, Sequence[int], int]:
        """A chunk's rows, their numbers, and how many rows the chunk has in all."""
        ragged: list[tuple[int, str, int]] = []

        def set_aside(row: Any) -> str:
            ragged.append((row.number, row.text or "", row.actual_columns))
            return "skip"

        try:
            # With threads Arrow is faster, but does not number the rows: that is only needed when one is ragged.
            table = self._read(chunk, None)
        except pa.ArrowInvalid:
            if not _is_utf8(chunk):
                return self._recovered(chunk, number, ended=True)[:3]
            table = self._read(chunk, set_aside)
        count = table.num_rows + len(ragged)
        numbers: Sequence[int] = range(number, number + count)
        if ragged:
            places = {place - 1 for place, _, _ in ragged}
            numbers = [at for place, at in enumerate(numbers) if place not in places]
        fitted = {}
        for place, text, actual in ragged:
            fields = self._fitted(_fields(text, self.delimiter))
            if fields is not None:
                fitted[number + place - 1] = fields
            elif text.strip(f"{self.delimiter} \t\r\n"):
                self._set_aside(number + place - 1, text, actual)
        self.ragged.sort(key=lambda row: row.number)
        if fitted:
            table = pa.concat_tables([table, self._table(list(fitted.values()))])
            numbers = [*numbers, *fitted]
            order = sorted(range(len(numbers)), key=numbers.__getitem__)
            table, numbers = table.take(pa.array(order)), sorted(numbers)
        return table, numbers, count

    def _read(self, chunk: bytes, set_aside: Any) -> pa.Table:
        if chunk[:1] in b"\r\n" and not chunk.strip(b"\r\n"):
            return self._table([[""] * len(self._names)] * len(_lines(chunk)))
        return _reader.read_csv(
            pa.BufferReader(chunk),
            read_options=_reader.ReadOptions(
                column_names=self._names, block_size=len(chunk) + 1, use_threads=set_aside is None
            ),
            parse_options=_reader.ParseOptions(
                delimiter=self.delimiter,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=set_aside,
            ),
            convert_options=_reader.ConvertOptions(
                column_types=dict.fromkeys(self._names, pa.string()), strings_can_be_null=False
            ),
        )

    def _recovered(self, data: bytes, number: int, ended: bool) -> tuple[pa.Table, Sequence[int], int, int]:
        """As ``_parsed``, row by row: quotes are broken somewhere, and the rows around that must not be lost.

        Returns also how many bytes were read: what a record may need to see its end is left unless the file ended.
        """
        lines = _lines(data)
        until = len(lines) if ended else max(len(lines) - _LONGEST_BROKEN_RECORD, 1)
        texts = [line.decode("utf-8", "retail_assets.unreadable") for line in lines]
        rows: list[list[str]] = []
        numbers: list[int] = []
        at, count = 0, 0
        while at < until:
            fields, used = self._record(texts, at)
            text = "".join(texts[at : at + used])
            if fields is not None and _UNREADABLE not in text:
                rows.append(fields)
                numbers.append(number + count)
            elif text.strip():
                fault = self._not_text() if _UNREADABLE in text else ""
                found = _fields(text, self.delimiter)
                if not fault and len(found) == len(self._names):
                    fault = "opens a quote that is never closed"
                self._set_aside(number + count, text, len(found), fault)
            at, count = at + used, count + 1
        return self._table(rows), numbers, count, sum(map(len, lines[:at]))

    def _record(self, lines: Sequence[str], at: int) -> tuple[list[str] | None, int]:
        """The fields of the record that begins at a line, None if it cannot be read, and how many lines it takes."""
        try:
            fields = _fields(lines[at], self.delimiter, strict=True)
            return self._fitted(fields), 1
        except csv.Error as error:
            if "unexpected end" not in str(error):
                return self._fitted(_fields(lines[at], self.delimiter)), 1
        for last in range(at + 1, min(at + _LONGEST_BROKEN_RECORD, len(lines))):
            if '"' not in lines[last]:
                continue
            try:
                fields = _fields("".join(lines[at : last + 1]), self.delimiter, strict=True)
            except csv.Error as error:
                if "unexpected end" in str(error):
                    continue
                break
            if len(fields) != len(self._names):
                break
            return fields, last + 1 - at
        return None, 1

    def _fitted(self, fields: list[str]) -> list[str] | None:
        """The row as wide as the header: without the empty field behind a last delimiter, or with it."""
        wide = len(self._names)
        if len(fields) == wide + 1 and not fields[-1]:
            return fields[:-1]
        if len(fields) == wide - 1 and len(self.header) == len(fields):
            return [*fields, ""]
        return fields if len(fields) == wide else None

    def _set_aside(self, number: int, text: str, actual: int, fault: str = "") -> None:
        kept = text.rstrip("\r\n")[:_LONGEST_TEXT_KEPT]
        self.ragged.append(RaggedRow(number, kept, len(self.header), actual, fault))

    def _table(self, rows: Sequence[Sequence[str]]) -> pa.Table:
        columns = zip(*rows, strict=True) if rows else ([] for _ in self._names)
        return pa.table(
            [pa.array(column, pa.string()) for column in columns],
            schema=pa.schema([(name, pa.string()) for name in self._names]),
        )

    def _not_text(self) -> str:
        return f"holds bytes that are no text in {self.encoding}: check the encoding that is set for such files"


def open_csv(
    path: Path,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    header_row: int = 1,
    names: Sequence[str] = (),
) -> CsvFile:
    """Look at a file's first rows: encoding (by byte order mark, else UTF-8), delimiter and header.

    Args:
        delimiter: the one of , ; tab | that fits the header and the rows below it, if it is not given.
        header_row: number of the row that holds the names; rows above it are left out.
        names: headers that must be there; if ``header_row`` does not hold them, the first of the file's first 100 rows
            that does is the header.

    Raises:
        CsvError: the file is empty, has no header there, or lacks one of ``names``.
        OSError: it cannot be read.
    """
    lines: list[str] = []
    used, place = delimiter or _DELIMITERS[0], None
    with path.open("rb") as file:
        head = file.read(_PROBE_BYTES[0])
        found = _python_name(encoding, path) if encoding else _encoding_of(head)
        for size in _PROBE_BYTES:
            file.seek(0)
            text = _decode(file.read(size), found)
            lines = list(io.StringIO(text, newline=""))
            marked = 1 if lines and lines[0].lower().startswith("sep=") and len(lines[0].strip()) == len("sep=;") else 0
            if marked and delimiter is None:
                delimiter = lines[0][4]
            used = delimiter or _sniffed(lines[marked:], header_row, names)
            place = _header_place(lines, used, header_row + marked, names)
            if place is not None and len("".join(lines[: place[2]])) < len(text):
                break
            if not file.read(1):
                break
    if place is None or not any(name.strip() for name in place[0]):
        wanted = f" with {', '.join(names)}" if names else ""
        raise CsvError(f"{path.name} has no header{wanted} in row {header_row}: {_shown(lines)}")
    fields, row, consumed = place
    if any(_UNREADABLE in name for name in fields):
        raise CsvError(f"{path.name} has a header that is no text in {found}: say in which encoding such files come")
    header = _unique(fields)
    if missing := [name for name in names if plain_name(name) not in header]:
        raise CsvError(f"{path.name} has no column {', '.join(missing)}; its header is {', '.join(header)}")
    below = _rows(lines[consumed : consumed + _PROBED_ROWS], used)
    # Some banks end each row, but not the header, with a delimiter.
    wider = bool(below) and all(len(fields) == len(header) + 1 and not fields[-1] for fields in below)
    columns = [*header, "\x00behind the last delimiter"] if wider else header
    skipped = len("".join(lines[:consumed]))
    return CsvFile(path, used, found, header, row + 1, _skip_characters=skipped, _names=columns)


def plain_name(name: str) -> str:
    """A header as it is compared: without byte order mark, with single blanks."""
    return " ".join(name.replace("\ufeff", "").split())


def _unique(names: Sequence[str]) -> list[str]:
    plain = [plain_name(name) or f"column {number}" for number, name in enumerate(names, 1)]
    taken, unique = set(plain), list[str]()
    for name in plain:
        number, chosen = 2, name
        while chosen in unique or (chosen != name and chosen in taken):
            chosen, number = f"{name} {number}", number + 1
        unique.append(chosen)
    return unique


class _Utf8Stream:
    """A file of any encoding, read as UTF-8 from some character on."""

    def __init__(self, file: IO[bytes], encoding: str, skip_characters: int) -> None:
        self._file, self._pending = file, b""
        self._decoder = codecs.getincrementaldecoder(encoding)("retail_assets.unreadable")
        self._plain = encoding == "utf-8"
        if self._plain:
            head = file.read(len(codecs.BOM_UTF8))
            file.seek(len(head) if head == codecs.BOM_UTF8 else 0)
            # In bytes, since what is invalid must come through as it is.
            self._skip_bytes(skip_characters)
        else:
            self._skip(skip_characters)

    def read(self, size: int) -> bytes:
        """That many bytes; fewer only at the end of the file."""
        if self._plain:
            return self._file.read(size)
        while len(self._pending) < size:
            data = self._file.read(size)
            self._pending += self._decoder.decode(data, final=not data).encode("utf-8", "surrogatepass")
            if not data:
                break
        given, self._pending = self._pending[:size], self._pending[size:]
        return given

    def _skip_bytes(self, characters: int) -> None:
        start = self._file.tell()
        decoded = ""
        data = b""
        for size in _PROBE_BYTES:
            self._file.seek(start)
            data = self._file.read(size + len(codecs.BOM_UTF8))
            decoded = _decode(data, "utf-8")
            if len(decoded) >= characters:
                break
        # The characters of the header are valid, so they are as long encoded as they were.
        length = len(decoded[:characters].encode("utf-8", "surrogatepass"))
        invalid = decoded[:characters].count(_UNREADABLE)
        self._file.seek(start + (length if not invalid else _bytes_of(data, characters)))

    def _skip(self, characters: int) -> None:
        text = ""
        while len(text) < characters + 1:
            data = self._file.read(1 << 20)
            text += self._decoder.decode(data, final=not data)
            if not data:
                break
        self._pending = text.removeprefix("\ufeff")[characters:].encode("utf-8", "surrogatepass")


def _bytes_of(data: bytes, characters: int) -> int:
    """How many bytes the first characters take, some of which could not be decoded."""
    decoder = codecs.getincrementaldecoder("utf-8")("retail_assets.unreadable")
    seen = 0
    for position in range(len(data)):
        if seen >= characters:
            return position
        seen += len(decoder.decode(data[position : position + 1]))
    return len(data)


def _decode(data: bytes, encoding: str) -> str:
    decoder = codecs.getincrementaldecoder(encoding)("retail_assets.unreadable")
    return decoder.decode(data).removeprefix("\ufeff")


def _python_name(encoding: str, path: Path) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise CsvError(f"{path.name}: {encoding!r} is no encoding; try utf-8, cp1252 or utf-16") from None
    return {"utf-8-sig": "utf-8", "utf_8_sig": "utf-8"}.get(name, name)


def _encoding_of(head: bytes) -> str:
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name
    # UTF-16 without a mark: every other byte of western text is zero.
    if len(head) > 3:
        even, odd = head[::2].count(0) * 2 / len(head), head[1::2].count(0) * 2 / len(head)
        if max(even, odd) > 0.4 and 3 * min(even, odd) < max(even, odd):
            return "utf-16-le" if odd > even else "utf-16-be"
    return "utf-8"


def _fields(text: str, delimiter: str, *, strict: bool = False) -> list[str]:
    """The fields of the first record of a text."""
    return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict), [])


def _rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        return [row for row in csv.reader(lines, delimiter=delimiter) if any(row)]
    except csv.Error:
        return []


def _sniffed(lines: Sequence[str], header_row: int, names: Sequence[str]) -> str:
    """The delimiter with which the header has several names and most rows below it are as wide."""
    best, best_score = _DELIMITERS[0], (0, 0.0, 0)
    for delimiter in _DELIMITERS:
        place = _header_place(lines, delimiter, header_row, names)
        if place is None or len(place[0]) < 2:
            continue
        rows = _rows(lines[place[2] : place[2] + _PROBED_ROWS], delimiter)
        fitting = sum(len(row) in (len(place[0]), len(place[0]) + 1) for row in rows) / max(len(rows), 1)
        held = sum(plain_name(name) in map(plain_name, place[0]) for name in names)
        if (score := (held, round(fitting, 1), len(place[0]))) > best_score:
            best, best_score = delimiter, score
    return best


def _header_place(
    lines: Sequence[str], delimiter: str, header_row: int, names: Sequence[str]
) -> tuple[list[str], int, int] | None:
    """The header's fields, its row number, and how many lines the rows up to it take."""
    wanted = {plain_name(name) for name in names}
    given: tuple[list[str], int, int] | None = None
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        for number, row in enumerate(reader, 1):
            if number == header_row:
                given = (row, number, reader.line_num)
            if number >= header_row and not wanted:
                return given
            if wanted and wanted <= set(map(plain_name, row)):
                return (row, number, reader.line_num)
            if number >= max(_LAST_HEADER_ROW, header_row):
                break
    except csv.Error:
        pass  # A quote that is never closed: there is no header further down.
    return given


def _shown(lines: Sequence[str]) -> str:
    return f"it begins with {''.join(lines[:1]).strip()[:80]!r}" if lines else "it is empty"


def _lines(data: bytes) -> list[bytes]:
    """Lines with their ends, which are carriage returns only in a file without line feeds."""
    end = b"\n" if b"\n" in data else b"\r"
    *whole, last = data.split(end)
    return [line + end for line in whole] + ([last] if last else [])


def _last_line_end(data: bytes, before: int) -> int:
    """The position behind the last line's end before a position; 0 if there is none."""
    found = data.rfind(b"\n", 0, before) + 1
    if found:
        return found
    # Lone carriage returns; one at the very end may have its line feed in the next piece.
    return data.rfind(b"\r", 0, min(before, len(data) - 1)) + 1


def _cut(data: bytes, delimiter: bytes, ended: bool) -> tuple[int, bool]:
    """Where the last whole record ends (0: nowhere), and whether the quotes up to there are well-formed."""
    cut = len(data) if ended else _last_line_end(data, len(data))
    while cut and not ended and data.count(b'"', 0, cut) % 2:
        # Inside a quoted field: back to the line that opens it, unless that quote stands in the middle of a field.
        quote = data.rfind(b'"', 0, cut)
        if quote and data[quote - 1] not in (*delimiter, _QUOTE, _LINE_FEED, _RETURN):
            return cut, False
        cut = _last_line_end(data, quote)
    return cut, _is_sound(data[:cut], delimiter)


def _is_sound(data: bytes, delimiter: bytes) -> bool:
    """Whether each first of two quotes opens a field, and each second one closes it."""
    # In arrays: no Python object for a field, and other threads work meanwhile. Doubled quotes are well placed.
    placed = delimiter + b'\r\n"'
    around = pa.py_buffer(delimiter + data + delimiter)
    before, here, after = (pa.Array.from_buffers(pa.uint8(), len(data), [None, around.slice(at)]) for at in range(3))
    quotes = pc.equal(here, pa.scalar(ord(b'"'), pa.uint8()))
    opening = _contents(pc.filter(before, quotes))[0::2]
    closing = _contents(pc.filter(after, quotes))[1::2]
    return len(opening) == len(closing) and not opening.translate(None, placed) and not closing.translate(None, placed)


def _contents(array: Any) -> bytes:
    return array.buffers()[1].to_pybytes()[: len(array)]


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _without_blank_rows(table: pa.Table, numbers: Sequence[int]) -> tuple[pa.Table, Sequence[int]]:
    """Without rows that hold nothing: empty lines, and what spreadsheets leave below the last row."""
    blank: Any = None
    for column in table.columns:
        empty = pc.equal(pc.binary_length(column), 0)
        blank = empty if blank is None else pc.and_(blank, empty)
        if not pc.any(blank, min_count=0).as_py():
            return table, numbers
    blanks = blank.to_pylist()
    return table.filter(pc.invert(blank)), [number for number, gone in zip(numbers, blanks, strict=True) if not gone]
