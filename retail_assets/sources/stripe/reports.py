"""Reports dropped as CSV files: their columns by name, amounts in major units, times in UTC or in a zone that is set.

WooPayments, which is Stripe under another name, exports the same ledger with headers of its own; what is common to both
is here, what is not stands in a ``ReportLayout``.
"""

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dlt
import pyarrow as pa

from retail_assets.contracts import Table, table
from retail_assets.ops.quarantine import Rejection
from retail_assets.sources.csvfiles import CsvError, CsvFile, open_csv
from retail_assets.sources.files import DroppedFile, new_files
from retail_assets.sources.intake import Intake
from retail_assets.sources.records import Batch
from retail_assets.sources.schema import UTC_TIMESTAMP
from retail_assets.sources.schema import compute as pc
from retail_assets.sources.textrows import Faults, convert_text

_FILES: Final = "files"
_MOMENT: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?$"

Columns = dict[str, Any]


class UnknownZoneError(Exception):
    """The time zone of the reports is none that is known."""


@dataclass(frozen=True, slots=True)
class ReportLayout:
    """How the columns of a report become those of its raw table.

    ``names``: our column → the headers it may have (lower case), of which the first that is there is taken. ``utc`` and
    ``local``: the same for times, the latter being in the zone of the report. ``required``: ours that the header must
    have. ``adapt`` completes a block's columns, given how many rows it has and the file's headers.
    """

    title: str
    contract: Table
    names: Mapping[str, Sequence[str]]
    utc: Mapping[str, Sequence[str]]
    local: Mapping[str, Sequence[str]] = field(default_factory=dict)
    required: Sequence[str] = ()
    adapt: Callable[[Columns, int, frozenset[str]], Columns] = lambda columns, _count, _headers: columns


