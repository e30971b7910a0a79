"""The dlt source of one logistics provider: files of four kinds in a folder, told apart by their headers."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dlt
from dlt.sources import DltResource

from retail_assets.contracts import table
from retail_assets.settings import FulfilmentProvider
from retail_assets.sources.csvfiles import CsvError
from retail_assets.sources.feeds import Feed, open_feed, read_feed, refused
from retail_assets.sources.files import DroppedFile, new_files
from retail_assets.sources.intake import Intake

#: Raw table → the columns by which its files are known.
WANTED: Final = {
    "shipments": ("shipment_id", "order_reference", "sku", "quantity", "shipped_at"),
    "returns": ("return_id", "order_reference", "sku", "quantity", "received_at"),
    "stock_levels": ("sku", "on_hand"),
    "stock_movements": ("movement_id", "sku", "movement_type", "quantity", "moved_at"),
}
#: The resource that answers for files of no known kind.
_RECEPTION: Final = "shipments"
_FILES: Final = "files"
_MOMENT_IN_NAME: Final = re.compile(
    r"(20[0-9]{2})-?([01][0-9])-?([0-3][0-9])(?:[T_-]?([0-2][0-9])-?([0-5][0-9])-?([0-5][0-9])?)?"
)


@dlt.source(name="fulfilment", max_table_nesting=0)
def fulfilment_source(provider: FulfilmentProvider, inbox: Path, intake: Intake) -> Sequence[DltResource]:
    """Shipments, returns, stock levels and movements from every file of ``inbox`` that was not read before.

    A row replaces the one with its key from an earlier file, so that a file that is sent again, in whole or in part,
    counts nothing twice. A row that a later file no longer has stays.
    """

    def resource(name: str) -> DltResource:
        return intake.resource(name, lambda: _rows(provider, name, inbox, intake))

    return tuple(resource(name) for name in WANTED)


def _rows(provider: FulfilmentProvider, name: str, inbox: Path, intake: Intake) -> Iterator[Any]:
    done: dict[str, str] = dlt.current.resource_state().setdefault(_FILES, {})
    feeds = _feeds(provider)
    for file in new_files(inbox, dict(done)):
        try:
            opened = open_feed(file, feeds)
        except CsvError as error:
            if name == _RECEPTION:
                yield from intake.take(refused(file, table("fulfilment", name), error), name)
            continue
        if opened.feed.table.name != name:
            continue
        for batch in read_feed(opened, intake):
            yield from intake.take(batch, name)
        done[file.sha256] = file.name


def _feeds(provider: FulfilmentProvider) -> list[Feed]:
    """The four kinds of files of a provider.

    Raises:
        ValueError: the time zone does not exist.
        MappingError: a mapping does not fit.
    """
    written = provider.option("time_zone")
    try:
        zone = ZoneInfo(written)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{provider.id}: time_zone {written!r} is no IANA zone such as Europe/Berlin") from error

    def counted_at(file: DroppedFile, header: Sequence[str]) -> dict[str, Any]:
        return {} if "as_of" in header else {"as_of": {"constant": _moment_in(file.name, zone)}}

    feeds = []
    for name, wanted in WANTED.items():
        mapping = provider.option(name)
        more = {"more": counted_at} if name == "stock_levels" else {}
        feed = Feed(table("fulfilment", name), wanted, mapping, dialect={"time_zone": written}, **more)
        feed.check(f"fulfilment: {provider.id}: {name}")
        feeds.append(feed)
    return feeds


def _moment_in(name: str, zone: ZoneInfo) -> str:
    """The date, or date and time, in a file's name, as UTC; empty if there is none, which each row is refused for."""
    for match in _MOMENT_IN_NAME.finditer(name):
        year, month, day, hour, minute, second = match.groups()
        try:
            moment = datetime.fromisoformat(f"{year}-{month}-{day}T{hour or '00'}:{minute or '00'}:{second or '00'}")
        except ValueError:
            continue
        return moment.replace(tzinfo=zone).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return ""
