"""dbt models as assets."""

from retail_assets.defs.transform.assets import transform_definitions

__all__ = ["transform_definitions"]
