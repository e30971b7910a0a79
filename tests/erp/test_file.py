"""Journal entries as files: written once, whole or not at all, and read back from their bytes."""

import csv
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from retail_assets.erp.compare import differences
from retail_assets.erp.factory import poster_for
from retail_assets.erp.file import COLUMNS, FilePoster
from retail_assets.erp.protocol import ErpUnavailable, KeyAlreadyUsed, OutcomeUnknown, PostedDocument, RejectedByErp
from retail_assets.settings import SettingsError, instance_of, load_settings
from tests.erp.books import entry, line

FOREIGN = entry(
    "fx#1",
    line("1251", debit="100", currency="EUR", rate="1.08735"),
    line("4000", credit="108.73"),
    replace(line("4000", currency="EUR"), base_credit=Decimal("0.01")),
)


@pytest.fixture(params=["csv", "json"])
def poster(request: pytest.FixtureRequest, tmp_path: Path) -> FilePoster:
    poster = FilePoster(tmp_path / "files", file_format=request.param)
    poster.prepare()
    return poster


def read(poster: FilePoster, document: str) -> PostedDocument:
    return poster.read_back([document])[document]


def shown(folder: Path) -> list[str]:
    """The files that an importer sees."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def exported(folder: Path) -> Counter[str]:
    """How many documents hold each key, over all files that can be seen."""
    documents: set[tuple[str, str]] = set()
    for path in folder.glob("0*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            documents |= {(row["document"], row["posting_key"]) for row in csv.DictReader(file)}
    for path in folder.glob("0*[0-9].json"):
        rows = json.loads(path.read_bytes())["documents"]
        documents |= {(row["document"], row["posting_key"]) for row in rows}
    return Counter(key for _, key in documents)


def test_what_is_posted_is_what_was_intended(poster: FilePoster) -> None:
    """The whole way: write, find by key, read back from the bytes, compare; also in the next process."""
    intended = [entry(), FOREIGN]
    documents = poster.post(intended)
    assert documents == ["00000001-1", "00000001-2"]
    again = FilePoster(poster._folder, file_format=poster._format)
    for each in (poster, again):
        assert each.look_up([entry().key, "fx#1", "other#1"]) == {entry().key: documents[0], "fx#1": documents[1]}
        found = each.read_back([*documents, "00000001-3", "00000009-1", "nonsense"])
        assert found.keys() == set(documents)
        assert [differences(i, found[d]) for i, d in zip(intended, documents, strict=True)] == [[], []]
    assert again.check() == []
    assert poster.document_url(documents[0]).endswith(f"/00000001.{poster._format}")


def test_the_manifest_says_what_is_in_the_file(poster: FilePoster) -> None:
    """An importer checks the file by it; figures that do not belong to the file would be worse than none."""
    poster.post([entry(), FOREIGN])
    poster.post([entry("c#1")])
    first, second = (json.loads((poster._folder / f"0000000{number}.manifest.json").read_bytes()) for number in (1, 2))
    content = (poster._folder / first["file"]).read_bytes()
    assert (first["sha256"], first["bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (first["version"], first["documents"], first["lines"]) == (1, 2, 6)
    assert first["totals"] == {
        "EUR": {"debit": "100.00", "credit": "0.00"},
        "USD": {"debit": "33.33", "credit": "142.06"},
    }
    assert first["base_totals"] == {"USD": {"debit": "142.07", "credit": "142.07"}}
    assert first["entries"][1] == {"document": "00000001-2", "key": "fx#1", "lines": 3}
    digest = hashlib.sha256((poster._folder / "00000001.manifest.json").read_bytes()).hexdigest()
    assert first["previous"] is None
    assert second["previous"] == {"file": "00000001.manifest.json", "sha256": digest}


def test_the_columns_of_csv(tmp_path: Path) -> None:
    """What an importer is configured for; and no cell that a spreadsheet would run."""
    poster = FilePoster(tmp_path)
    evil = replace(line("4000", credit="5"), memo="=HYPERLINK(1)", cost_centre="K1")
    poster.post([replace(entry("a#1", line("1100", debit="5"), evil), memo='@"two",\nlines')])
    with (tmp_path / "00000001.csv").open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert tuple(first) == COLUMNS
    assert first | {"line_no": 1} == {
        "document": "00000001-1", "posting_key": "a#1", "entity_code": "US", "company": "Cedar & Pine LLC",
        "posting_date": "2026-03-15", "memo": '\'@"two",\nlines', "line_no": 1, "account_code": "1100",
        "debit": "5.00", "credit": "0.00", "currency_code": "USD", "base_debit": "5.00", "base_credit": "0.00",
        "base_currency_code": "USD", "exchange_rate": "1", "line_memo": "a line", "cost_centre": "",
    }  # fmt: skip
    assert (second["line_memo"], second["cost_centre"]) == ("'=HYPERLINK(1)", "K1")


def test_the_documents_of_json(tmp_path: Path) -> None:
    """Amounts are texts, digit for digit."""
    FilePoster(tmp_path, file_format="json").post([entry("a#1", day=date(2026, 4, 1))])
    (document,) = json.loads((tmp_path / "00000001.json").read_bytes())["documents"]
    assert (document["posting_key"], document["posting_date"]) == ("a#1", "2026-04-01")
    assert document["lines"][0]["debit"] == "33.33"


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 10**16), st.text(st.characters(codec="utf-8"), max_size=9)), min_size=1))
def test_any_amount_and_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, lines: list[Any]) -> None:
    """Quotes, line ends and separators in a memo must not move a line into another column."""
    folder = tmp_path_factory.mktemp("files")
    made = [replace(line("1100", debit=str(Decimal(cents).scaleb(-2))), memo=memo) for cents, memo in lines]
    intended = replace(entry("a#1", *made), memo=lines[0][1])
    for file_format in ("csv", "json"):
        poster = FilePoster(folder / file_format, file_format=file_format)
        poster.prepare()
        assert differences(intended, read(poster, poster.post([intended])[0])) == []


def test_a_file_for_each_entry(tmp_path: Path) -> None:
    """Some ERPs take one document a file."""
    poster = FilePoster(tmp_path, entries_per_file=1)
    assert poster.post([entry("a#1"), entry("b#1")]) == ["00000001-1", "00000002-1"]
    assert len(shown(tmp_path)) == 4
    with pytest.raises(ValueError, match="entries_per_file"):
        FilePoster(tmp_path, entries_per_file=0)


def test_one_key_one_document(poster: FilePoster) -> None:
    """A second worker with an index of yesterday must see what the first has written."""
    other = FilePoster(poster._folder, file_format=poster._format)
    assert other.look_up(["a#1"]) == {}
    poster.post([entry("a#1")])
    with pytest.raises(KeyAlreadyUsed, match="00000001-1"):
        other.post([entry("b#1"), entry("a#1")])
    assert other.post([entry("b#1")]) == ["00000002-1"]
    assert poster.look_up(["a#1", "b#1"]) == {"a#1": "00000001-1", "b#1": "00000002-1"}
    with pytest.raises(ValueError, match="same key"):
        poster.post([entry("c#1"), entry("c#1")])
    with pytest.raises(RejectedByErp, match="no draft"):
        poster.finish("00000001-1")


def test_entities_that_share_a_folder_take_turns(poster: FilePoster) -> None:
    """Two that took the same number would overwrite each other's entries."""

    def post(entity: int) -> None:
        own = FilePoster(poster._folder, file_format=poster._format)
        for number in range(8):
            own.post([entry(f"{entity}/{number}#1")])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(post, range(4)))
    keys = [f"{entity}/{number}#1" for entity in range(4) for number in range(8)]
    assert set(poster.look_up(keys)) == set(keys)
    assert exported(poster._folder) == dict.fromkeys(keys, 1)
    assert poster.check() == []


