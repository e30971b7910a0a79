"""The configured source instances, each with the way to build its dlt source."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dlt.sources import DltSource

from retail_assets.settings import Settings
from retail_assets.sources.bank import bank_source
from retail_assets.sources.erp import erp_source
from retail_assets.sources.intake import Intake
from retail_assets.sources.stripe import stripe_source
from retail_assets.sources.woocommerce import woocommerce_source


@dataclass(frozen=True, slots=True)
class SourceInstance:
    """One store, gateway account, bank account or ERP.

    ``build`` makes a fresh dlt source: dlt sources cannot be run twice in one process.
    """

    system: str
    instance: str
    title: str
    build: Callable[[Intake], DltSource]

    def intake(self, settings: Settings) -> Intake:
        """A door for one load."""
        return Intake(self.system, self.instance, settings.now(), settings.operations_url)


def source_instances(settings: Settings) -> Iterator[SourceInstance]:
    """Every store, gateway, bank and ERP of the configuration."""
    configuration = settings.configuration
    for store in configuration.stores:
        yield SourceInstance(
            "woocommerce",
            store.id,
            f"store {store.name}",
            lambda intake, store=store: woocommerce_source(store, intake),
        )
    for gateway in configuration.gateways:
        yield SourceInstance(
            "stripe",
            gateway.id,
            f"Stripe account {gateway.id}",
            lambda intake, gateway=gateway: stripe_source(gateway, intake),
        )
    for bank in configuration.banks:
        folder = settings.inbox_path(bank)
        yield SourceInstance(
            "bank",
            bank.id,
            f"bank account {bank.account}",
            lambda intake, bank=bank, folder=folder: bank_source(bank, folder, intake),
        )
    for erp in configuration.erps:
        yield SourceInstance("erp", erp.id, f"ERP {erp.id}", lambda intake, erp=erp: erp_source(erp, intake))
