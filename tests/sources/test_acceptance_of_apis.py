"""The one acceptance suite: what holds for every source that reads an API."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dlt.common.versioned_state import compress_state, decompress_state

from retail_assets.contracts import SYSTEMS
from retail_assets.settings import Instance, instance_of
from tests.sources.acceptance import ApiCase, Wire, all_cases, load, row_counts
from tests.sources.loading import Home
from tests.support.server import running

every_api = pytest.mark.parametrize("case", all_cases(ApiCase))

#: Loads of one source that are interrupted: after this share of its requests.
CHECKPOINTS = (0.3, 0.9)


@contextmanager
def served(case: ApiCase, folder: Path, **changes: Any) -> Iterator[tuple[Wire, Instance]]:
    """The system behind a wire, and the configured instance."""
    folder.mkdir(parents=True, exist_ok=True)
    wire = Wire(case.app(folder), case.records_of)
    with running(wire) as url:
        block = {"retries": 0, "requests_per_second": 1000, **case.block, "base_url": url + case.path, **changes}
        yield wire, instance_of(case.section, block)


def secrets_of(case: ApiCase) -> list[str]:
    declared = {
        setting.name
        for system in SYSTEMS.values()
        if case.variant in system.variants
        for setting in system.variants[case.variant].settings
        if setting.type == "secret"
    }
    return [str(value) for name, value in case.block.items() if name in declared]


@every_api
def test_good_credentials_load_the_expected_records(case: ApiCase, home: Home, tmp_path: Path) -> None:
    """Records that never arrive, tables that nobody fills, a key that ends up on disk."""
    with served(case, tmp_path / "system") as (_, instance):
        package = import_module(f"retail_assets.sources.{instance.source}")
        assert package.examine(instance, tmp_path) if hasattr(package, "examine") else True
        load(home, instance, tmp_path)
        assert row_counts(home, instance.source) == case.expected()
        assert home.quarantined() == []
    found = [path for path in home.path.rglob("*") if path.is_file()]
    for secret in secrets_of(case):
        assert not [path for path in found if secret.encode() in path.read_bytes()]


@every_api
def test_wrong_credentials_say_so(case: ApiCase, home: Home, tmp_path: Path) -> None:
    """An empty table after a refused key looks like a day without sales; an error that repeats the key leaks it."""
    with served(case, tmp_path / "system", **case.wrong) as (_, instance), pytest.raises(Exception) as refused:
        load(home, instance, tmp_path)
    assert row_counts(home, instance.source) == {}
    said = f"{refused.value!r} {refused.value.__cause__!r}"
    assert not [secret for secret in (*secrets_of(case), *map(str, case.wrong.values())) if secret in said]


@every_api
def test_reading_twice_changes_nothing(case: ApiCase, home: Home, tmp_path: Path) -> None:
    """A second load that doubles, loses or rewrites what the first one brought."""
    with served(case, tmp_path / "system") as (wire, instance):
        load(home, instance, tmp_path)
        before, requests = home.content(instance.source), wire.requests
        load(home, instance, tmp_path)
        assert home.content(instance.source) == before
        assert wire.requests - requests <= requests


@every_api
def test_an_interrupted_load_is_made_good(case: ApiCase, home: Home, tmp_path: Path) -> None:
    """A cursor that had moved on past what a broken load never stored."""
    with served(case, tmp_path / "system") as (wire, instance):
        load(home, instance, tmp_path)
        undisturbed, requests = home.content(instance.source, case.own_times), wire.requests
        for share in CHECKPOINTS:
            again = Home(tmp_path / f"again{share}")
            again.path.mkdir()
            wire.requests, wire.fail_from = 0, max(1, int(requests * share))
            with pytest.raises(Exception):  # noqa: B017 - each source has its own
                load(again, instance, tmp_path)
            wire.fail_from = None
            load(again, instance, tmp_path)
            assert again.content(instance.source, case.own_times) == undisturbed


@every_api
def test_a_state_from_the_future_is_not_believed(case: ApiCase, home: Home, tmp_path: Path) -> None:
    """A clock that was wrong once blinds the source for ever."""
    with served(case, tmp_path / "system") as (_, instance):
        load(home, instance, tmp_path)
        before = home.content(instance.source, case.own_times)
        _set_state_ahead(home.warehouse, f"raw_{instance.source}")
        with duckdb.connect(str(home.warehouse)) as connection:
            for table in before:
                connection.execute(f'delete from "raw_{instance.source}"."{table}"')
        load(home, instance, tmp_path)
        assert home.content(instance.source, case.own_times) == before


@every_api
def test_rude_answers_are_asked_again(case: ApiCase, home: Home, tmp_path: Path) -> None:
    """A limit, an error or half an answer taken for the end of the list."""
    with served(case, tmp_path / "system", retries=3) as (wire, instance):
        wire.rude = {1: "429", 3: "500", 5: "truncated"}
        load(home, instance, tmp_path)
        assert row_counts(home, instance.source) == case.expected()


@every_api
def test_a_new_field_changes_no_row(case: ApiCase, home: Home, tmp_path: Path) -> None:
    """A plugin that adds a field stops the load, or the field shifts the others."""
    with served(case, tmp_path / "system") as (wire, instance):
        load(home, instance, tmp_path)
        before = _without_payloads(home, instance.source)
        wire.edit = _add_field
        load(home, instance, tmp_path)
        assert _without_payloads(home, instance.source) == before
        assert home.quarantined() == []


@every_api
def test_a_poisoned_record_stops_no_other(case: ApiCase, home: Home, tmp_path: Path) -> None:
    """One record of the wrong shape takes its neighbours, or the whole source, with it."""
    with served(case, tmp_path / "system") as (wire, instance):
        wire.edit = _poison_last
        counts = load(home, instance, tmp_path)
        assert sum(one.loaded for one in counts.values()) > 0
        assert sum(one.quarantined for one in counts.values()) > 0
        for one in counts.values():
            assert one.received == one.loaded + one.quarantined


def _without_payloads(home: Home, system: str) -> dict[str, Any]:
    """Every table without the bytes that a new field is part of."""
    rest: dict[str, Any] = {}
    for table in SYSTEMS[system].tables:
        names = [f'"{column.name}"' for column in table.all_columns() if column.type != "json"]
        kept = [name for name in names if name not in ('"_payload_sha256"', '"_loaded_at"', '"file_sha256"')]
        rest[table.name] = sorted(
            home.query(f'select {", ".join(kept)} from "{table.schema}"."{table.name}"'), key=repr
        )
    return rest


def _add_field(records: list[Any]) -> None:
    for record in records:
        if isinstance(record, dict):
            record["zz_added_by_a_plugin"] = {"deep": ["anything", 1.5, None]}


def _poison_last(records: list[Any]) -> None:
    """All that is no name or number of the record becomes a list of lists."""
    if len(records) > 1 and isinstance(records[-1], dict):
        poisoned = records[-1]
        for name, value in poisoned.items():
            if isinstance(value, (str, int, float)) and not isinstance(value, bool) and not _is_key(name):
                poisoned[name] = [["poison"]]


def _is_key(name: str) -> bool:
    return name in ("id", "name", "modified", "created", "object", "number") or name.endswith("_id")


def _set_state_ahead(warehouse: Path, schema: str) -> None:
    """Every moment in the pipeline's stored state becomes one a thousand years ahead."""
    with closing(duckdb.connect(str(warehouse))) as connection:
        rows = connection.execute(f'select version_hash, state from "{schema}"._dlt_pipeline_state').fetchall()
        for version_hash, state in rows:
            document: Any = decompress_state(state)
            document["sources"] = _ahead(document.get("sources", {}))
            connection.execute(
                f'update "{schema}"._dlt_pipeline_state set state = ? where version_hash = ?',
                [compress_state(document), version_hash],
            )


def _ahead(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ahead(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_ahead(item) for item in value]
    if isinstance(value, str) and value[:2] == "20" and value[4:5] == "-":
        return f"3{value[1:]}"
    if isinstance(value, int) and 1_000_000_000 < value < 10_000_000_000:
        return value + 31_556_952_000
    return value
