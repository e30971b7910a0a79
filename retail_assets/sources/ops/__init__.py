"""Our own records as a source: configuration, clock, quarantine, load log and postings."""

from retail_assets.sources.ops.source import ops_source

__all__ = ["ops_source"]
