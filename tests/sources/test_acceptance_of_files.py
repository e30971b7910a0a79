"""The one acceptance suite: what holds for every source that reads file drops."""

import shutil
from importlib import import_module
from pathlib import Path

import pytest

from retail_assets.contracts import SYSTEMS
from retail_assets.settings import Instance, instance_of
from tests.sources.acceptance import ApiCase, FileCase, all_cases, load, row_counts
from tests.sources.loading import Home

every_file_source = pytest.mark.parametrize("case", all_cases(FileCase))


def test_every_variant_has_its_case() -> None:
    """A source that nobody put to the test."""
    variants = [variant for system in SYSTEMS.values() for variant in system.variants.values()]
    # Of a folder that is only written to nothing is read.
    declared = {variant.name for variant in variants if variant.access != "export"}
    tested = [param.values[0].variant for param in (*all_cases(ApiCase), *all_cases(FileCase))]
    assert sorted(tested) == sorted(declared)


@every_file_source
def test_files_load_the_expected_records(case: FileCase, home: Home, tmp_path: Path) -> None:
    """Records that never arrive, a file that is read before its sender has finished it."""
    instance, inbox = _dropped(case, tmp_path / "inbox")
    package = import_module(f"retail_assets.sources.{instance.source}")
    assert package.examine(instance, inbox)
    unfinished = sorted(inbox.iterdir())[0]
    (inbox / f"{unfinished.name}.part").write_bytes(b"half a fi")
    load(home, instance, inbox)
    assert row_counts(home, instance.source) == case.expected()
    assert home.quarantined() == []


@every_file_source
def test_files_read_twice_change_nothing(case: FileCase, home: Home, tmp_path: Path) -> None:
    """A second load, or the same file under another name, doubles what is there."""
    instance, inbox = _dropped(case, tmp_path / "inbox")
    load(home, instance, inbox)
    before = home.content(instance.source)
    load(home, instance, inbox)
    first = sorted(inbox.iterdir())[0]
    shutil.copyfile(first, first.with_name(f"zz_again_{first.name}"))
    load(home, instance, inbox)
    assert home.content(instance.source) == before


@every_file_source
def test_files_may_come_one_by_one(case: FileCase, home: Home, tmp_path: Path) -> None:
    """Whatever arrives with the second load replaces, or is refused beside, what came with the first."""
    instance, inbox = _dropped(case, tmp_path / "inbox")
    load(home, instance, inbox)
    arriving = tmp_path / "arriving"
    arriving.mkdir()
    slowly = Home(tmp_path / "slowly")
    slowly.path.mkdir()
    for path in sorted(inbox.iterdir()):
        shutil.copyfile(path, arriving / path.name)
        load(slowly, instance, arriving)
    assert slowly.content(instance.source) == home.content(instance.source)


@every_file_source
@pytest.mark.parametrize(
    "content",
    [b"", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", b"<html><body>404</body></html>", "grüße".encode("latin-1") * 40],
    ids=["empty", "image", "page", "encoding"],
)
def test_a_file_of_another_kind_is_quarantined_alone(
    case: FileCase, home: Home, tmp_path: Path, content: bytes
) -> None:
    """A file dropped by mistake takes the good ones with it, is lost in silence, or is refused anew on every run."""
    instance, inbox = _dropped(case, tmp_path / "inbox")
    (inbox / f"mistake{sorted(inbox.iterdir())[0].suffix}").write_bytes(content)
    load(home, instance, inbox)
    assert row_counts(home, instance.source) == case.expected()
    assert len(home.quarantined()) == 1
    load(home, instance, inbox)
    assert len(home.quarantined()) == 1


@every_file_source
def test_a_truncated_file_leaves_the_others_whole(case: FileCase, home: Home, tmp_path: Path) -> None:
    """A transfer that broke off loses rows of other files, or passes for whole."""
    instance, inbox = _dropped(case, tmp_path / "inbox")
    last = sorted(inbox.iterdir())[-1]
    content = last.read_bytes()
    last.write_bytes(content[: len(content) * 2 // 3])
    counts = load(home, instance, inbox)
    for one in counts.values():
        assert one.received == one.loaded + one.quarantined
    last.with_name(f"zz_whole_{last.name}").write_bytes(content)
    last.unlink()
    load(home, instance, inbox)
    replaced = last.name if case.keeps_every_file else None
    assert row_counts(home, instance.source, without_file=replaced) == case.expected()


def _dropped(case: FileCase, inbox: Path) -> tuple[Instance, Path]:
    inbox.mkdir()
    case.drop(inbox)
    assert len(list(inbox.iterdir())) > 1, "a case drops at least two files"
    return instance_of(case.section, case.block), inbox
