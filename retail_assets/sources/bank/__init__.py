"""Bank statements dropped as files."""

from pathlib import Path

from dlt.sources import DltSource

from retail_assets.settings import Bank
from retail_assets.sources.bank.mapped import check_mapping
from retail_assets.sources.bank.source import bank_source
from retail_assets.sources.files import examine_folder
from retail_assets.sources.intake import Intake

__all__ = ["bank_source", "build", "examine"]


def build(configured: Bank, intake: Intake, inbox: Path) -> DltSource:
    """The dlt source of a configured bank account; nothing is read before it is iterated."""
    return bank_source(configured, inbox, intake)


def examine(configured: Bank, inbox: Path) -> str:
    """What a doctor finds: a sentence when all is well; MappingError or OSError otherwise."""
    if configured.system == "csv":
        check_mapping(configured)
    return examine_folder(inbox)
