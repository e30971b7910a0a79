"""Each figure that people quote is defined once, can be computed, and is exact."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from metricflow.engine.metricflow_engine import MetricFlowEngine, MetricFlowQueryRequest
from metricflow.protocols.sql_client import SqlEngine
from metricflow.sql.render.duckdb_renderer import DuckDbSqlPlanRenderer
from metricflow_semantics.model.dbt_manifest_parser import parse_manifest_from_dbt_generated_manifest
from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup

from tests.dbt.compiled import Compiled
from tests.dbt.scenario import play
from tests.dbt.warehouse import Warehouse

pytestmark = pytest.mark.slow


#: The scenario's gateways have no contract on fees.
WITHOUT_CONTRACT = ("fees_by_contract", "fee_variance")


class DuckDb:
    """What MetricFlow has to know of an engine to write SQL for it."""

    sql_engine_type = SqlEngine.DUCKDB
    sql_plan_renderer = DuckDbSqlPlanRenderer()


@pytest.fixture(scope="module")
def manifest(project: Compiled) -> Any:
    written = (project.warehouse.home / "dbt" / "semantic_manifest.json").read_text(encoding="utf-8")
    return parse_manifest_from_dbt_generated_manifest(manifest_json_string=written)


@pytest.fixture(scope="module")
def engine(manifest: Any) -> MetricFlowEngine:
    return MetricFlowEngine(semantic_manifest_lookup=SemanticManifestLookup(manifest), sql_client=DuckDb())  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def built(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    warehouse = project.empty(tmp_path_factory.mktemp("scenario"))
    play().write(warehouse)
    project.make(warehouse)
    return warehouse


def figures(engine: MetricFlowEngine, built: Warehouse, metrics: list[str], *by: str) -> list[dict[str, Any]]:
    request = MetricFlowQueryRequest.create(metric_names=metrics, group_by_names=list(by))
    return built.rows(engine.explain(request).sql_statement.sql)


def test_every_metric_can_be_computed_by_month_and_currency(
    engine: MetricFlowEngine, manifest: Any, built: Warehouse
) -> None:
    """A metric of a column that was renamed, or that cannot be cut by currency and so adds euros to yen."""
    assert len(manifest.metrics) > 20
    prefixes = {
        measure.name: model.primary_entity or model.entities[0].name
        for model in manifest.semantic_models
        for measure in model.measures
    }
    for metric in manifest.metrics:
        (measure, *_) = [m.name for m in metric.input_measures]
        rows = figures(engine, built, [metric.name], "metric_time__month", f"{prefixes[measure]}__currency_code")
        assert rows, metric.name
        assert metric.name in WITHOUT_CONTRACT or any(row[metric.name] is not None for row in rows), metric.name


def test_a_metric_is_the_sum_of_its_mart(engine: MetricFlowEngine, built: Warehouse) -> None:
    """The dashboard and the books would tell two figures for one thing, or one that a float has rounded."""
    found = figures(engine, built, ["net_sales", "net"], "bridge_row__currency_code")
    expected = built.query(
        "select currency_code, sum(gross_sales_amount - discount_amount), sum(net_amount) from marts.rec_gross_to_net "
        "group by currency_code"
    )
    assert len(expected) > 1
    assert {(row["bridge_row__currency_code"], row["net_sales"], row["net"]) for row in found} == set(expected)
    assert all(isinstance(row["net_sales"], Decimal) for row in found)


def test_every_exposure_names_what_it_reads(project: Compiled) -> None:
    """Who reads a mart is asked before it is changed: an exposure without models answers nobody."""
    manifest = json.loads((project.warehouse.home / "dbt" / "manifest.json").read_text(encoding="utf-8"))
    assert {exposure["name"] for exposure in manifest["exposures"].values()} == {
        "settlement_dashboard", "journals", "month_end_close",
    }  # fmt: skip
    for exposure in manifest["exposures"].values():
        assert exposure["description"]
        assert exposure["owner"]["name"]
        assert all(manifest["nodes"][one]["schema"] == "marts" for one in exposure["depends_on"]["nodes"])


def test_the_dashboard_asks_what_is_published(project: Compiled, built: Warehouse) -> None:
    """A dashboard whose queries no longer run, found by the first person who opens it on Monday."""
    folder = Path(__file__).resolve().parents[2] / "docs" / "dashboard" / "sources" / "marts"
    queries = sorted(folder.glob("*.sql"))
    assert queries
    for query in queries:
        sql = f"use warehouse.marts; {query.read_text(encoding='utf-8')}"
        assert built.rows(sql), query.name
