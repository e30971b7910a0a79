"""Stock write-back: one asset for each store whose stock is configured."""

from retail_assets.defs.inventory.assets import inventory_definitions

__all__ = ["inventory_definitions"]
