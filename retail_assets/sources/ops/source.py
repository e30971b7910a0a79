"""The dlt source of what the models need to know about ourselves: always read in full."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import dlt
from dlt.sources import DltResource
from sqlalchemy import Engine

from retail_assets import money
from retail_assets.contracts import Table, tables_of
from retail_assets.ops import (
    attestations,
    canaries,
    drift,
    exception_actions,
    links,
    load_log,
    outbox,
    periods,
    quarantine,
    queues,
    replays,
    stock,
)
from retail_assets.settings import Canary, Settings
from retail_assets.sources.records import from_rows
from retail_assets.sources.schema import dlt_columns
from retail_assets.sources.warehouse import SCHEMA_CONTRACT

Row = Mapping[str, Any]


@dlt.source(name="ops", max_table_nesting=0)
def ops_source(settings: Settings, operations: Engine) -> Sequence[DltResource]:
    """Configuration, clock, quarantine, load log and postings, each replacing its raw table.

    Args:
        settings: the configuration and the clock.
        operations: the operations store.
    """
    readers: dict[str, Callable[[], Iterable[Row]]] = {
        "entities": lambda: _entities(settings),
        "stores": lambda: _stores(settings),
        "former_site_urls": lambda: _former_site_urls(settings),
        "canaries": lambda: _canaries(settings, operations),
        "store_stock": lambda: _store_stock(settings),
        "store_warehouses": lambda: _store_warehouses(settings),
        "stock_writes": lambda: stock.rows(operations),
        "stock_confirmations": lambda: stock.confirmation_rows(operations),
        "gift_card_products": lambda: _gift_card_products(settings),
        "gift_card_openings": lambda: _gift_card_openings(settings),
        "gateways": lambda: _gateways(settings),
        "gateway_stores": lambda: _gateway_stores(settings),
        "gateway_fees": lambda: _gateway_fees(settings),
        "tax_engines": lambda: _tax_engines(settings),
        "tax_engine_stores": lambda: _tax_engine_stores(settings),
        "fulfilment_stores": lambda: _fulfilment_stores(settings),
        "banks": lambda: _banks(settings),
        "erps": lambda: _erps(settings),
        "currency_exponents": _currency_exponents,
        "clock": lambda: [{"as_of": settings.now()}],
        "load_status": lambda: load_log.status_rows(operations),
        "quarantine": lambda: quarantine.rows(operations),
        "source_drift": lambda: drift.rows(operations),
        "postings": lambda: outbox.rows(operations),
        "attestations": lambda: attestations.rows(operations),
        "closed_periods": lambda: periods.rows(operations),
        "exception_work": lambda: exception_actions.rows(operations),
        "manual_links": lambda: links.rows(operations),
        "replays": lambda: replays.rows(operations),
        "queues": lambda: queues.depths(operations),
    }
    return tuple(_resource(contract, readers[contract.name], settings) for contract in tables_of("ops"))


def _resource(contract: Table, read: Callable[[], Iterable[Row]], settings: Settings) -> DltResource:
    def rows() -> Iterator[Any]:
        yield from_rows(contract, list(read()), instance="", loaded_at=settings.now())

    return dlt.resource(
        rows,
        name=contract.name,
        columns=dlt_columns(contract),
        schema_contract=SCHEMA_CONTRACT,
        write_disposition="replace",
    )


def _entities(settings: Settings) -> Iterator[Row]:
    for entity in settings.configuration.entities:
        policy = settings.configuration.policy(entity.code)
        yield {
            "entity_code": entity.code,
            "entity_name": entity.name,
            "country_code": entity.country,
            "base_currency_code": entity.base_currency,
            "time_zone": entity.time_zone,
            "erp_id": entity.erp,
            **policy.model_dump(),
            # One text that a model can look into, whatever the engine.
            "tip_names": "|".join(("", *(name.strip().lower() for name in policy.tip_names), "")),
        }


def _stores(settings: Settings) -> Iterator[Row]:
    for store in settings.configuration.stores:
        yield {
            "store_id": store.id,
            "store_name": store.name,
            "entity_code": store.entity,
            "site_url": store.site_url or store.base_url,
        }


def _former_site_urls(settings: Settings) -> Iterator[Row]:
    for store in settings.configuration.stores:
        for url in store.former_site_urls:
            yield {"store_id": store.id, "former_site_url": url}


def _canaries(settings: Settings, operations: Engine) -> Iterator[Row]:
    limits = settings.configuration.canary or Canary(stores=("none",))  # pyright: ignore[reportCallIssue]
    for row in canaries.rows(operations):
        yield {**row, "late_after_minutes": limits.late_after_minutes}


def _store_stock(settings: Settings) -> Iterator[Row]:
    for store in settings.configuration.stores:
        if store.stock:
            yield {
                "store_id": store.id,
                "reservations": store.stock.reservations,
                "safety_quantity": store.stock.safety_quantity,
                "max_delay_minutes": store.stock.max_delay_minutes,
                "time_zone": store.stock.time_zone,
            }


def _store_warehouses(settings: Settings) -> Iterator[Row]:
    for store in settings.configuration.stores:
        for warehouse in store.stock.warehouses if store.stock else ():
            yield {"store_id": store.id, "warehouse": warehouse}


def _gift_card_products(settings: Settings) -> Iterator[Row]:
    for store in settings.configuration.stores:
        skus = (("sku", sku.strip().lower()) for sku in store.gift_cards.skus)
        ids = (("id", str(product)) for product in store.gift_cards.products)
        for named_by, product in sorted({*skus, *ids}):
            yield {"store_id": store.id, "named_by": named_by, "product": product}


def _gift_card_openings(settings: Settings) -> Iterator[Row]:
    for store in settings.configuration.stores:
        for currency, amount in store.gift_cards.opening.items():
            yield {"store_id": store.id, "currency_code": currency, "opening": amount}


def _gateways(settings: Settings) -> Iterator[Row]:
    for gateway in settings.configuration.gateways:
        yield {
            "gateway_id": gateway.id,
            "gateway_system": gateway.system,
            "entity_code": gateway.entity,
            "bank_id": gateway.bank,
            "order_reference": gateway.order_reference,
            "reference_prefix": gateway.reference_prefix,
        }


def _gateway_stores(settings: Settings) -> Iterator[Row]:
    for gateway in settings.configuration.gateways:
        for served in gateway.stores:
            yield {
                "gateway_id": gateway.id,
                "store_id": served.store,
                "payment_method": served.payment_method,
                "reports_after_days": gateway.reports_after_days,
            }


def _gateway_fees(settings: Settings) -> Iterator[Row]:
    for gateway in settings.configuration.gateways:
        for rule in gateway.fees:
            currency, payment_method, card_brand, region = rule.conditions
            yield {
                "gateway_id": gateway.id,
                "fee_rule_id": rule.id,
                "percent": rule.percent,
                "fixed": rule.fixed,
                "minimum": rule.minimum,
                "maximum": rule.maximum,
                "adds_interchange": rule.adds_interchange,
                "currency_code": currency,
                "payment_method": payment_method,
                "card_brand": card_brand,
                "region": region,
                "specificity": rule.specificity,
                "valid_from": rule.valid_from,
                "valid_to": rule.valid_to,
            }


def _tax_engines(settings: Settings) -> Iterator[Row]:
    for engine in settings.configuration.tax:
        yield {
            "tax_engine_id": engine.id,
            "tax_engine_system": engine.system,
            "entity_code": engine.entity,
            "order_reference": engine.order_reference,
        }


def _tax_engine_stores(settings: Settings) -> Iterator[Row]:
    for engine in settings.configuration.tax:
        taxed = engine.stores or [one.id for one in settings.configuration.stores if one.entity == engine.entity]
        for store in taxed:
            yield {"tax_engine_id": engine.id, "store_id": store}


def _fulfilment_stores(settings: Settings) -> Iterator[Row]:
    for provider in settings.configuration.fulfilment:
        for store in provider.stores:
            yield {"provider_id": provider.id, "store_id": store}


def _banks(settings: Settings) -> Iterator[Row]:
    for bank in settings.configuration.banks:
        yield {
            "bank_id": bank.id,
            "entity_code": bank.entity,
            "account_id": bank.account,
            "currency_code": bank.currency,
        }


def _erps(settings: Settings) -> Iterator[Row]:
    for entity in settings.configuration.entities:
        erp = settings.configuration.erp(entity.erp)
        yield {"erp_id": erp.id, "entity_code": entity.code, "erp_system": erp.system, "company": entity.company}


def _currency_exponents() -> Iterator[Row]:
    for provider, currency_code, exponent in money.exponents():
        yield {"provider": provider, "currency_code": currency_code, "exponent": exponent}
