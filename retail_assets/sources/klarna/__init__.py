"""Klarna: payouts and what they hold, from the Settlements API of one account or its settlement reports."""

from contextlib import closing
from pathlib import Path

from dlt.sources import DltSource

from retail_assets.settings import Gateway
from retail_assets.sources.files import examine_folder
from retail_assets.sources.intake import Intake
from retail_assets.sources.klarna.client import KlarnaClient
from retail_assets.sources.klarna.source import klarna_source

__all__ = ["build", "examine", "klarna_source"]


def build(configured: Gateway, intake: Intake, inbox: Path) -> DltSource:
    """The dlt source of a configured account; nothing is read before it is iterated."""
    return klarna_source(configured, intake, inbox)


def examine(configured: Gateway, inbox: Path) -> str:
    """What a doctor finds: a sentence when all is well, an exception of the client's otherwise."""
    if configured.declared.access == "files":
        return examine_folder(inbox)
    with closing(KlarnaClient(configured)) as client:
        client.http.get("payouts", {"size": 1})
    return f"answers at {configured.base_url}"
