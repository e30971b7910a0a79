"""Settlement files of any acquirer, courier or platform, read by the mapping in ``retail.yaml``."""

from pathlib import Path

from dlt.sources import DltSource

from retail_assets.settings import Gateway
from retail_assets.sources.files import examine_folder
from retail_assets.sources.intake import Intake
from retail_assets.sources.settlement_file.source import check_mapping, settlement_file_source

__all__ = ["build", "examine", "settlement_file_source"]


def build(configured: Gateway, intake: Intake, inbox: Path) -> DltSource:
    """The dlt source of a configured account; nothing is read before it is iterated."""
    return settlement_file_source(configured, inbox, intake)


def examine(configured: Gateway, inbox: Path) -> str:
    """What a doctor finds: a sentence when all is well; MappingError or OSError otherwise."""
    check_mapping(configured)
    return examine_folder(inbox)
