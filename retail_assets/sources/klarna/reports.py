"""Klarna's settlement reports: CSV files of two sections, the totals of one payout and the transactions it holds.

The columns are those that Klarna's report configurator offers, in any order and number; the section of totals must be
there, since only it says which payout the transactions belong to.
"""

import csv
from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import dlt

from retail_assets.contracts import table
from retail_assets.sources.csvfiles import CsvError, CsvFile, open_csv, plain_name
from retail_assets.sources.feeds import Feed, OpenFeed, read_feed, refused
from retail_assets.sources.files import DroppedFile, new_files
from retail_assets.sources.intake import Intake

LINES: Final = table("klarna", "report_lines")
_FILES: Final = "files"
_WANTED: Final = ("type", "order_id", "amount")
#: Our column → that of the totals.
_TOTALS: Final = {
    "payment_reference": "payment_reference",
    "payout_date": "payout_date",
    "currency": "settlement_currency",
    "merchant_settlement_type": "merchant_settlement_type",
    "settlement_amount": "total_settlement_amount",
    "tax_amount": "total_tax_amount",
    "fee_correction_amount": "total_fee_correction_amount",
    "repay_amount": "total_repay_amount",
    "deposit_amount": "total_deposit_amount",
}
_NEEDED: Final = ("payment_reference", "payout_date", "settlement_currency", "total_settlement_amount")


def load_reports(folder: Path, intake: Intake) -> Iterator[Any]:
    """Every report of a folder that was not read before, as merge items; each replaces what its payout had.

    A file that is no settlement report goes to quarantine as one record and is tried again on the next load; a row that
    breaks the contract goes there alone.
    """
    done: MutableMapping[str, str] = dlt.current.resource_state().setdefault(_FILES, {})
    intake.counts_of(LINES.name)
    unreadable: list[str] = []
    for file in new_files(folder, done):
        try:
            opened = _opened(file)
        except CsvError as error:
            unreadable.append(file.sha256)
            yield from intake.take(refused(file, LINES, error), LINES.name)
            continue
        for batch in read_feed(opened, intake):
            yield from intake.take(batch, LINES.name)
    for digest in unreadable:
        done.pop(digest, None)


def _opened(file: DroppedFile) -> OpenFeed:
    """A report with the totals of its payout as constants of each row.

    Raises:
        CsvError: it is none, or its totals are missing or those of several payouts.
    """
    transactions = open_csv(file.path, names=_WANTED)
    totals = _totals(transactions)
    constants = {ours: {"constant": totals[theirs]} for ours, theirs in _TOTALS.items() if totals.get(theirs)}
    constants["payout_date"] = {"constant": _plain_time(totals["payout_date"])}
    feed = Feed(LINES, _WANTED, more=lambda _file, _header: constants)
    return OpenFeed(feed, file, transactions, feed.by_name(file, transactions.header))


def _totals(transactions: CsvFile) -> dict[str, str]:
    """The totals that stand above the transactions, by their headers."""
    with transactions.path.open(encoding=transactions.encoding, errors="replace", newline="") as text:
        above = islice(csv.reader(text, delimiter=transactions.delimiter), transactions.first_row - 2)
        rows = [[plain_name(value) for value in row] for row in above if any(row)]
    place = next((place for place, row in enumerate(rows) if set(_NEEDED) <= set(row)), None)
    if place is None:
        raise CsvError(
            f"{transactions.path.name} has no totals ({', '.join(_NEEDED)}) above its rows: switch the total "
            "section on in the report configurator of Klarna's portal"
        )
    values = rows[place + 1 :]
    if len(values) != 1:
        raise CsvError(
            f"{transactions.path.name} holds the totals of {len(values)} payouts: drop the report of each payout"
        )
    found = dict(zip(rows[place], values[0], strict=False))
    if missing := [name for name in _NEEDED if not found.get(name)]:
        raise CsvError(f"{transactions.path.name} has totals without {', '.join(missing)}")
    return found


def _plain_time(value: str) -> str:
    """A time in UTC as the contract reads it; what is none is left for the contract to refuse."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
