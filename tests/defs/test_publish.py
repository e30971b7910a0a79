"""What BI reads: good marts swapped in whole, failed ones left as they were."""

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from retail_assets import keys
from retail_assets.defs.publish import request_publication
from retail_assets.defs.publish.assets import MAX_ATTEMPTS
from retail_assets.defs.publish.publication import GENERATIONS, publish, read_publication
from retail_assets.defs.publish.verdicts import FLAGGED, GOOD, HELD, Verdict, mart_verdicts
from retail_assets.settings import load_settings

BUILT_AT = datetime(2026, 11, 5, 12, tzinfo=UTC)


def node(kind: str, *needs: str, schema: str = "marts", attached: str | None = None) -> dict[str, Any]:
    return {"resource_type": kind, "schema": schema, "depends_on": {"nodes": list(needs)}, "attached_node": attached}


NODES = {
    "model.orders": node("model", schema="intermediate"),
    "model.fct_orders": node("model", "model.orders"),
    "model.rec_orders": node("model", "model.fct_orders"),
    "model.dim_stores": node("model"),
    "test.unique_orders": node("test", "model.fct_orders", attached="model.fct_orders"),
    "test.usual_orders": node("test", "model.orders", attached="model.orders"),
}
MANIFEST = {"nodes": {key: {"unique_id": key, "name": key.partition(".")[2], **node} for key, node in NODES.items()}}


def results(**statuses: str) -> dict[str, Any]:
    found = {key: "pass" if key.startswith("test") else "success" for key in NODES}
    found.update({key: status for name, status in statuses.items() for key in NODES if key.endswith(f".{name}")})
    return {"results": [{"unique_id": key, "status": status, "message": None} for key, status in found.items()]}


def statuses(run_results: dict[str, Any], before: dict[str, Verdict] | None = None) -> dict[str, str]:
    return {name: verdict.status for name, verdict in mart_verdicts(MANIFEST, run_results, before or {}).items()}


def test_a_failed_check_holds_its_mart_and_what_is_built_on_it() -> None:
    """Doubled orders would reach a board pack; or one bad mart would keep all others from their readers."""
    found = mart_verdicts(MANIFEST, results(unique_orders="fail", rec_orders="skipped"), {})
    assert {name: verdict.status for name, verdict in found.items()} == {
        "fct_orders": HELD, "rec_orders": HELD, "dim_stores": GOOD,
    }  # fmt: skip
    assert found["rec_orders"].reasons == ("unique_orders: fail",)


def test_a_warning_flags_what_depends_on_it() -> None:
    """An analyst would take figures for settled that somebody was warned about."""
    assert statuses(results(usual_orders="warn")) == {"fct_orders": FLAGGED, "rec_orders": FLAGGED, "dim_stores": GOOD}


def test_a_mart_that_a_build_left_out_keeps_its_verdict() -> None:
    """A build of one model alone would free all held ones."""
    only_stores = {"results": [one for one in results()["results"] if one["unique_id"] == "model.dim_stores"]}
    before = {"fct_orders": Verdict(HELD, ("unique_orders: fail",)), "rec_orders": Verdict(GOOD)}
    assert statuses(only_stores, before) == {"fct_orders": HELD, "rec_orders": GOOD, "dim_stores": GOOD}


def test_a_deleted_model_is_no_obstacle() -> None:
    """Results of a model that is gone from the project stopped the publication of all."""
    told = results()
    told["results"].append({"unique_id": "model.gone", "status": "error", "message": "no"})
    assert set(statuses(told).values()) == {GOOD}


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    with closing(duckdb.connect(str(path))) as connection:
        connection.execute("create schema marts")
        connection.execute(
            "create table marts.fct_orders as "
            "select 'a' as order_key, 12.3400::decimal(18,4) as amount, 'Ann Example' as buyer"
        )
        connection.execute("create view marts.dim_stores as select 'it''s' as store_id")
    return path


AMOUNT = {"name": "amount", "description": "How much."}
BUYER = {"name": "buyer", "description": "Who.", "meta": {"personal": True}}
MODELS = [
    {"name": "fct_orders", "description": "Orders: one's own.", "columns": {"amount": AMOUNT, "buyer": BUYER}},
    {"name": "dim_stores", "description": "Stores.", "columns": {}},
]  # fmt: skip