def test_an_entry_that_no_file_can_hold_leaves_nothing(tmp_path: Path) -> None:
    """Refused in the second file, it must not leave the first."""
    poster = FilePoster(tmp_path, entries_per_file=1)
    with pytest.raises(RejectedByErp, match="more decimals than USD"):
        poster.post([entry("a#1"), entry("b#1", replace(line("1100"), debit=Decimal("0.001")))])
    assert shown(tmp_path) == []


def test_the_page_names_every_column_and_every_field(tmp_path: Path) -> None:
    """Whoever writes an importer has nothing but docs/erp.md."""
    FilePoster(tmp_path).post([entry()])
    manifest = json.loads((tmp_path / "00000001.manifest.json").read_bytes())
    page = (Path(__file__).parents[2] / "docs" / "erp.md").read_text(encoding="utf-8").partition("## Files")[2]
    rows = re.findall(r"^\| ([a-z0-9_, ]+) \|", page, re.M)
    named = [name for row in rows for name in row.split(", ") if name not in {"name", "column"}]
    assert named == [*manifest, *COLUMNS]


class Death(BaseException):
    """The process ends here."""


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, int, bool], None]]:
    """Makes the nth flush or rename the last thing that happens."""

    def die(step: str, nth: int, after: bool) -> None:
        owner: Any = {"fsync": os, "rename": Path}[step]
        original, calls = getattr(owner, step), iter(range(1, 99))

        def deadly(*arguments: Any) -> Any:
            call = next(calls)
            if call == nth and not after:
                raise Death
            result = original(*arguments)
            if call == nth:
                raise Death
            return result

        monkeypatch.setattr(owner, step, deadly)

    yield die
    monkeypatch.undo()


