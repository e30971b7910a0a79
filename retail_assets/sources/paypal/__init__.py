"""PayPal: an account by Transaction Search (``paypal``), or its report files (``paypal_reports``).

An account is configured as one or the other, never as both: each gives the whole ledger, and two gateways would count
it twice. ``account_id`` says which account is meant.
"""

from contextlib import closing
from http import HTTPStatus
from pathlib import Path

from dlt.sources import DltSource

from retail_assets.http import HttpStatusError
from retail_assets.settings import Gateway
from retail_assets.sources.files import examine_folder
from retail_assets.sources.intake import Intake
from retail_assets.sources.paypal.client import PayPalClient
from retail_assets.sources.paypal.source import paypal_reports_source, paypal_source

__all__ = ["build", "examine", "paypal_reports_source", "paypal_source"]


def build(configured: Gateway, intake: Intake, inbox: Path) -> DltSource:
    """The dlt source of a configured account; nothing is read before it is iterated."""
    if configured.declared.access == "files":
        return paypal_reports_source(configured, inbox, intake)
    return paypal_source(configured, intake)


def examine(configured: Gateway, inbox: Path) -> str:
    """What a doctor finds: a sentence when all is well, an exception otherwise."""
    if configured.declared.access == "files":
        return examine_folder(inbox)
    with closing(PayPalClient(configured)) as client:
        try:
            client.get("transactions")
        except HttpStatusError as error:
            # Who asks is checked before what is asked for: that the dates are missing says that we may ask.
            if error.status != HTTPStatus.BAD_REQUEST:
                raise
    return f"answers at {configured.base_url}"
