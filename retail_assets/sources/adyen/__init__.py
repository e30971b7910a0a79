"""Adyen: settlement details reports of one account, dropped as files."""

from pathlib import Path

from dlt.sources import DltSource

from retail_assets.settings import Gateway
from retail_assets.sources.adyen.source import adyen_source
from retail_assets.sources.files import examine_folder
from retail_assets.sources.intake import Intake

__all__ = ["adyen_source", "build", "examine"]


def build(configured: Gateway, intake: Intake, inbox: Path) -> DltSource:
    """The dlt source of a configured account; nothing is read before it is iterated."""
    return adyen_source(configured, inbox, intake)


def examine(configured: Gateway, inbox: Path) -> str:
    """What a doctor finds: a sentence when all is well, an OSError if the folder cannot be read."""
    return examine_folder(inbox)
