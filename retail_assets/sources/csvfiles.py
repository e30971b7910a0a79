"""CSV files of any dialect as blocks of text columns, with the rows that are no rows set aside."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv

#: Arrow's CSV reader is a module that type checkers do not see.
_reader: Any = pyarrow.csv

_BLOCK_BYTES: Final = 16 << 20
_PROBE_BYTES: Final = 1 << 16
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class CsvError(Exception):
    """The file as a whole cannot be read: says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class RaggedRow:
    """A row with more or fewer fields than the header; ``text`` as it was in the file."""

    number: int | None
    text: str
    expected: int
    actual: int


@dataclass(slots=True)
class CsvFile:
    """A CSV file with a header, all columns as text.

    ``header`` holds the names as the file has them, each once (a name that repeats gets a number behind it).
    ``ragged`` fills while the blocks are read.
    """

    path: Path
    delimiter: str
    encoding: str
    header: list[str]
    first_row: int
    ragged: list[RaggedRow] = field(default_factory=list)

    def blocks(self) -> Iterator[tuple[pa.Table, int]]:
        """Blocks of rows, and the number of each block's first row in the file (the header is row 1).

        Raises:
            CsvError: the file is no CSV in this encoding.
        """

        def set_aside(row: Any) -> str:
            self.ragged.append(RaggedRow(row.number, row.text or "", row.expected_columns, row.actual_columns))
            return "skip"

        number = self.first_row
        try:
            reader = _reader.open_csv(
                self.path,
                read_options=_reader.ReadOptions(
                    column_names=self.header,
                    skip_rows=self.first_row - 1,
                    block_size=_BLOCK_BYTES,
                    encoding=self.encoding,
                    use_threads=False,
                ),
                parse_options=_reader.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=set_aside
                ),
                convert_options=_reader.ConvertOptions(
                    column_types=dict.fromkeys(self.header, pa.string()), strings_can_be_null=False
                ),
            )
            for batch in reader:
                yield pa.Table.from_batches([batch]), number
                number += batch.num_rows
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise CsvError(f"{self.path.name} is no CSV in {self.encoding}: {error}") from error


def open_csv(path: Path, *, delimiter: str = ",", encoding: str | None = None, header_row: int = 1) -> CsvFile:
    """Look at a file's first rows: encoding (by byte order mark, else UTF-8) and header.

    Args:
        header_row: number of the row that holds the names; rows above it are left out.

    Raises:
        CsvError: the file is empty, or has no header there.
    """
    with path.open("rb") as file:
        probe = file.read(_PROBE_BYTES)
    found = encoding or next((name for bom, name in _BOMS if probe.startswith(bom)), "utf-8")
    try:
        text = codecs.getincrementaldecoder(found)().decode(probe)
    except UnicodeDecodeError as error:
        raise CsvError(f"{path.name} is not {found}: {error}") from error
    rows = csv.reader(io.StringIO(text), delimiter=delimiter)
    names: Sequence[str] = next((row for number, row in enumerate(rows, 1) if number == header_row), ())
    if not any(name.strip() for name in names):
        raise CsvError(f"{path.name} has no header in row {header_row}")
    # Arrow decodes the byte order mark of UTF-16 but keeps that of UTF-8 out of the names by itself.
    return CsvFile(path, delimiter, "utf-8" if found == "utf-8-sig" else found, _unique(names), header_row + 1)


def _unique(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        plain = " ".join(name.replace("\ufeff", "").split())
        seen[plain] = seen.get(plain, 0) + 1
        unique.append(plain if seen[plain] == 1 else f"{plain} {seen[plain]}")
    return unique