def published(warehouse: Path, build_id: str = "b1", **verdicts: Verdict) -> Path:
    folder = warehouse.parent / "published"
    found = {"fct_orders": Verdict(GOOD), "dim_stores": Verdict(GOOD), **verdicts}
    publish(warehouse, folder, MODELS, found, build_id=build_id, built_at=BUILT_AT)
    return folder / "marts.duckdb"


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        return connection.execute(query).fetchall()


def test_tables_views_and_meanings_are_published(warehouse: Path) -> None:
    """A BI tool would show figures without telling what they mean, or lack the marts that are views."""
    path = published(warehouse)
    assert rows(path, "select order_key, amount::varchar from fct_orders") == [("a", "12.3400")]
    assert rows(path, "from dim_stores") == [("it's",)]
    assert rows(path, "select comment from duckdb_tables() where table_name = 'fct_orders'") == [
        ("Orders: one's own.",)
    ]
    assert rows(path, "select comment from duckdb_columns() where column_name = 'amount'") == [("How much.",)]
    assert rows(path, f"select amount::varchar from '{path.parent}/parquet/latest/fct_orders.parquet'") == [
        ("12.3400",)
    ]
    assert [one["status"] for one in json.loads((path.parent / "marts.json").read_text())] == [GOOD, GOOD]


def test_personal_data_stays_in_the_warehouse(warehouse: Path) -> None:
    """Every analyst could read who paid for what, in a file that is copied about."""
    path = published(warehouse)
    assert rows(path, "select order_key, buyer from fct_orders") == [("a", None)]
    assert b"Example" not in b"".join(one.read_bytes() for one in path.parent.rglob("*") if one.is_file())


def test_older_engines_can_read_it(warehouse: Path) -> None:
    """BI tools bring an engine of their own: a file in the newest format is one that none of them opens."""
    with closing(duckdb.connect()) as connection:
        connection.execute(f"attach '{published(warehouse)}' as published (read_only)")
        [[tags]] = connection.execute(
            "select tags from duckdb_databases() where database_name = 'published'"
        ).fetchall()
    assert tags["storage_version"].startswith("v1.0")


def test_readers_are_not_blocked_and_never_see_half(warehouse: Path) -> None:
    """A dashboard that is open while a build is published would lock it out, or show two builds at once."""
    path = published(warehouse)
    with closing(duckdb.connect(str(path), read_only=True)) as reader:
        with closing(duckdb.connect(str(warehouse))) as connection:
            connection.execute("insert into marts.fct_orders (order_key, amount) values ('b', 1)")
        published(warehouse, "b2")
        assert reader.execute("select count(*) from fct_orders").fetchall() == [(1,)]
    assert rows(path, "select count(*) from fct_orders") == [(2,)]
    assert rows(path, "select distinct build_id from published_marts") == [("b2",)]


def test_a_held_mart_stays_as_it_was(warehouse: Path) -> None:
    """What failed its check would replace what had passed it; or vanish, and with it every dashboard."""
    published(warehouse)
    with closing(duckdb.connect(str(warehouse))) as connection:
        connection.execute("insert into marts.fct_orders (order_key, amount) values ('a', 1)")
        connection.execute("create or replace view marts.dim_stores as select 'new' as store_id")
    path = published(warehouse, "b2", fct_orders=Verdict(HELD, ("unique: fail",)))
    assert rows(path, "select count(*) from fct_orders") == [(1,)]
    assert rows(path, "from dim_stores") == [("new",)]
    told = read_publication(path)
    assert (told["fct_orders"].verdict, told["fct_orders"].build_id) == (Verdict(HELD, ("unique: fail",)), "b1")
    assert (told["dim_stores"].build_id, told["dim_stores"].built_at) == ("b2", BUILT_AT.replace(tzinfo=None))


