"""WooCommerce wc/v3: orders, refunds, catalogue, customers and tax rates of one store."""

from retail_assets.sources.woocommerce.source import woocommerce_source

__all__ = ["woocommerce_source"]
