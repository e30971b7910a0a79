"""CSV files as senders really write them."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retail_assets.sources import csvfiles
from retail_assets.sources.csvfiles import CsvError, CsvFile, open_csv

fuzzed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(path: Path, content: bytes | str, **options: Any) -> tuple[dict[int, tuple[str, ...]], CsvFile]:
    """Row number → fields, and the file with what was set aside."""
    path = path / "file.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    file = open_csv(path, **options)
    rows: dict[int, tuple[str, ...]] = {}
    for table, first in file.blocks():
        assert table.column_names == file.header
        for offset, row in enumerate(zip(*table.to_pydict().values(), strict=True)):
            assert first + offset not in rows
            rows[first + offset] = row
    return rows, file


def set_aside(file: CsvFile) -> list[tuple[int, str]]:
    return [(row.number, row.text) for row in file.ragged]


def test_rows_keep_their_numbers(tmp_path: Path) -> None:
    """Behind a ragged row, a blank line or a field of two lines every error named the wrong row."""
    rows, file = read(tmp_path, 'a,b\n1,2\n\n3\n4,5\n"x\ny",6\n7,8,9\n,\n10,11\n')
    assert rows == {2: ("1", "2"), 5: ("4", "5"), 6: ("x\ny", "6"), 9: ("10", "11")}
    assert set_aside(file) == [(4, "3"), (7, "7,8,9")]
    assert file.ragged[0].reason == "has 1 fields, but the header has 2"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_line_ends_and_encodings_are_found(tmp_path: Path, end: str, encoding: str) -> None:
    """A file saved on Windows, on an old Mac or as "Unicode" was one row, one column, or no text."""
    rows, file = read(tmp_path, end.join(["naïve;b", "1;ä€", '"2";"日本"', "3;😀", ""]).encode(encoding))
    assert list(rows.values()) == [("1", "ä€"), ("2", "日本"), ("3", "😀")]
    assert file.header == ["naïve", "b"]


def test_one_row_that_is_no_text_costs_one_row(tmp_path: Path) -> None:
    """A single Latin-1 byte in row 3 of a million made the file unreadable."""
    rows, file = read(tmp_path, b"a,b\n1,good\n2,M\xfcller\n3,also good\n")
    assert rows == {2: ("1", "good"), 4: ("3", "also good")}
    assert [row.number for row in file.ragged] == [3]
    assert "no text in utf-8" in file.ragged[0].reason
    rows, _ = read(tmp_path, b"a,b\n2,M\xfcller\n", encoding="cp1252")
    assert rows == {2: ("2", "Müller")}


def test_a_half_character_of_utf_16_costs_one_row(tmp_path: Path) -> None:
    """A file cut in the middle of a character lost everything before it."""
    content = "a,b\n1,2\n3,4\n5,x".encode("utf-16") + b"\x00"
    rows, file = read(tmp_path, content)
    assert rows == {2: ("1", "2"), 3: ("3", "4")}
    assert [row.number for row in file.ragged] == [4]


def test_a_quote_that_is_never_closed_costs_one_row(tmp_path: Path) -> None:
    """One stray quote made a single field of all rows behind it, and nobody noticed."""
    rows, file = read(tmp_path, 'a,b,c\n1,"x,2\n3,4,5\n6,"y ""z""",7\n8,"m\nn",9\n10,"open\n')
    assert rows == {3: ("3", "4", "5"), 4: ("6", 'y "z"', "7"), 5: ("8", "m\nn", "9")}
    assert set_aside(file) == [(2, '1,"x,2'), (6, '10,"open')]


def test_inches_are_no_quotes(tmp_path: Path) -> None:
    """A product of 5" size moved the fields of the rows behind it."""
    rows, _ = read(tmp_path, 'a,b\n1,5" pipe\n2,"6"" pipe"\n3,"7" pipe"\n')
    assert [row[1] for row in rows.values()] == ['5" pipe', '6" pipe', '7 pipe"']


