"""File drops: what is whole, what is new, what is too large."""

from pathlib import Path

import pytest

from retail_assets.sources import files
from retail_assets.sources.files import TooLargeError, complete_files, new_files, read_whole


def test_half_written_files_wait(tmp_path: Path) -> None:
    """A file was read while its sender was still writing it."""
    for name in ("b.csv", "a.csv", ".hidden", "c.csv.part", "d.TMP", "e.filepart"):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder").mkdir()
    assert [path.name for path in complete_files(tmp_path)] == ["a.csv", "b.csv"]
    assert complete_files(tmp_path / "nowhere") == []


def test_each_content_comes_once(tmp_path: Path) -> None:
    """A copy under another name doubled the money; a new content under an old name was never read."""
    done: dict[str, str] = {}
    (tmp_path / "a.csv").write_text("one")
    (tmp_path / "b.csv").write_text("one")
    assert [file.name for file in new_files(tmp_path, done)] == ["a.csv"]
    (tmp_path / "a.csv").write_text("two!")
    assert [file.name for file in new_files(tmp_path, done)] == ["a.csv"]
    assert list(new_files(tmp_path, done)) == []


def test_a_name_may_matter(tmp_path: Path) -> None:
    """A remittance with the wrong name was never read under its right one."""
    done: dict[str, str] = {}
    (tmp_path / "wrong.csv").write_text("one")
    assert [file.name for file in new_files(tmp_path, done, name_matters=True)] == ["wrong.csv"]
    (tmp_path / "wrong.csv").rename(tmp_path / "right.csv")
    assert [file.name for file in new_files(tmp_path, done, name_matters=True)] == ["right.csv"]
    assert list(new_files(tmp_path, done, name_matters=True)) == []


def test_a_file_that_failed_is_read_again(tmp_path: Path) -> None:
    """A crash in the middle of a file counted it as read."""
    done: dict[str, str] = {}
    (tmp_path / "a.csv").write_text("one")
    for file in new_files(tmp_path, done):
        assert file.name == "a.csv"
        break
    assert [file.name for file in new_files(tmp_path, done)] == ["a.csv"]


def test_an_unchanged_file_is_not_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that finds nothing new read all files of ten years."""
    done: dict[str, str] = {}
    (tmp_path / "a.csv").write_text("one")
    list(new_files(tmp_path, done))

    def unexpected(path: Path) -> str:
        raise AssertionError(path)

    monkeypatch.setattr(files, "sha256_of", unexpected)
    assert list(new_files(tmp_path, done)) == []


def test_a_file_is_measured_before_it_is_read(tmp_path: Path) -> None:
    """A file of 20 GB in the inbox took the machine's memory."""
    (tmp_path / "a.xml").write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(TooLargeError, match=r"a.xml has 1.0 MB, more than largest_file_mb allows \(1\)"):
        read_whole(tmp_path / "a.xml", 1)
    assert len(read_whole(tmp_path / "a.xml", 2)) == (1 << 20) + 1
