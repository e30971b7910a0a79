"""The dbt project itself: unit tests of every money rule, documentation, names, and how a failed build ends."""

import json
from typing import Any

import pytest

from retail_assets.contracts import SYSTEMS
from tests.dbt.compiled import Compiled
from tests.dbt.warehouse import PROJECT, Warehouse

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """All models on a warehouse without rows, built by dbt: what a fresh installation has before its first load."""
    found = project.empty(tmp_path_factory.mktemp("built"))
    found.insert("ops.clock", [{"as_of": "2026-11-05 12:00:00+00"}])
    return found


@pytest.fixture(scope="module")
def manifest(built: Warehouse) -> dict[str, Any]:
    return json.loads((built.home / "dbt" / "manifest.json").read_text(encoding="utf-8"))


def test_every_rule_of_money_holds(built: Warehouse) -> None:
    """A rule changed unawares: exponents, ladder, footing, tax split, rates, accounting date, credit note, dispute."""
    result = built.dbt("test", "--select", "test_type:unit")
    assert result.returncode == 0, result.stdout[-6000:]


def test_models_are_documented_and_owned(manifest: dict[str, Any]) -> None:
    """A model or a column that a controller cannot look up, or that nobody owns."""
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert models
    for model in models:
        assert model["description"], model["name"]
        assert all(column["description"] for column in model["columns"].values()), model["name"]
        if model["fqn"][1] == "staging":
            assert SYSTEMS[model["fqn"][2]].owner, model["name"]
            continue
        dagster = model["config"]["meta"]["dagster"]
        assert dagster["owners"], model["name"]
        assert dagster["group"], model["name"]


def test_a_seed_replaces_its_table(manifest: dict[str, Any]) -> None:
    """A release that adds a column to a seed: dbt loaded the new file into the old table, and no build went through."""
    seeds = [node for node in manifest["nodes"].values() if node["resource_type"] == "seed"]
    assert seeds
    assert all(seed["config"]["full_refresh"] for seed in seeds)


def test_described_columns_are_the_real_ones(built: Warehouse, manifest: dict[str, Any]) -> None:
    """A column that was added without description, or a description of a column that is gone."""
    described = {
        (node["schema"], node["name"]): list(node["columns"])
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
    }
    real: dict[tuple[str, str], list[str]] = {}
    for schema, table, column in built.query(
        "select table_schema, table_name, column_name from information_schema.columns "
        "where table_schema in ('staging', 'intermediate', 'marts') order by table_name, ordinal_position"
    ):
        real.setdefault((schema, table), []).append(column)
    assert {key: columns for key, columns in real.items() if key in described} == described


def test_marts_have_enforced_contracts_and_honest_types(built: Warehouse, manifest: dict[str, Any]) -> None:
    """A mart without contract, money in another type than decimal(18,4), money without currency, a float anywhere."""
    marts = [node for node in manifest["nodes"].values() if node["schema"] == "marts"]
    assert all(node["config"]["contract"]["enforced"] for node in marts)
    types = built.query(
        "select table_name, column_name, data_type from information_schema.columns where table_schema = 'marts'"
    )
    columns = {(table, column) for table, column, _ in types}
    for table, column, data_type in types:
        assert data_type not in ("DOUBLE", "FLOAT"), (table, column)
        if column.endswith("_amount"):
            assert data_type == "DECIMAL(18,4)", (table, column)
            currency = "base_currency_code" if column.startswith("base_") else "currency_code"
            assert (table, currency) in columns, (table, column)
        if column.endswith("_at"):
            assert data_type == "TIMESTAMP", (table, column)


def test_a_mart_that_is_a_view_refuses_nulls(built: Warehouse, manifest: dict[str, Any]) -> None:
    """A mart whose contract nobody holds: a view has no constraints of its own."""
    assert manifest["nodes"]["model.retail.rec_orders"]["config"]["materialized"] == "view"
    built.execute("insert into intermediate.int_orders_judged (store_id) values ('s')")
    refused = built.dbt("run", "--select", "rec_orders")
    built.execute("delete from intermediate.int_orders_judged")
    assert refused.returncode != 0
    assert "NOT NULL constraint failed: rec_orders.order_key" in refused.stdout


def test_only_the_three_schemas_are_written(built: Warehouse) -> None:
    """A schema with a prefix, which outsiders would not find."""
    schemas = built.query(
        "select distinct schema_name from information_schema.schemata where catalog_name = 'warehouse' "
        "and schema_name not like 'raw%' and schema_name not in ('main', 'information_schema', 'pg_catalog')"
    )
    assert {name for (name,) in schemas} == {"staging", "intermediate", "marts"}


def test_a_new_gateway_is_a_folder_and_an_entry(manifest: dict[str, Any]) -> None:
    """An intermediate model or a mart that reads one gateway's staging by name."""
    staged = {
        "line_types",
        "settlement_lines",
        "fee_parts",
        "payout_lines",
        "payments",
        "payers",
        "refunds",
        "disputes",
        "payouts",
        "balances",
        "balance_history",
    }
    readers = {
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
        and not node["name"].startswith("stg_")
        and any(parent.startswith("model.retail.stg_stripe") for parent in node["depends_on"]["nodes"])
    }
    assert len(readers) == len(staged)
    assert all(name.endswith("_unioned") for name in readers)


def test_nothing_asks_the_machine_for_the_time() -> None:
    """A model whose result depends on when it is built: everything asks raw_ops.clock."""
    for path in [*PROJECT.glob("models/**/*.sql"), *PROJECT.glob("macros/**/*.sql")]:
        text = path.read_text(encoding="utf-8").lower()
        for forbidden in ("current_timestamp", "current_date", "now()", "getdate", "today()", "run_started_at"):
            assert forbidden not in text, f"{path.name} uses {forbidden}"


def test_a_failed_model_leaves_the_last_good_table(built: Warehouse) -> None:
    """A build that fails half-way and takes the mart that readers see with it."""
    built.insert(
        "ops.stores",
        [{"store_id": "s", "store_name": "S", "entity_code": "E", "site_url": "https://s.example"}],
    )
    built.insert(
        "ops.entities",
        [{
            "entity_code": "E", "entity_name": "E", "country_code": "US", "base_currency_code": "USD",
            "time_zone": "America/New_York", "erp_id": "e", "revenue_recognition": "capture",
            "tolerance_minor_units": 1, "settlement_grace_days": 2, "bank_grace_days": 3,
            "disputes": "receivable", "tips": "staff", "tip_names": "|tip|",
        }],
    )  # fmt: skip
    order = {"store_id": "s", "number": "1", "status": "pending", "currency": "USD", "date_created_gmt": "2026-11-01"}
    built.insert("woocommerce.orders", [order | {"id": 1}])
    selection = ("run", "--select", "int_orders_enriched", "fct_orders")
    assert built.dbt(*selection).returncode == 0
    built.execute("insert into raw_woocommerce.orders (store_id, id, status) values ('s', 2, 'pending')")
    failed = built.dbt(*selection)
    assert failed.returncode != 0
    assert built.query("select order_key from marts.fct_orders") == [("s:1",)]
    built.execute("delete from raw_woocommerce.orders")
