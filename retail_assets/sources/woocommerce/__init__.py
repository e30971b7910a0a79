"""WooCommerce wc/v3: orders, refunds, catalogue, customers and tax rates of one store."""

from contextlib import closing
from pathlib import Path

from dlt.sources import DltSource

from retail_assets.settings import Store
from retail_assets.sources.intake import Intake
from retail_assets.sources.woocommerce.client import StoreClient
from retail_assets.sources.woocommerce.pages import records_of
from retail_assets.sources.woocommerce.source import woocommerce_source

__all__ = ["build", "examine", "woocommerce_source"]


def build(configured: Store, intake: Intake, inbox: Path) -> DltSource:
    """The dlt source of a configured store; nothing is read before it is iterated."""
    return woocommerce_source(configured, intake)


def examine(configured: Store, inbox: Path) -> str:
    """What a doctor finds: a sentence when all is well, an exception of the client's otherwise."""
    with closing(StoreClient(configured)) as client:
        response = client.get("orders", {"per_page": 1})
        records_of(response)
        storage = client.storage()
    shown = f"{response.headers.get('X-WP-Total', '?')} orders at {configured.base_url}"
    if storage == "unknown":
        return f"{shown}; the key may not read the system status, so order_storage has to be set in retail.yaml"
    return f"{shown}, order storage {storage}"
