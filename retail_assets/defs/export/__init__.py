"""Posting: one asset and one gate sensor for each entity."""

from retail_assets.defs.export.assets import export_definitions

__all__ = ["export_definitions"]
