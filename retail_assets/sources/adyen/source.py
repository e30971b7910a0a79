"""The dlt source of one Adyen account: settlement details reports in a folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import dlt
import pyarrow as pa
from dlt.sources import DltResource

from retail_assets.contracts import table
from retail_assets.ops.quarantine import Rejection
from retail_assets.settings import Gateway
from retail_assets.sources.adyen.report import DETAILS, REQUIRED, Report, convert_block, reversed_grosses
from retail_assets.sources.adyen.times import to_utc
from retail_assets.sources.csvfiles import CsvError, CsvFile, open_csv
from retail_assets.sources.feeds import Feed, OpenFeed, open_feed, read_feed
from retail_assets.sources.files import DroppedFile, new_files
from retail_assets.sources.intake import Intake, merge_item
from retail_assets.sources.records import Batch, from_rows
from retail_assets.sources.schema import compute as pc
from retail_assets.sources.schema import dlt_columns

_FILES: Final = "files"
_VERSIONS: Final = "versions"
_RESOURCE: Final = "settlement_details"
ENTRIES: Final = table("adyen", "accounting_entries")
_ACCOUNTING: Final = Feed(
    ENTRIES, ("record_type", "psp_reference", "booking_date", "settlement_currency", "payable_sc")
)
_PAYOUT: Final = "MerchantPayout"
_SHOWN_ROWS: Final = 3
_HEAD_BYTES: Final = 2_000
_KEY: Final = ("merchant_account", "batch_number", "net_currency")


@dataclass(slots=True)
class _Totals:
    """Control totals of one batch and currency in one file."""

    rows: int = 0
    debit: Decimal = Decimal(0)
    credit: Decimal = Decimal(0)
    payout: Decimal = Decimal(0)

    @property
    def difference(self) -> Decimal:
        return self.credit - self.debit


@dataclass(slots=True)
class _Reading:
    """What was found out while a file was read."""

    totals: dict[tuple[str, str, str], _Totals] = field(default_factory=dict)
    reversed_rows: list[int] = field(default_factory=list)
    rejected: int = 0

    def differences(self) -> dict[tuple[str, str], list[str]]:
        """Of each batch the currencies that do not foot, in words."""
        found: dict[tuple[str, str], list[str]] = {}
        for (account, number, currency), totals in self.totals.items():
            wrong = found.setdefault((account, number), [])
            if totals.difference:
                wrong.append(f"{totals.difference.normalize():f} {currency}")
        return found


@dlt.source(name="adyen", max_table_nesting=0)
def adyen_source(gateway: Gateway, folder: Path, intake: Intake) -> Sequence[DltResource]:
    """The rows and batches of every settlement details report of ``folder`` whose content was not read before.

    A report that is complete withdraws what earlier files said of its batch; one that is not (cut off, edited, a part)
    only stands beside them, and the models decide row by row. Payment accounting reports in the same folder go into a
    table of their own: they tell of what was never captured. A file that is neither, and a row that breaks the
    contract, go to quarantine; the rest loads.
    """

    def details() -> Iterator[Any]:
        yield from _details(gateway, folder, intake)

    def entries() -> Iterator[Any]:
        yield from _accounting(gateway, folder, intake)

    return intake.resource(_RESOURCE, details), intake.resource(ENTRIES.name, entries)


def _details(gateway: Gateway, folder: Path, intake: Intake) -> Iterator[Any]:
    state = dlt.current.resource_state()
    intake.counts_of(_RESOURCE)
    for file in new_files(folder, state.setdefault(_FILES, {})):
        try:
            opened = open_csv(file.path, encoding=gateway.option("encoding"), names=REQUIRED)
        except CsvError as error:
            if _as_accounting(file) is None:
                yield from intake.take(_refused(file, str(error)), _RESOURCE)
            continue
        yield from _file(gateway, file, opened, intake, state.setdefault(_VERSIONS, {}))


def _accounting(gateway: Gateway, folder: Path, intake: Intake) -> Iterator[Any]:
    """The rows of payment accounting reports; a row replaces the same one of a report that was made before."""
    intake.counts_of(ENTRIES.name)
    for file in new_files(folder, dlt.current.resource_state().setdefault(_FILES, {})):
        opened = _as_accounting(file)
        for batch in read_feed(opened, intake) if opened else ():
            yield from intake.take(_timed(batch, gateway.option("time_zone") or "UTC"), ENTRIES.name)


def _timed(batch: Batch, zone: str) -> Batch:
    """The events with their times in UTC."""
    if not batch.loaded:
        return batch
    rows = batch.tables[ENTRIES]
    local, zones = (rows.column(name).combine_chunks() for name in ("booking_date", "timezone"))
    booked = to_utc(local, zones, column="Booking Date", zone_column="TimeZone", default=zone, faults={})
    place = rows.column_names.index("booked_at")
    return replace(batch, tables={ENTRIES: rows.set_column(place, rows.schema.field(place), booked)})


def _as_accounting(file: DroppedFile) -> OpenFeed | None:
    """A payment accounting report, by its columns; None for any other file."""
    try:
        return open_feed(file, [_ACCOUNTING])
    except CsvError:
        return None


def _file(
    gateway: Gateway, file: DroppedFile, opened: CsvFile, intake: Intake, versions: dict[str, list[str]]
) -> Iterator[Any]:
    report = Report(file.name, file.sha256, intake.instance, intake.now, gateway.option("time_zone"))
    reading = _Reading()
    for raw, numbers in opened.numbered_blocks():
        batch = convert_block(report, raw, numbers)
        reading.rejected += len(batch.rejected)
        rows = batch.tables[DETAILS]
        reading.reversed_rows += reversed_grosses(rows)
        _add_totals(reading, rows)
        yield from intake.take(batch, _RESOURCE)
    ragged = [row.rejection(file.name) for row in opened.ragged]
    reading.rejected += len(ragged)
    differences = reading.differences()
    # What was refused of a batch, or of this file, is mended by a complete report of it.
    mended = [f"{account}/{number}" for (account, number), wrong in differences.items() if not wrong]
    mended = [] if reading.rejected else [*mended, file.name]
    yield from intake.take(Batch(DETAILS, len(ragged), {}, ragged, mended), _RESOURCE)
    if reading.totals:
        batches = table("adyen", "batches")
        rows = from_rows(
            batches, list(_batch_rows(file, reading, differences)), instance=intake.instance, loaded_at=intake.now
        )
        yield merge_item(batches, rows)
        yield from _withdrawals(file, reading, differences, intake, versions)
    intake.counts_of(_RESOURCE).notes.extend(_notes(file, opened, reading, differences))


def _add_totals(reading: _Reading, rows: pa.Table) -> None:
    external = pc.match_substring(rows.column("type"), "Externally")
    zero = pa.scalar(Decimal(0), pa.decimal128(18, 4))
    is_payout = pc.equal(rows.column("type"), _PAYOUT)
    debit, credit = (pc.if_else(external, zero, rows.column(name)) for name in ("net_debit", "net_credit"))
    payout = pc.if_else(is_payout, pc.subtract(debit, credit).cast(pa.decimal128(20, 4)), zero)
    measured = pa.table(
        {**{name: rows.column(name) for name in _KEY}, "debit": debit, "credit": credit, "payout": payout}
    )
    # Sums of many amounts have more digits than any of them.
    for name in ("debit", "credit", "payout"):
        position = measured.column_names.index(name)
        measured = measured.set_column(position, name, measured.column(name).cast(pa.decimal128(38, 4)))
    grouped = measured.group_by(list(_KEY), use_threads=False).aggregate(
        [("debit", "sum"), ("credit", "sum"), ("payout", "sum"), ("debit", "count")]
    )
    for row in grouped.to_pylist():
        totals = reading.totals.setdefault(tuple(row[name] for name in _KEY), _Totals())
        totals.rows += row["debit_count"]
        totals.debit += row["debit_sum"]
        totals.credit += row["credit_sum"]
        totals.payout += row["payout_sum"]


def _batch_rows(
    file: DroppedFile, reading: _Reading, differences: dict[tuple[str, str], list[str]]
) -> Iterator[dict[str, Any]]:
    for (account, number, currency), totals in reading.totals.items():
        yield {
            "file_sha256": file.sha256,
            "merchant_account": account,
            "batch_number": number,
            "net_currency": currency,
            "row_count": totals.rows,
            "net_debit": totals.debit,
            "net_credit": totals.credit,
            "payout": totals.payout,
            "difference": totals.difference,
            "is_complete": not differences[account, number] and not reading.rejected,
            "file_name": file.name,
        }


def _withdrawals(
    file: DroppedFile,
    reading: _Reading,
    differences: dict[tuple[str, str], list[str]],
    intake: Intake,
    versions: dict[str, list[str]],
) -> Iterator[Any]:
    """Marks that remove what earlier files said of the batches of which this one is a complete report."""
    gone: list[dict[str, Any]] = []
    for (account, number), wrong in differences.items():
        known = versions.setdefault(f"{account}/{number}", [])
        if not wrong and not reading.rejected:
            key = {"merchant_account": account, "batch_number": number, "withdrawn": True}
            gone += [{**key, "file_sha256": earlier} for earlier in known if earlier != file.sha256]
            known.clear()
        if file.sha256 not in known:
            known.append(file.sha256)
    if not gone:
        return
    for contract, rest in ((DETAILS, {"row_number": 0}), (table("adyen", "batches"), {"net_currency": ""})):
        marks = from_rows(contract, [mark | rest for mark in gone], instance=intake.instance, loaded_at=intake.now)
        columns = dlt_columns(contract)
        columns["withdrawn"]["hard_delete"] = True
        hints = dlt.mark.make_hints(
            table_name=contract.name,
            write_disposition="merge",
            primary_key=list(contract.primary_key),
            merge_key=list(contract.parent_key),
            columns=columns,
        )
        yield dlt.mark.with_hints(marks, hints, create_table_variant=True)


def _notes(
    file: DroppedFile, opened: CsvFile, reading: _Reading, differences: dict[tuple[str, str], list[str]]
) -> Iterator[str]:
    if not reading.totals and not reading.rejected:
        yield f"{file.name} has no rows"
    for (account, number), wrong in differences.items():
        if wrong:
            sums = ", ".join(wrong)
            yield f"{file.name}: batch {number} of {account} does not add up to zero with its payout: {sums}"
    if reading.reversed_rows:
        shown = ", ".join(map(str, reading.reversed_rows[:_SHOWN_ROWS]))
        yield (
            f"{file.name}: {len(reading.reversed_rows)} rows have their gross on the other side than their net "
            f"(row {shown}); the net decides"
        )


def _refused(file: DroppedFile, reason: str) -> Batch:
    """A file that is none of ours: one record, with its first bytes."""
    with file.path.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
    why = f"is no settlement details report: {reason}"
    return Batch(DETAILS, 1, {}, [Rejection(file.name, None, None, why, file.name, head)])
