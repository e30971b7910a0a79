"""Raw assets: one group per source instance, so that one store, gateway or bank can fail alone."""

from retail_assets.defs.ingest.assets import ingest_definitions

__all__ = ["ingest_definitions"]