def test_a_mart_that_was_never_good_is_not_published(warehouse: Path) -> None:
    """The first build of all may fail: its rows must not be the first that anybody sees."""
    path = published(warehouse, fct_orders=Verdict(HELD, ("unique: fail",)))
    assert rows(path, "select mart, status, row_count from published_marts order by 1") == [
        ("dim_stores", GOOD, 1),
        ("fct_orders", HELD, None),
    ]
    assert rows(path, "select table_name from duckdb_tables() order by 1") == [("dim_stores",), ("published_marts",)]


def test_a_publication_that_died_changes_nothing_and_is_no_obstacle(warehouse: Path) -> None:
    """A machine that stopped half-way would leave half a file under the name that BI opens."""
    path = published(warehouse)
    before = path.read_bytes()
    with closing(duckdb.connect(str(warehouse))) as connection:
        connection.execute("drop table marts.fct_orders")
    with pytest.raises(duckdb.CatalogException):
        published(warehouse, "b2")
    assert path.read_bytes() == before
    assert (path.parent / "parquet" / "latest").resolve().name == "b1"
    with closing(duckdb.connect(str(warehouse))) as connection:
        connection.execute("create table marts.fct_orders as select 'c' as order_key, 1::decimal(18,4) as amount")
    published(warehouse, "b3")
    assert rows(path, "select order_key from fct_orders") == [("c",)]


def test_old_parquet_goes_and_the_last_ones_stay(warehouse: Path) -> None:
    """A copy of all marts for every build would fill the disk; none but the newest would break its readers."""
    for number in range(4):
        path = published(warehouse, f"b{number}")
    path = published(warehouse, "b3")
    folder = path.parent / "parquet"
    assert (folder / "latest").resolve().name == "b3-2"
    assert len([one for one in folder.iterdir() if not one.is_symlink()]) == GENERATIONS


def test_each_build_is_published_once(tmp_path: Path) -> None:
    """A sensor that asks every half minute would publish the same build every half minute, or one that was killed."""
    settings = load_settings({"RETAIL_HOME": str(tmp_path)})
    settings.run_results_path.parent.mkdir(parents=True)
    settings.run_results_path.write_text("{}")
    job = dg.GraphDefinition(name=keys.BUILD_JOB).to_job()
    publishing = dg.GraphDefinition(name=keys.PUBLISH_JOB).to_job()
    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(request_publication(instance, settings), dg.SkipReason)
        built = job.execute_in_process(instance=instance)
        request = request_publication(instance, settings)
        assert isinstance(request, dg.RunRequest)
        assert built.run_id in (request.run_key or "")
        publishing.execute_in_process(instance=instance, tags=request.tags)
        assert isinstance(request_publication(instance, settings), dg.SkipReason)
        job.execute_in_process(instance=instance)
        assert isinstance(request_publication(instance, settings), dg.RunRequest)
        settings.run_results_path.unlink()
        assert "broke off" in str(request_publication(instance, settings))


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED])
def test_a_publication_that_failed_is_tried_again_but_not_for_ever(tmp_path: Path, status: dg.DagsterRunStatus) -> None:
    """A disk that was full for a minute left BI with yesterday's marts until the next build."""
    settings = load_settings({"RETAIL_HOME": str(tmp_path)})
    settings.run_results_path.parent.mkdir(parents=True)
    settings.run_results_path.write_text("{}")
    publishing = dg.GraphDefinition(name=keys.PUBLISH_JOB).to_job()
    asked = set()
    with dg.DagsterInstance.ephemeral() as instance:
        dg.GraphDefinition(name=keys.BUILD_JOB).to_job().execute_in_process(instance=instance)
        for _ in range(MAX_ATTEMPTS):
            request = request_publication(instance, settings)
            assert isinstance(request, dg.RunRequest)
            asked.add(request.run_key)
            run = instance.create_run_for_job(publishing, tags=request.tags, status=dg.DagsterRunStatus.STARTED)
            if status is dg.DagsterRunStatus.FAILURE:
                instance.report_run_failed(run, "the disk is full")
            else:
                instance.report_run_canceled(run)
        assert len(asked) == MAX_ATTEMPTS
        assert isinstance(request_publication(instance, settings), dg.SkipReason)