@pytest.mark.parametrize("block", [16, 64, 1 << 10])
def test_blocks_end_between_records(tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field larger than a block ended the load: straddling object straddles two block boundaries."""
    monkeypatch.setattr(csvfiles, "_BLOCK_BYTES", block)
    huge = 'line "one",\r\n' * 500
    written = io.StringIO()
    rows = [[str(number), huge if number == 7 else f"v{number}\nw", "z"] for number in range(20)]
    csv.writer(written).writerows([["id", "text", "end"], *rows])
    found, file = read(tmp_path, written.getvalue())
    assert [list(row) for row in found.values()] == rows
    assert list(found) == list(range(2, 22))
    assert not file.ragged


def test_header_names_are_unique(tmp_path: Path) -> None:
    """Two columns called Amount: the second one overwrote the first, or a made-up name hit a real one."""
    _, file = read(tmp_path, "Amount,Amount,Amount 2,,Amount\n1,2,3,4,5\n")
    assert file.header[0] == "Amount"
    assert len(set(file.header)) == 5
    assert "Amount 2" in file.header
    assert "column 4" in file.header


def test_a_last_delimiter_is_no_field(tmp_path: Path) -> None:
    """Banks that end each row, but not the header, with a semicolon had all rows refused."""
    rows, file = read(tmp_path, "a;b\n1;2;\n3;4;\n5;6\n")
    assert list(rows.values()) == [("1", "2"), ("3", "4"), ("5", "6")]
    rows, file = read(tmp_path, "a;b\n1;2\n3;4;\n5;6;7\n")
    assert rows == {2: ("1", "2"), 3: ("3", "4")}
    assert set_aside(file) == [(4, "5;6;7")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    """Every acquirer had to be asked which delimiter its file has."""
    rows, file = read(tmp_path, f'id{delimiter}"text, more"\n1{delimiter}"a,b;c|d"\n2{delimiter}x\n')
    assert file.delimiter == delimiter
    assert list(rows.values()) == [("1", "a,b;c|d"), ("2", "x")]


def test_rows_above_the_header_are_left_out(tmp_path: Path) -> None:
    """An account statement begins with the account's name; its header was looked for in row 1."""
    content = 'Account;DE1\nmade "today"\n\nDay;Amount\n1.1.;5\n'
    assert read(tmp_path, content, names=["Amount"])[0] == {5: ("1.1.", "5")}
    assert read(tmp_path, content, header_row=4)[0] == {5: ("1.1.", "5")}
    assert read(tmp_path, "sep=|\na|b\n1|2\n")[0] == {3: ("1", "2")}


def test_a_file_of_its_header_only_has_no_rows(tmp_path: Path) -> None:
    """A quiet day failed the load."""
    assert read(tmp_path, "a,b")[0] == read(tmp_path, "a,b\r\n\r\n")[0] == {}


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        (b"", {}, "it is empty"),
        (b"\n\n\n", {}, "no header"),
        (b"a,b\n1,2\n", {"names": ["c"]}, "no column c; its header is a, b"),
        (b"W\xe4hrung,b\n1,2\n", {}, "in which encoding"),
        (b"a,b\n", {"encoding": "klingon"}, "'klingon' is no encoding"),
        (b"a,b\n", {"header_row": 4}, "no header in row 4"),
    ],
)
def test_a_file_without_header_says_so(tmp_path: Path, content: bytes, options: Any, reason: str) -> None:
    """The wrong file, or the wrong setting, gave a KeyError without the file's name."""
    with pytest.raises(CsvError, match=reason) as error:
        read(tmp_path, content, **options)
    assert "file.csv" in str(error.value)


def test_thousands_of_columns(tmp_path: Path) -> None:
    """A header longer than the first piece that was looked at had no end."""
    names = [f"a rather long name of a column, number {number}" for number in range(6000)]
    written = io.StringIO()
    csv.writer(written).writerows([names, map(str, range(6000)), ["short"]])
    rows, file = read(tmp_path, written.getvalue())
    assert rows == {2: tuple(map(str, range(6000)))}
    assert [row.actual for row in file.ragged] == [1]


def test_what_looks_like_a_formula_or_a_number_stays_as_it_is(tmp_path: Path) -> None:
    """Ids of 20 digits were rounded, NUL bytes ended a text, a leading = was taken off."""
    fields = ("12345678901234567890", "=1+1", "@x", "\x00nul", "1.23E+22", "-0", " blank ")
    rows, _ = read(tmp_path, "a,b,c,d,e,f,g\n" + ",".join(fields) + "\n")
    assert list(rows.values()) == [fields]


def test_two_readings_give_the_same(tmp_path: Path) -> None:
    """Ragged rows were counted twice when a file was read twice."""
    _, file = read(tmp_path, "a,b\n1\n2,3\n")
    assert [table.num_rows for table, _ in file.blocks()] == [1]
    assert len(file.ragged) == 1


cell = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=8)


@fuzzed
@given(
    rows=st.lists(st.lists(cell, min_size=3, max_size=3), max_size=12),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    block=st.sampled_from([8, 50, 1 << 20]),
)
def test_what_was_written_is_read(
    tmp_path: Path,
    rows: Sequence[Sequence[str]],
    delimiter: str,
    end: str,
    encoding: str,
    quoting: Any,
    block: int,
) -> None:
    """Some text in some dialect came back changed, or not at all."""
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows([["a", "b", "c"], *rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csvfiles, "_BLOCK_BYTES", block)
        found, file = read(tmp_path, written.getvalue().encode(encoding), delimiter=delimiter)
    assert list(found.values()) == [tuple(row) for row in rows if any(row)]
    assert not file.ragged


@fuzzed
@given(
    junk=st.lists(
        st.one_of(st.binary(max_size=12), st.sampled_from([b'"', b'x,"', b",,,", b"\xff", b'","', b'""', b"\r"])),
        max_size=6,
    ),
    block=st.sampled_from([8, 100, 1 << 20]),
)
def test_damage_never_costs_the_rows_before_it(tmp_path: Path, junk: Sequence[bytes], block: int) -> None:
    """A damaged file crashed the run, or took the good rows above the damage with it."""
    good = [b"id-%d,%d.50,fine" % (number, number) for number in range(5)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csvfiles, "_BLOCK_BYTES", block)
        rows, _ = read(tmp_path, b"\n".join([b"id,amount,text", *good, *junk, b""]), encoding="utf-8", delimiter=",")
    assert [rows.get(number + 2) for number in range(5)] == [tuple(row.decode().split(",")) for row in good]


@fuzzed
@given(
    content=st.binary(max_size=200), prefix=st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"a,b\n", b"sep=;\n"])
)
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes, prefix: bytes) -> None:
    """Bytes that nobody expected ended the run with an error of some library."""
    try:
        rows, file = read(tmp_path, prefix + content)
    except CsvError:
        return
    assert all(len(row) == len(file.header) for row in rows.values())
    assert not rows.keys() & {row.number for row in file.ragged}
