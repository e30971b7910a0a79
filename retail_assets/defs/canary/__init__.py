"""Canaries: synthetic orders without money, placed in stores and watched on their way to the marts."""

from retail_assets.defs.canary.assets import canary_definitions

__all__ = ["canary_definitions"]
