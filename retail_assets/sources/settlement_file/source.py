"""The dlt source of one gateway account whose settlement files are read by a mapping."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import dlt
from dlt.sources import DltResource

from retail_assets.ops.quarantine import Rejection
from retail_assets.settings import Gateway
from retail_assets.sources.csvfiles import CsvError
from retail_assets.sources.files import DroppedFile, new_files
from retail_assets.sources.intake import Intake
from retail_assets.sources.mapped import broken_rows, column_types, mapped_rows, open_mapped
from retail_assets.sources.records import Batch
from retail_assets.sources.settlement_file.lines import (
    LINES,
    MAPPABLE,
    REQUIRED,
    Reading,
    WholeFile,
    convert_lines,
    named,
)
from retail_assets.sources.warehouse import SCHEMA_CONTRACT

_RESOURCE: Final = "lines"
_HEAD_BYTES: Final = 1 << 20
_SHOWN: Final = 3


def check_mapping(gateway: Gateway) -> None:
    """See that a mapping names what a settlement line needs.

    Raises:
        MappingError: names the columns that are missing or unknown.
    """
    pattern = gateway.option("file_name_pattern") or ""
    mapping = gateway.option("mapping")
    when = () if "(?P<date>" in pattern else ("booked_at|payout_date",)
    mapping.check(f"gateways.{gateway.id}.mapping", allowed=MAPPABLE, required=(*REQUIRED, *when))


@dlt.source(name="settlement_file", max_table_nesting=0)
def settlement_file_source(gateway: Gateway, folder: Path, intake: Intake) -> Sequence[DltResource]:
    """The lines of every file of ``folder`` that was not read before with the mapping as it is now.

    Files are kept as they were sent; where a line or a payout came in several of them, the models decide which one
    holds. A file that is none of the acquirer's, and a row that makes no sense, go to quarantine; the rest loads.
    """

    def lines() -> Iterator[Any]:
        yield from _lines(gateway, folder, intake)

    return (dlt.resource(lines, name=_RESOURCE, schema_contract=SCHEMA_CONTRACT, write_disposition="merge"),)


def _lines(gateway: Gateway, folder: Path, intake: Intake) -> Iterator[Any]:
    check_mapping(gateway)
    state = dlt.current.resource_state()
    intake.counts_of(_RESOURCE)
    # With another mapping the same bytes are other lines: all files are read again.
    meaning = _fingerprint(gateway)
    if state.get("mapping") != meaning:
        state["mapping"], state["files"] = meaning, {}
    pattern = gateway.option("file_name_pattern")
    for file in new_files(folder, state.setdefault("files", {}), name_matters=pattern is not None):
        try:
            whole = named(file.name, pattern)
            if whole is None:
                raise CsvError(f"{file.name} is not named as file_name_pattern says: {pattern}")
            yield from _file(gateway, file, whole, intake)
        except (CsvError, ValueError) as error:
            with file.path.open("rb") as opened:
                head = opened.read(_HEAD_BYTES)
            rejection = Rejection(file.name, None, None, str(error), file.name, head)
            yield from intake.take(Batch(LINES, 1, {}, [rejection]), _RESOURCE)


def _fingerprint(gateway: Gateway) -> str:
    text = gateway.option("mapping").model_dump_json() + (gateway.option("file_name_pattern") or "")
    return hashlib.sha256(text.encode()).hexdigest()


def _file(gateway: Gateway, file: DroppedFile, whole: WholeFile, intake: Intake) -> Iterator[Any]:
    mapping = gateway.option("mapping")
    opened = open_mapped(file.path, mapping)
    reading = Reading(file, whole, mapping, intake.instance, intake.now)
    read, rejected, ignored = 0, 0, 0
    for rows in mapped_rows(opened, mapping, column_types(LINES)):
        batch = convert_lines(rows, reading)
        # Keyed by the file: a corrected one of the same name settles what was refused of it.
        batch = replace(batch, rejected=[replace(rejection, record_key=file.name) for rejection in batch.rejected])
        read, rejected, ignored = read + batch.received, rejected + len(batch.rejected), ignored + rows.ignored
        yield from intake.take(batch, _RESOURCE)
    ragged = [row.rejection(file.name, file.name) for row in broken_rows(opened, mapping)]
    mended = [] if rejected or ragged else [file.name]
    yield from intake.take(Batch(LINES, len(ragged), {}, ragged, mended), _RESOURCE)
    notes = intake.counts_of(_RESOURCE).notes
    if not (read or ignored or ragged):
        notes.append(f"{file.name} has no rows")
    if ignored:
        notes.append(f"{file.name}: {ignored} rows are no records by the mapping's ignore")
    if reading.repeated:
        shown = ", ".join(map(str, reading.repeated[:_SHOWN]))
        notes.append(f"{file.name}: {len(reading.repeated)} lines are there twice (row {shown}); they count once")
