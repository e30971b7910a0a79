"""The dlt source of one tax engine, or of one folder of tax files."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import dlt
from dlt.sources import DltResource

from retail_assets.contracts import table
from retail_assets.settings import TaxEngine
from retail_assets.sources.csvfiles import CsvError
from retail_assets.sources.feeds import Feed, open_feed, read_feed, refused
from retail_assets.sources.files import DroppedFile, new_files
from retail_assets.sources.intake import Intake
from retail_assets.sources.tax import avatax, taxjar

_FILES: Final = "files"
#: Without these a report says nothing by jurisdiction (docs.stripe.com/reports/report-types/tax).
_STRIPE_COLUMNS: Final = (
    "id",
    "line_item_id",
    "type",
    "currency",
    "transaction_date",
    "country_code",
    "state_code",
    "jurisdiction_level",
    "jurisdiction_name",
    "subtotal",
    "tax_amount",
)
REMITTANCE_COLUMNS: Final = ("jurisdiction", "period_start", "period_end", "currency", "due_amount")


@dlt.source(name="tax", max_table_nesting=0)
def tax_source(engine: TaxEngine, intake: Intake, inbox: Path) -> Sequence[DltResource]:
    """The documents of one engine by jurisdiction, or the returns of one folder.

    Args:
        engine: address and key, or a folder's block.
        intake: counts what comes in and quarantines what breaks its contract.
        inbox: the folder of file drops.
    """

    if engine.system == "avatax":
        return (intake.resource("avatax_transactions", lambda: avatax.transactions(engine, intake)),)
    if engine.system == "taxjar":
        return (intake.resource("taxjar_transactions", lambda: taxjar.transactions(engine, intake)),)
    name = "stripe_tax_rows" if engine.system == "stripe_tax" else "remittances"
    return (intake.resource(name, lambda: _files(_feed(engine), inbox, intake)),)


def _feed(engine: TaxEngine) -> Feed:
    """The one kind of file in an engine's folder.

    Raises:
        MappingError: the mapping of ``retail.yaml`` does not fit.
    """
    if engine.system == "remittance_file":
        feed = Feed(table("tax", "remittances"), REMITTANCE_COLUMNS, engine.option("mapping"))
        feed.check(f"tax: {engine.id}: mapping")
        return feed
    key = re.escape(engine.option("order_metadata_key"))
    metadata = re.compile(rf"(tax_transaction|invoice|refund|credit_note)_metadata\[{key}\]")

    def order_reference(file: DroppedFile, header: Sequence[str]) -> dict[str, Any]:
        named = [name for name in header if metadata.fullmatch(name)]
        return {"order_reference": {"header": named, "pattern": r"\S+"}} if named else {}

    return Feed(
        table("tax", "stripe_tax_rows"),
        _STRIPE_COLUMNS,
        dialect={"decimal_mark": engine.option("decimal_separator")},
        more=order_reference,
    )


def _files(feed: Feed, inbox: Path, intake: Intake) -> Iterator[Any]:
    """The rows of every file that was not read before; one that cannot be read is tried again on the next run."""
    state = dlt.current.resource_state()
    done: dict[str, str] = state.setdefault(_FILES, {})
    name = feed.table.name
    for file in new_files(inbox, dict(done)):
        try:
            opened = open_feed(file, [feed])
        except CsvError as error:
            yield from intake.take(refused(file, feed.table, error), name)
            continue
        for batch in read_feed(opened, intake):
            yield from intake.take(batch, name)
        done[file.sha256] = file.name
