"""Bank statements dropped as files."""

from retail_assets.sources.bank.source import bank_source

__all__ = ["bank_source"]
