"""Our own records as a source."""

from decimal import Decimal
from typing import Any

import pytest

from retail_assets import money
from retail_assets.contracts import tables_of
from retail_assets.ops import load_log, quarantine
from retail_assets.ops.quarantine import Rejection
from retail_assets.ops.store import open_store
from retail_assets.settings import FeeRule, GiftCards, Settings, load_settings
from retail_assets.sources.ops import ops_source
from retail_assets.sources.warehouse import create_raw_tables, load, pipeline_for
from tests.sources.loading import NOW, Home


@pytest.fixture
def settings(home: Home) -> Settings:
    """The shipped configuration with a clock and a home of its own."""
    return load_settings({"RETAIL_HOME": str(home.path), "RETAIL_AS_OF": "2026-11-05T12:00:00Z"})


def run(home: Home, settings: Settings) -> None:
    create_raw_tables(home.warehouse)
    operations = open_store(home.operations_url)
    try:
        load(
            ops_source(settings, operations),
            pipeline_for("ops", "ops", warehouse=home.warehouse, state=home.path / "dlt"),
        )
    finally:
        operations.dispose()


def test_configuration_and_records_are_replaced_whole(home: Home, settings: Settings) -> None:
    """A store taken out of retail.yaml, or a mended record, stayed in the models for ever."""
    operations = open_store(home.operations_url)
    rejection = Rejection("1", "total", "x", "is not an amount", "GET orders page 1", b"{}")
    quarantine.record(
        operations, system="woocommerce", instance_id="cedar_us", table_name="orders", rejections=[rejection], now=NOW
    )
    load_log.record(
        operations,
        system="woocommerce",
        instance_id="cedar_us",
        resource="orders",
        received=3,
        loaded=2,
        quarantined=1,
        loaded_at=NOW,
    )
    run(home, settings)
    assert home.one("select count(*) from raw_ops.stores") == 3
    assert home.query("select field, value, status from raw_ops.quarantine") == [("total", "x", "open")]
    assert home.query("select received, loaded, quarantined from raw_ops.load_status") == [(3, 2, 1)]
    assert home.one("select as_of from raw_ops.clock") == NOW
    table_names = {contract.name for contract in tables_of("ops")}

    smaller = settings.configuration.model_copy(update={"stores": settings.configuration.stores[:1]})
    quarantine.supersede(operations, "woocommerce", "cedar_us", "orders", ["1"], NOW)
    operations.dispose()
    run(home, Settings(settings.home, settings.config_path, smaller, settings.as_of))
    assert home.query("select store_id from raw_ops.stores") == [("cedar_us",)]
    assert home.query("select status from raw_ops.quarantine") == [("superseded",)]
    made = home.query("select table_name from information_schema.tables where table_schema = 'raw_ops'")
    assert table_names == {name for (name,) in made if not name.startswith("_dlt")}


def test_sql_has_the_exponents_of_python(home: Home, settings: Settings) -> None:
    """SQL divided Stripe's krónur by another power of ten than Python."""
    run(home, settings)
    rows: list[tuple[Any, ...]] = home.query("select provider, currency_code, exponent from raw_ops.currency_exponents")
    assert sorted(rows) == sorted(money.exponents())
    amount = home.one(
        "select cast(1999 as decimal(18,4)) / power(10, exponent)::integer from raw_ops.currency_exponents "
        "where provider = 'stripe' and currency_code = 'KWD'"
    )
    assert Decimal(str(amount)) == money.from_minor(1999, "KWD", "stripe")


def test_each_entity_has_its_own_policy(home: Home, settings: Settings) -> None:
    """The models judged every entity by the default tolerance."""
    policies = settings.configuration.policies.model_copy(update={"entities": {"JP": {"tolerance_minor_units": 7}}})
    configuration = settings.configuration.model_copy(update={"policies": policies})
    run(home, Settings(settings.home, settings.config_path, configuration, settings.as_of))
    assert dict(home.query("select entity_code, tolerance_minor_units from raw_ops.entities")) == {
        "US": 1,
        "DE": 1,
        "JP": 7,
    }


def test_a_fee_contract_reaches_the_models_exactly(home: Home, settings: Settings) -> None:
    """A rate of 2.9 % arrived as 2.8999999."""
    rule = FeeRule.model_validate({"id": "home", "percent": "2.9", "fixed": "0.30", "currency": "USD"})
    gateways = (settings.configuration.gateways[0].model_copy(update={"fees": (rule,)}),)
    configuration = settings.configuration.model_copy(update={"gateways": gateways})
    run(home, Settings(settings.home, settings.config_path, configuration, settings.as_of))
    assert home.query("select fee_rule_id, percent, fixed, specificity, valid_to from raw_ops.gateway_fees") == [
        ("home", Decimal("2.9"), Decimal("0.3"), 1, None)
    ]


def test_gift_cards_reach_the_models(home: Home, settings: Settings) -> None:
    """A card named in another spelling, or twice, or what was owed on cards, was lost on the way to the models."""
    cards = GiftCards.model_validate({"skus": ["GC-50", "gc-50 "], "products": [12], "opening": {"USD": "10.10"}})
    stores = (settings.configuration.stores[0].model_copy(update={"gift_cards": cards}),)
    configuration = settings.configuration.model_copy(update={"stores": stores})
    run(home, Settings(settings.home, settings.config_path, configuration, settings.as_of))
    assert home.query("select named_by, product from raw_ops.gift_card_products order by 1") == [
        ("id", "12"), ("sku", "gc-50"),
    ]  # fmt: skip
    assert home.query("select store_id, currency_code, opening from raw_ops.gift_card_openings") == [
        ("cedar_us", "USD", Decimal("10.1"))
    ]


def test_a_tax_engine_taxes_the_stores_of_its_entity(home: Home, settings: Settings) -> None:
    """Every sale of a store that has no engine was missing at one."""
    run(home, settings)
    assert home.query("select tax_engine_id, store_id from raw_ops.tax_engine_stores") == [("avatax_us", "cedar_us")]
