"""Reports as they arrive in the worst case: nothing ends a load, and no good row is lost."""

import codecs
import io
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from retail_assets.sources.intake import Counts
from tests.sources.adyen.door import read
from tests.sources.adyen.reports import CLASSIC, LATER, settled, text

_WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00\x1a"), max_size=20)
_LONG = st.sampled_from(["😀" * 3, "x" * 70_000, '{"a": "b, c"}', "Zürich", "12345678901234567890", " , ", '"'])
_BAD = st.sampled_from(["12,50", "1.234,00", "NaN", "0x10", "1e5", "--1", "٣", "12345678901234567890.1", "1.23456"])
_ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le-mark"])


@st.composite
def rows(draw: st.DrawFn) -> list[tuple[dict[str, str], bool]]:
    """Rows, and whether each is good."""
    found = []
    for number in range(draw(st.integers(0, 6))):
        made = settled(f"P{number:015d}", ref=draw(_WORDS | _LONG), metadata=draw(_WORDS | _LONG))
        made["Net Credit (NC)"] = draw(st.sampled_from(["9.70", ".7", "-0.00", "0", "", "7.", "000000000001.10"]))
        good = draw(st.booleans())
        if not good:
            column = draw(st.sampled_from(["Net Debit (NC)", "Commission (NC)", "Gross Debit (GC)"]))
            made[column] = draw(_BAD)
        found.append((made, good))
    return found


def encoded(content: str, encoding: str) -> bytes:
    if encoding == "utf-16-le-mark":
        return codecs.BOM_UTF16_LE + content.encode("utf-16-le")
    return content.encode(encoding)


def read_content(content: bytes) -> tuple[Counts, list[str | None]]:
    """What a load makes of one file: its counts, and the psp references of the rows that load."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "settlement_detail_report_batch_7.csv").write_bytes(content)
        door = read(Path(name))
        return door.seen, [found["psp_reference"] for found in door.details]


@settings(max_examples=40, deadline=None)
@given(
    found=rows(),
    columns=st.permutations(LATER) | st.just(CLASSIC),
    line_end=st.sampled_from(["\n", "\r\n"]),
    encoding=_ENCODINGS,
    doubled=st.booleans(),
)
def test_good_rows_load_and_bad_ones_are_kept(
    found: list[tuple[dict[str, str], bool]], columns: tuple[str, ...], line_end: str, encoding: str, doubled: bool
) -> None:
    """A mark, UTF-16, Windows line ends, another order, a column twice, an emoji or a huge field cost good rows."""
    # A column that is there twice: the first one counts.
    headers = (*columns, columns[0]) if doubled else tuple(columns)
    content = text([made for made, _ in found], headers, line_end)
    counts, loaded = read_content(encoded(content, encoding))
    assert counts.received == counts.loaded + counts.quarantined == len(found)
    assert loaded == [made["Psp Reference"] for made, good in found if good]


@settings(max_examples=40, deadline=None)
@given(found=rows(), cut=st.floats(0, 1), encoding=_ENCODINGS)
def test_a_cut_file_keeps_its_whole_rows(found: list[tuple[dict[str, str], bool]], cut: float, encoding: str) -> None:
    """A download that broke off ended the load, or took the rows before the break with it."""
    written = [made for made, _ in found]
    content = encoded(text(written), encoding)
    counts, loaded = read_content(content[: int(len(content) * cut)])
    assert counts.received == counts.loaded + counts.quarantined
    whole = _whole_rows(found, content[: int(len(content) * cut)], encoding)
    assert loaded[: len(whole)] == whole
    # At most one more: the row at the break, if all that it lost is its end.
    assert len(loaded) <= len(whole) + 1


def _whole_rows(found: list[tuple[dict[str, str], bool]], content: bytes, encoding: str) -> list[str]:
    name = {"utf-16-le-mark": "utf-16"}.get(encoding, encoding)
    decoded = codecs.getincrementaldecoder(name)(errors="ignore").decode(content)
    complete = io.StringIO(text([made for made, _ in found])).read()
    good: list[str] = []
    for count in range(len(found)):
        upto = text([made for made, _ in found[: count + 1]])
        if complete.startswith(upto) and decoded.startswith(upto) and found[count][1]:
            good.append(found[count][0]["Psp Reference"])
    return good


@settings(max_examples=40, deadline=None)
@given(content=st.binary(max_size=2_000) | st.text(max_size=500).map(str.encode))
def test_no_content_ends_a_load(content: bytes) -> None:
    """A file of anything at all, dropped into the wrong folder, ended the run."""
    counts, _ = read_content(content)
    assert counts.received == counts.loaded + counts.quarantined
