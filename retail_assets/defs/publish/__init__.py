"""The copy of the marts that BI reads."""

from retail_assets.defs.publish.assets import publish_definitions, request_publication

__all__ = ["publish_definitions", "request_publication"]