DEATHS = [
    *(("fsync", nth, False) for nth in (1, 2, 3, 4)),
    *(("rename", nth, after) for nth in (1, 2) for after in (False, True)),
]


@pytest.mark.parametrize(("step", "nth", "after"), DEATHS)
@pytest.mark.parametrize("same", [True, False])
def test_a_crash_anywhere(
    poster: FilePoster, dying: Any, monkeypatch: pytest.MonkeyPatch, step: str, nth: int, after: bool, same: bool
) -> None:
    """A file without a manifest is announced if it is what is to be written, and put aside if it is not."""
    poster.post([entry("a#1")])
    dying(step, nth, after)
    with pytest.raises(Death):
        poster.post([entry("b#1"), entry("c#1")])
    monkeypatch.undo()
    again = FilePoster(poster._folder, file_format=poster._format)
    found = again.look_up(["b#1", "c#1"])
    announced = (step, nth, after) in {("rename", 2, True), ("fsync", 4, False)}
    assert set(found) == ({"b#1", "c#1"} if announced else set())
    wanted = [each for each in ([entry("b#1"), entry("c#1")] if same else [entry("b#1")]) if each.key not in found]
    if wanted:
        again.post(wanted)
    documents = again.look_up(["a#1", "b#1"])
    assert [differences(entry(key), read(again, documents[key])) for key in documents] == [[], []]
    # An importer that did not wait for the manifest has seen it under this number.
    assert documents["b#1"] == "00000002-1" or not same
    # Whoever takes every file, manifest or not, finds each entry once as well.
    assert exported(poster._folder) == {"a#1": 1, "b#1": 1, **({"c#1": 1} if same or announced else {})}
    assert again.check() == []


