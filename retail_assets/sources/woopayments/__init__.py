"""WooPayments: the ledger, payouts and disputes of the account that a store's own plugin keeps; by API, as exports."""

from contextlib import closing
from pathlib import Path

from dlt.sources import DltSource

from retail_assets.settings import Gateway
from retail_assets.sources.files import examine_folder
from retail_assets.sources.intake import Intake
from retail_assets.sources.stripe.reports import known_zone
from retail_assets.sources.woopayments.client import WooPaymentsClient
from retail_assets.sources.woopayments.source import woopayments_source

__all__ = ["build", "examine", "woopayments_source"]


def build(configured: Gateway, intake: Intake, inbox: Path) -> DltSource:
    """The dlt source of a configured account; nothing is read before it is iterated."""
    return woopayments_source(configured, intake, inbox)


def examine(configured: Gateway, inbox: Path) -> str:
    """What a doctor finds: a sentence when all is well, an exception of the client's otherwise."""
    known_zone(configured.option("report_time_zone"))
    if configured.declared.access == "files":
        return examine_folder(inbox)
    with closing(WooPaymentsClient(configured)) as client:
        client.get("deposits/overview-all")
    return f"answers at {configured.base_url}"
