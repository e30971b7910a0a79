"""Logistics providers: shipments, returns, stock levels and movements dropped as files."""

from pathlib import Path

from dlt.sources import DltSource

from retail_assets.settings import FulfilmentProvider
from retail_assets.sources.files import examine_folder
from retail_assets.sources.fulfilment.source import fulfilment_source
from retail_assets.sources.intake import Intake

__all__ = ["build", "examine", "fulfilment_source"]


def build(configured: FulfilmentProvider, intake: Intake, inbox: Path) -> DltSource:
    """The dlt source of a configured provider; nothing is read before it is iterated."""
    return fulfilment_source(configured, inbox, intake)


def examine(configured: FulfilmentProvider, inbox: Path) -> str:
    """What a doctor finds: a sentence when all is well, OSError otherwise."""
    return examine_folder(inbox)