def test_a_disk_that_fails(poster: FilePoster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the manifest nothing has happened; at the manifest nobody knows."""
    calls = iter(range(1, 99))
    original = os.fsync

    def failing(descriptor: int) -> None:
        if next(calls) == failing_at:
            raise OSError(28, "No space left on device")
        original(descriptor)

    for failing_at, error in ((1, ErpUnavailable), (4, OutcomeUnknown)):
        calls = iter(range(1, 99))
        monkeypatch.setattr(os, "fsync", failing)
        with pytest.raises(error, match="No space left"):
            poster.post([entry(f"{failing_at}#1")])
        monkeypatch.undo()
    assert poster.look_up(["1#1", "4#1"]).keys() == {"4#1"}


def test_only_some_of_the_files_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of the entries stand: to call that nothing would post them again."""
    poster = FilePoster(tmp_path, entries_per_file=1)
    original = FilePoster._write

    def full(self: FilePoster, path: Path, content: bytes) -> None:
        if path.name == "00000002.csv":
            raise OSError(28, "No space left on device")
        original(self, path, content)

    monkeypatch.setattr(FilePoster, "_write", full)
    with pytest.raises(OutcomeUnknown, match="only 1"):
        poster.post([entry("a#1"), entry("b#1")])
    monkeypatch.undo()
    assert poster.look_up(["a#1", "b#1"]) == {"a#1": "00000001-1"}


def test_damage_is_noticed(poster: FilePoster) -> None:
    """A file that was changed, or manifests of which one is missing: an entry could be posted twice."""
    for key in ("a#1", "b#1", "c#1"):
        poster.post([entry(key)])
    folder = poster._folder
    data = folder / f"00000002.{poster._format}"
    content = data.read_bytes()
    data.write_bytes(content.replace(b"33.33", b"43.33"))
    with pytest.raises(RejectedByErp, match="not what was written"):
        poster.read_back(["00000002-1"])
    data.unlink()
    assert poster.read_back(["00000002-1"]) == {}
    data.write_bytes(content)
    (folder / "00000002.manifest.json").rename(folder / "aside")
    with pytest.raises(ErpUnavailable, match="gone"):
        poster.look_up(["a#1"])
    fresh = FilePoster(folder, file_format=poster._format)
    assert "does not follow" in fresh.check()[0]
    with pytest.raises(ErpUnavailable, match="does not follow"):
        fresh.post([entry("d#1")])
    strange = (folder / "aside").read_text().replace('"file": "0000', '"file": "../0000')
    for content in ("{}", strange):
        (folder / "00000002.manifest.json").write_text(content)
        assert "no manifest of ours" in FilePoster(folder).check()[0]
    assert "does not exist" in FilePoster(folder / "nowhere").check()[0]
    with pytest.raises(ErpUnavailable, match="export folder"):
        FilePoster(folder / "nowhere").post([entry()])


def test_what_people_put_there_is_left_alone(poster: FilePoster) -> None:
    """A note or a report in the folder is not ours to move."""
    (poster._folder / "2026-report.csv").write_text("report")
    poster.post([entry("a#1")])
    assert "2026-report.csv" in shown(poster._folder)


def test_the_poster_of_the_configuration(tmp_path: Path) -> None:
    """The folder is below RETAIL_HOME/exports unless it is an absolute path; two ERPs may not share one."""
    erp = instance_of("erps", {"id": "ledger", "system": "file", "folder": str(tmp_path), "format": "json"})
    poster = poster_for(erp)
    assert isinstance(poster, FilePoster)
    assert poster.check() == []
    assert poster.post([entry()]) == ["00000001-1"]
    assert shown(tmp_path) == ["00000001.json", "00000001.manifest.json"]
    poster.close()
    retail = tmp_path / "retail.yaml"

    def configured(*erps: str) -> Any:
        retail.write_text(
            "entities: [{code: US, name: U, country: US, base_currency: USD, time_zone: UTC, erp: ledger, "
            "company: C}]\n"
            "stores: [{id: shop, name: Shop, entity: US, base_url: https://shop.example.com, "
            "consumer_key: '${KEY}', consumer_secret: '${KEY}'}]\n"
            f"erps: [{', '.join(erps)}]\n"
        )
        environment = {"RETAIL_CONFIG": str(retail), "RETAIL_HOME": str(tmp_path / "home"), "KEY": "canary-key"}
        return load_settings(environment).configuration

    plain = configured("{id: ledger, system: file}").erp("ledger")
    assert plain.folder == str(tmp_path / "home" / "exports" / "ledger")
    with pytest.raises(ValidationError, match="absolute path"):
        instance_of("erps", {"id": "ledger", "system": "file"})
    with pytest.raises(SettingsError, match="nobody could tell"):
        configured("{id: ledger, system: file}", "{id: other, system: file, folder: ledger}")
