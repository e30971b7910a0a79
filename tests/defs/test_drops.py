"""Files are read when their sender has finished them, and then once."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from retail_assets import keys
from retail_assets.defs.ingest.drops import MAX_ATTEMPTS, files_sensor
from retail_assets.settings import Settings, load_settings
from retail_assets.sources.files import Completeness, complete_files
from tests.support.chain import environment


class Folder:
    """The inbox of one bank account, the sensor that looks at it, and the runs that it asked for."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.path = settings.inbox_path(settings.configuration.bank("bank_de"))
        self.path.mkdir(parents=True)
        self.instance = instance
        self.sensor = files_sensor(settings)
        self.cursor: str | None = None

    def drop(self, name: str, *, text: str = "x", age: float = 3600) -> Path:
        path = self.path / name
        path.write_text(text)
        moment = time.time() - age
        os.utime(path, (moment, moment))
        return path

    def tick(self) -> list[dg.RunRequest]:
        with dg.build_sensor_context(self.instance, cursor=self.cursor) as context:
            result: Any = self.sensor(context)
        self.cursor = result.cursor
        return list(result.run_requests or [])

    def ran(self, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
        @dg.op
        def load() -> None:
            if status is dg.DagsterRunStatus.FAILURE:
                raise RuntimeError("the warehouse is locked")

        @dg.job(name=keys.INGEST_JOB)
        def job() -> None:
            load()

        job.execute_in_process(instance=self.instance, tags=dict(request.tags), raise_on_error=False)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    values = {"RETAIL_HOME": str(tmp_path), "DAGSTER_HOME": str(tmp_path / "dagster")}
    with environment(values), dg.DagsterInstance.ephemeral() as instance:
        yield Folder(load_settings(values), instance)


def test_a_file_is_loaded_once_when_it_looked_the_same_twice(folder: Folder) -> None:
    """A statement that waits for somebody to press a button is late; one that is loaded at every tick is never done."""
    folder.drop("statement.xml")
    assert folder.tick() == []
    (request,) = folder.tick()
    assert {key.path[:2] == ["raw_bank", "bank_de"] for key in request.asset_selection or ()} == {True}
    folder.ran(request, dg.DagsterRunStatus.SUCCESS)
    assert folder.tick() == folder.tick() == []
    folder.drop("next.xml")
    assert folder.tick() == []
    assert len(folder.tick()) == 1


def test_a_file_that_is_being_written_is_left_and_holds_up_no_other(folder: Folder) -> None:
    """Half a settlement file is a valid file of half the money."""
    folder.drop("growing.xml", age=5)
    folder.drop("upload.xml.part")
    assert folder.tick() == folder.tick() == []
    folder.drop("finished.xml")
    assert folder.tick() == []
    (request,) = folder.tick()
    folder.ran(request, dg.DagsterRunStatus.SUCCESS)
    assert folder.tick() == []
    with Completeness(settle_seconds=60).required():
        assert [path.name for path in complete_files(folder.path)] == ["finished.xml"]


def test_a_load_of_files_that_failed_is_asked_for_again_but_not_for_ever(folder: Folder) -> None:
    """Dagster starts no second run for a key: files whose load failed once would wait for the night."""
    folder.drop("statement.xml")
    folder.tick()
    for _ in range(MAX_ATTEMPTS):
        (request,) = folder.tick()
        folder.ran(request, dg.DagsterRunStatus.FAILURE)
    assert folder.tick() == folder.tick() == []


def test_a_sender_that_marks_what_is_done_is_waited_for(tmp_path: Path) -> None:
    """An upload that stalled for an hour has settled, and is still half a file."""
    (tmp_path / "a.csv").write_text("a")
    (tmp_path / "b.csv").write_text("b")
    (tmp_path / "b.csv.done").touch()
    with Completeness(done_suffix=".done").required():
        assert [path.name for path in complete_files(tmp_path)] == ["b.csv"]
