"""Tax engines: AvaTax, TaxJar and Stripe Tax documents by jurisdiction, and the returns filed and paid."""

from contextlib import closing
from datetime import date
from pathlib import Path

from dlt.sources import DltSource

from retail_assets.settings import TaxEngine
from retail_assets.sources.files import examine_folder
from retail_assets.sources.intake import Intake
from retail_assets.sources.tax.avatax import AvaTaxClient
from retail_assets.sources.tax.source import tax_source
from retail_assets.sources.tax.taxjar import TaxJarClient

__all__ = ["build", "examine", "tax_source"]


def build(configured: TaxEngine, intake: Intake, inbox: Path) -> DltSource:
    """The dlt source of a configured engine; nothing is read before it is iterated."""
    return tax_source(configured, intake, inbox)


def examine(configured: TaxEngine, inbox: Path) -> str:
    """What a doctor finds: a sentence when all is well, an exception of the client's, or OSError, otherwise."""
    if configured.system == "avatax":
        with closing(AvaTaxClient(configured)) as client:
            client.ping()
    elif configured.system == "taxjar":
        with closing(TaxJarClient(configured)) as client:
            client.ids("order", date.max, date.max)
    else:
        return examine_folder(inbox)
    return f"answers at {configured.base_url}"