def known_zone(name: str) -> ZoneInfo:
    """The IANA zone of that name.

    Raises:
        UnknownZoneError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise UnknownZoneError(
            f"report_time_zone: {name!r} is no IANA time zone; write one such as Europe/Berlin or UTC"
        ) from None


def load_reports(folder: Path, zone: str, layout: ReportLayout, intake: Intake, resource: str) -> Iterator[Any]:
    """Every report of a folder that was not read before, as merge items of the layout's table.

    A file that is none of this layout goes to quarantine as one record and is tried again on the next load; a row that
    breaks the contract goes there alone. The same content under another name is read once, and a report that was made
    anew replaces the lines it names.
    """
    state = dlt.current.resource_state()
    done: MutableMapping[str, str] = state.setdefault(_FILES, {})
    intake.counts_of(resource)
    unreadable: list[str] = []
    known = known_zone(zone).key
    for dropped in new_files(folder, done):
        try:
            for batch in read_report(dropped, known, layout, intake, resource):
                yield from intake.take(batch, resource)
        except CsvError as error:
            unreadable.append(dropped.sha256)
            reason = f"is no {layout.title}: {error}"
            rejection = Rejection(dropped.name, None, None, reason, dropped.name, _beginning(dropped.path))
            yield from intake.take(Batch(layout.contract, 1, {}, [rejection]), resource)
    for digest in unreadable:
        done.pop(digest, None)


def read_report(
    dropped: DroppedFile, zone: str, layout: ReportLayout, intake: Intake, resource: str
) -> Iterator[Batch]:
    """One report as batches of typed rows.

    Raises:
        CsvError: it cannot be read, or lacks a column that the layout requires.
    """
    file = open_csv(dropped.path)
    found = _columns_of(file, layout)
    origin = f"{intake.instance}: {dropped.name}"
    is_empty = True
    for rows, first in file.blocks():
        is_empty = is_empty and not rows.num_rows
        numbers = list(range(first, first + rows.num_rows))
        columns, faults = _typed(rows, found, zone, layout)
        columns = layout.adapt(columns, rows.num_rows, frozenset(name.lower() for name in file.header))
        columns |= {
            "file_name": pa.array([dropped.name] * rows.num_rows),
            "file_sha256": pa.array([dropped.sha256] * rows.num_rows),
            "row_number": pa.array(numbers, pa.int64()),
        }
        yield convert_text(
            layout.contract,
            columns,
            instance=intake.instance,
            loaded_at=intake.now,
            origin=origin,
            raw=rows,
            row_numbers=numbers,
            faults=faults,
        )
    if ragged := file.ragged:
        yield Batch(layout.contract, len(ragged), {}, [row.rejection(dropped.name) for row in ragged])
    elif is_empty:
        intake.counts_of(resource).notes.append(f"{dropped.name} has no rows")


def _columns_of(file: CsvFile, layout: ReportLayout) -> dict[str, str]:
    """Our column → the file's header for it; of times, with ``@`` before the one that is in the report's zone."""
    headers = {header.lower(): header for header in file.header}
    found: dict[str, str] = {}
    for prefix, names in (("", layout.names), ("", layout.utc), ("@", layout.local)):
        for column, candidates in names.items():
            header = next((headers[name] for name in candidates if name in headers), None)
            if header is not None:
                found.setdefault(column, f"{prefix}{header}")
    missing = [column for column in layout.required if column not in found]
    if missing:
        raise CsvError(f"it has no column {', '.join(missing)}; it has {', '.join(file.header)}")
    return found


def _typed(rows: pa.Table, found: Mapping[str, str], zone: str, layout: ReportLayout) -> tuple[Columns, Faults]:
    columns: Columns = {}
    faults: Faults = {}
    for column, header in found.items():
        values: Any = rows.column(header.removeprefix("@")).combine_chunks()
        if column not in layout.utc and column not in layout.local:
            columns[column] = values
        elif header.startswith("@") and zone != "UTC":
            columns[column] = _in_utc(_plain(values), zone, column, faults)
        else:
            columns[column] = _plain(values)
    return columns, faults


def _plain(values: Any) -> Any:
    """Times as ``YYYY-MM-DD HH:MM:SS``: without a mark of UTC, and with the time that a date leaves out."""
    text = pc.replace_substring_regex(pc.utf8_trim_whitespace(values), r"(Z| ?UTC|\+00:?00)$", "")
    text = pc.replace_substring_regex(text, r"^(\d{4}-\d{2}-\d{2})$", r"\1 00:00:00")
    return pc.replace_substring_regex(text, r"^(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2})$", r"\1:00")


def _in_utc(text: Any, zone: str, column: str, faults: Faults) -> Any:
    """Local times as UTC timestamps. Of an hour that a clock shows twice the first is meant, of one skipped the end."""
    empty = pc.equal(text, "")
    for row in pc.indices_nonzero(
        pc.invert(pc.or_(empty, pc.fill_null(pc.match_substring_regex(text, _MOMENT), True)))
    ).to_pylist():
        faults.setdefault(row, (column, text[row].as_py(), "is not a date and time such as 2026-11-05T12:00:00"))
    moments: list[datetime | None] = []
    for row, value in enumerate(text.to_pylist()):
        try:
            moments.append(datetime.fromisoformat(value) if value and row not in faults else None)
        except ValueError:
            faults.setdefault(row, (column, value, "is no day or time that exists"))
            moments.append(None)
    local = pa.array(moments, pa.timestamp("us"))
    aware = pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="latest")
    return aware.cast(UTC_TIMESTAMP)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(2_000)


def _adapt(columns: Columns, count: int, headers: frozenset[str]) -> Columns:
    """Which report it is, and a name for a payout's own row where it has none: its payout's."""
    named = bool(headers & {"automatic_payout_id", "payout_id"})
    columns["report"] = pa.array(["payouts" if named else "activity"] * count)
    if named:
        own = pc.equal(pc.utf8_lower(pc.utf8_trim_whitespace(columns["reporting_category"])), "payout")
        nameless = pc.equal(pc.utf8_trim_whitespace(columns["balance_transaction_id"]), "")
        columns["balance_transaction_id"] = pc.if_else(
            pc.and_(own, nameless), columns["automatic_payout_id"], columns["balance_transaction_id"]
        )
    return columns


#: payout_reconciliation.itemized and balance_change_from_activity.itemized, whichever columns were asked for.
REPORT_LAYOUT: Final = ReportLayout(
    title="itemised Stripe report",
    contract=table("stripe", "report_lines"),
    names={
        "balance_transaction_id": ("balance_transaction_id",),
        "automatic_payout_id": ("automatic_payout_id", "payout_id"),
        "currency": ("currency",),
        "gross": ("gross",),
        "fee": ("fee",),
        "net": ("net",),
        "reporting_category": ("reporting_category",),
        "source_id": ("source_id",),
        "description": ("description",),
        "customer_facing_amount": ("customer_facing_amount",),
        "customer_facing_currency": ("customer_facing_currency",),
        "charge_id": ("charge_id",),
        "payment_intent_id": ("payment_intent_id",),
        "customer_email": ("customer_email",),
        "payment_method_type": ("payment_method_type",),
        "card_brand": ("card_brand",),
        "card_country": ("card_country",),
        "dispute_reason": ("dispute_reason",),
        "trace_id": ("trace_id",),
        "metadata_order_id": ("payment_metadata[order_id]",),
        "metadata_order_key": ("payment_metadata[order_key]",),
        "metadata_site_url": ("payment_metadata[site_url]",),
        "metadata_merchant_reference": ("payment_metadata[merchant_reference]",),
    },
    utc={
        "created": ("created_utc",),
        "available_on": ("available_on_utc",),
        "payout_effective_at": ("automatic_payout_effective_at_utc",),
    },
    local={
        "created": ("created",),
        "available_on": ("available_on",),
        "payout_effective_at": ("automatic_payout_effective_at",),
    },
    required=("balance_transaction_id", "created", "currency", "gross", "fee", "net", "reporting_category"),
    adapt=_adapt,
)
