"""The ERP's own books: accounts, journal entries, ledger lines, invoices and exchange rates."""

from retail_assets.sources.erp.source import erp_source

__all__ = ["erp_source"]
