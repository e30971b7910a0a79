"""The ERP's own books: accounts, journal entries, ledger lines, invoices and exchange rates."""

from pathlib import Path

from dlt.sources import DltSource

from retail_assets.settings import Erp
from retail_assets.sources.erp.source import erp_source
from retail_assets.sources.intake import Intake

__all__ = ["build", "erp_source"]


def build(configured: Erp, intake: Intake, inbox: Path) -> DltSource:
    """The dlt source of a configured ERP; nothing is read before it is iterated."""
    return erp_source(configured, intake)
