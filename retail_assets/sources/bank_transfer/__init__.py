"""Bank transfers (BACS): there is no gateway, so the bank's own lines are the settlement.

All that is loaded is how such lines are told, and what finance decided by hand; the lines themselves come from the bank
account that the gateway names.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import dlt
import pyarrow as pa
from dlt.sources import DltResource, DltSource

from retail_assets.contracts import table
from retail_assets.ops.quarantine import Rejection
from retail_assets.settings import Gateway
from retail_assets.sources.csvfiles import CsvError, open_csv
from retail_assets.sources.files import DroppedFile, examine_folder, new_files
from retail_assets.sources.intake import Intake, merge_item
from retail_assets.sources.records import Batch, from_rows
from retail_assets.sources.schema import compute as pc
from retail_assets.sources.textrows import convert_text
from retail_assets.sources.warehouse import SCHEMA_CONTRACT

__all__ = ["build", "examine"]

_RESOURCE: Final = "allocations"
_COLUMNS: Final = ("bank_line_key", "order_reference")


def build(configured: Gateway, intake: Intake, inbox: Path) -> DltSource:
    """The dlt source of a configured account; nothing is read before it is iterated."""
    return bank_transfer_source(configured, inbox, intake)


def examine(configured: Gateway, inbox: Path) -> str:
    """What a doctor finds: a sentence when all is well; ValueError for a pattern that cannot be used."""
    expression = _pattern(configured)
    found = examine_folder(inbox) if inbox.is_dir() else "no allocations yet"
    return f"lines of {configured.bank} that fit {expression}; {found}"


def _pattern(gateway: Gateway) -> str:
    pattern: str = gateway.option("reference_pattern")
    where = f"gateways.{gateway.id}.reference_pattern: {pattern!r}"
    try:
        groups = re.compile(pattern).groups
        # The models use it in SQL, whose expressions know less: a pattern that fails there would stop every build.
        pc.match_substring_regex(pa.array([""]), pattern)
    except (re.error, pa.ArrowInvalid) as error:
        raise ValueError(f"{where} is no regular expression of RE2: {error}") from error
    if groups != 1:
        raise ValueError(f"{where} must have one group, which is the order number, for example LH-([0-9]{{4,}})")
    return pattern


@dlt.source(name="bank_transfer", max_table_nesting=0)
def bank_transfer_source(gateway: Gateway, folder: Path, intake: Intake) -> Sequence[DltResource]:
    """The rule of the account, and the allocations of every file of ``folder`` that was not read before."""

    def allocations() -> Iterator[Any]:
        rules = table("bank_transfer", "rules")
        row = {"reference_pattern": _pattern(gateway)}
        yield merge_item(rules, from_rows(rules, [row], instance=intake.instance, loaded_at=intake.now))
        intake.counts_of(_RESOURCE)
        for file in new_files(folder, dlt.current.resource_state().setdefault("files", {})):
            yield from _file(file, intake)

    return (dlt.resource(allocations, name=_RESOURCE, schema_contract=SCHEMA_CONTRACT, write_disposition="merge"),)


def _file(file: DroppedFile, intake: Intake) -> Iterator[Any]:
    contract = table("bank_transfer", "allocations")
    try:
        opened = open_csv(file.path, names=_COLUMNS)
    except CsvError as error:
        rejection = Rejection(file.name, None, None, str(error), file.name, file.path.read_bytes()[: 1 << 20])
        yield from intake.take(Batch(contract, 1, {}, [rejection]), _RESOURCE)
        return
    is_empty = True
    for raw, numbers in opened.numbered_blocks():
        is_empty = is_empty and not raw.num_rows
        texts: dict[str, Any] = {name: pc.utf8_trim_whitespace(raw.column(name)).combine_chunks() for name in _COLUMNS}
        columns = {name: pc.if_else(pc.equal(text, ""), None, text) for name, text in texts.items()}
        columns["file_name"] = pa.array([file.name] * raw.num_rows)
        columns["file_sha256"] = pa.array([file.sha256] * raw.num_rows)
        columns["row_number"] = pa.array(numbers, pa.int64())
        batch = convert_text(
            contract,
            columns,
            instance=intake.instance,
            loaded_at=intake.now,
            origin=file.name,
            raw=raw,
            row_numbers=numbers,
        )
        yield from intake.take(batch, _RESOURCE)
    ragged = [row.rejection(file.name) for row in opened.ragged]
    if is_empty and not ragged:
        intake.counts_of(_RESOURCE).notes.append(f"{file.name} has no rows")
    yield from intake.take(Batch(contract, len(ragged), {}, ragged), _RESOURCE)
