"""``retail doctor``: is everything that the chain needs there, and if not, what to do."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any, Final

import duckdb
from rich.console import Console
from rich.table import Table

from retail_assets.commands.home import prepare_home
from retail_assets.commands.warehouse import reading_warehouse
from retail_assets.defs.ingest.instances import source_instances
from retail_assets.defs.ingest.webhooks import REFUSED, watched_store, webhooks_of
from retail_assets.erp.factory import poster_for, takes_postings
from retail_assets.http import HttpError, HttpStatusError
from retail_assets.ops.store import open_store
from retail_assets.settings import Erp, Settings, Store
from retail_assets.sources.woocommerce.hooks import WebhooksRefusedError, trouble_with

# Versions 3.7.0 to 3.51.2 of SQLite can lose a commit when the WAL is reset under two writers; we keep to one writer.
_SAFE_SQLITE: Final = (3, 51, 3)
_UNAUTHORIZED: Final = (401, 403)
#: What an instance of a section of retail.yaml is called.
_WORDS: Final = {
    "stores": "store",
    "gateways": "gateway",
    "banks": "bank",
    "tax": "tax engine",
    "erps": "ERP",
    "fulfilment": "logistics provider",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing examined: whether it is well, what was found, and what to do if it is not."""

    subject: str
    ok: bool
    found: str
    advice: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine(settings: Settings) -> Iterator[Finding]:
    """Examine the configuration, the stores and every connection; one that fails does not stop the others."""
    configuration = settings.configuration
    yield Finding("configuration", True, f"{settings.config_path} is valid")
    yield _examined(
        "RETAIL_HOME", lambda: _home(settings), "Give this user the right to write there, or set RETAIL_HOME."
    )
    yield _examined("operations store", lambda: _operations(settings), "See operations.url in retail.yaml.")
    yield _sqlite_version(settings)
    channels = ", ".join(channel.id for channel in configuration.operations.alerts.channels)
    yield Finding("alerts", True, f"go to {channels}" if channels else "nobody is told: no operations.alerts.channels")
    yield _examined(
        "warehouse", lambda: _warehouse(settings), "End the process that holds it, or wait for its run to end."
    )
    for instance in source_instances(settings):
        # An ERP that is also written to is examined by its poster, below.
        if not isinstance(instance.configured, Erp) or not takes_postings(instance.configured):
            yield _examined(
                f"{_WORDS[instance.configured.section()]} {instance.instance}",
                instance.examine,
                f"Check the block of {instance.instance} in retail.yaml.",
            )
        store = watched_store(instance)
        if store is not None:
            yield _examined(
                f"webhooks of {store.id}",
                lambda store=store: _webhooks(store),
                f"See docs/webhooks.md; when the intake answers: retail webhooks enable {store.id}",
            )
    for erp in filter(takes_postings, configuration.erps):
        yield _examined(
            f"ERP {erp.id}",
            lambda erp=erp: _erp(erp),
            "Mend what is named; the key field is made by the first posting if the user may create custom fields.",
        )


def print_findings(console: Console, findings: list[Finding]) -> None:
    """A table, and what to do about what is wrong."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        table.add_row("[green]✓[/green]" if finding.ok else "[red]✗[/red]", finding.subject, finding.found)
        if not finding.ok and finding.advice:
            table.add_row("", "", f"[yellow]{finding.advice}[/yellow]")
    console.print(table)


def _examined(subject: str, look: Callable[[], str], advice: str) -> Finding:
    try:
        return Finding(subject, True, look())
    except HttpStatusError as error:
        hint = "The key was refused. " if error.status in _UNAUTHORIZED else ""
        return Finding(subject, False, str(error), hint + advice)
    except (HttpError, OSError, duckdb.Error, RuntimeError, ValueError) as error:
        return Finding(subject, False, " ".join(str(error).split()), advice)
    except Exception as error:  # noqa: BLE001 -- a doctor reports what he did not expect, and goes on to the next patient
        return Finding(subject, False, f"{type(error).__name__}: {error}", advice)


def _home(settings: Settings) -> str:
    prepare_home(settings)
    if not os.access(settings.home, os.W_OK):
        raise PermissionError(f"{settings.home} cannot be written")
    return str(settings.home)


def _operations(settings: Settings) -> str:
    engine = open_store(settings.operations_url)
    try:
        return f"{engine.dialect.name}, migrated"
    finally:
        engine.dispose()


def _sqlite_version(settings: Settings) -> Finding:
    version = sqlite3.sqlite_version
    if not settings.operations_url.startswith("sqlite") or sqlite3.sqlite_version_info >= _SAFE_SQLITE:
        return Finding("SQLite", True, version)
    return Finding(
        "SQLite",
        True,
        f"{version}: has the WAL-reset bug (fixed in 3.51.3); harmless here as long as one process writes at a time",
    )


def _warehouse(settings: Settings) -> str:
    if not settings.warehouse_path.is_file():
        return "not made yet: run `retail run`"
    with reading_warehouse(settings) as connection:
        query = "select count(*) from information_schema.tables where table_schema = 'marts'"
        marts = connection.execute(query).fetchall()[0][0]
    return f"{marts} marts"


def _webhooks(store: Store) -> str:
    try:
        found = webhooks_of(store)
    except WebhooksRefusedError:
        return REFUSED
    if trouble := trouble_with(found):
        raise RuntimeError("; ".join(trouble))
    return f"{len(found)}, all active"


def _erp(erp: Erp) -> str:
    with closing(poster_for(erp)) as poster:
        problems = poster.check()
    if problems:
        raise RuntimeError("; ".join(problems))
    where = f"at {erp.base_url}" if erp.declared.access == "http" else f"into {erp.folder}"
    return f"ready for posting {where}"
