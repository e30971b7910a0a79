"""Mollie: balance transactions, payments, refunds, chargebacks and settlements of one account."""

from contextlib import closing
from pathlib import Path

from dlt.sources import DltSource

from retail_assets.settings import Gateway
from retail_assets.sources.intake import Intake
from retail_assets.sources.mollie.client import MollieClient
from retail_assets.sources.mollie.source import mollie_source

__all__ = ["build", "examine", "mollie_source"]


def build(configured: Gateway, intake: Intake, inbox: Path) -> DltSource:
    """The dlt source of a configured account; nothing is read before it is iterated."""
    return mollie_source(configured, intake)


def examine(configured: Gateway, inbox: Path) -> str:
    """What a doctor finds: a sentence when all is well, an exception of the client's otherwise."""
    with closing(MollieClient(configured)) as client:
        client.get(f"balances/{configured.option('balance_id')}")
    return f"answers at {configured.base_url}"
