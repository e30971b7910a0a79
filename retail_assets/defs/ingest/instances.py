"""The configured source instances, each with the way to build its dlt source."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

import dagster as dg
from dlt.sources import DltSource

from retail_assets import keys
from retail_assets.settings import Instance, Settings
from retail_assets.sources.files import Completeness
from retail_assets.sources.intake import Intake, Progress

#: Of the files that an instance which is reached over http takes besides.
_SETTLE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class SourceInstance:
    """One store, gateway account, bank account, tax engine, ERP or logistics provider.

    ``system`` is the package under ``sources/`` that loads it; ``configured`` its block of ``retail.yaml``; ``inbox``
    the folder for its file drops.
    """

    system: str
    instance: str
    title: str
    configured: Instance
    inbox: Path

    def intake(
        self,
        settings: Settings,
        report: Callable[[Progress], None] | None = None,
        *,
        thorough: bool = False,
        asked: Mapping[str, Sequence[int]] | None = None,
    ) -> Intake:
        """A door for one load; it tells ``report`` how far it is and, if ``thorough``, looks for what nobody told.

        Args:
            asked: ids by resource, if only these records are to be read.
        """
        now = settings.now()
        url = settings.operations_url
        return Intake(self.system, self.instance, now, url, report, thorough=thorough, asked=asked or {})

    def completeness(self, *, by_hand: bool) -> Completeness:
        """What says that a file dropped for it is complete; whoever starts a load by hand says so himself."""
        settle = 0 if by_hand else getattr(self.configured, "settle_seconds", _SETTLE_SECONDS)
        return Completeness(settle, getattr(self.configured, "done_suffix", ""))

    def resources(self, settings: Settings) -> frozenset[str]:
        """The resources, and so the assets, that this instance has: not every variant of a system has all of them."""
        return frozenset(self.build(self.intake(settings)).resources)

    def assets(self, settings: Settings) -> list[dg.AssetKey]:
        """The raw assets it fills, for a run that is to load nothing else."""
        names = sorted(self.resources(settings))
        return [dg.AssetKey(keys.raw_asset_path(self.system, self.instance, name)) for name in names]

    def build(self, intake: Intake) -> DltSource:
        """A fresh dlt source: dlt sources cannot be run twice in one process.

        Every package under ``sources/`` that declares variants has functions ``build`` and ``examine``, so that a new
        system needs no line here.
        """
        package = import_module(f"retail_assets.sources.{self.system}")
        return package.build(self.configured, intake, self.inbox)

    def examine(self) -> str:
        """Whether it can be reached: a sentence, or an exception that says what is wrong."""
        return import_module(f"retail_assets.sources.{self.system}").examine(self.configured, self.inbox)


def source_instances(settings: Settings) -> Iterator[SourceInstance]:
    """Every instance of the configuration."""
    for item in settings.configuration.instances:
        yield SourceInstance(item.source, item.id, f"{item.declared.title} {item.id}", item, settings.inbox_path(item))
