"""What the fee of a ledger line is made of: the list ``fee_details``, whose parts have no id."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from retail_assets.contracts import table
from retail_assets.ops.quarantine import Rejection
from retail_assets.sources.intake import Intake
from retail_assets.sources.records import Batch, convert, from_rows

_LINES: Final = table("stripe", "balance_transactions")
_DETAILS: Final = table("stripe", "fee_details")


class _Part(msgspec.Struct):
    type: str
    amount: int
    currency: str
    application: str | None = None
    description: str | None = None


class _Line(msgspec.Struct):
    id: str | None = None
    fee_details: list[_Part] | None = None


_LINE: Final = msgspec.json.Decoder(_Line)


def convert_lines(records: Sequence[bytes], reading: int, origin: str, intake: Intake) -> Batch:
    """One page of balance transactions as rows of ``balance_transactions`` and ``fee_details``.

    A line whose fee details cannot be read is refused whole, like any record with a fault in a part. ``fee_details`` is
    optional: without it nothing is said about the parts.

    Args:
        reading: which reading of the list this is within the load, from 1.
    """
    readable: list[bytes] = []
    details: dict[str, list[dict[str, Any]]] = {}
    doubtful: list[tuple[bytes, str]] = []
    for record in records:
        try:
            line = _LINE.decode(record)
        except (msgspec.MsgspecError, RecursionError) as error:
            doubtful.append((record, str(error)))
            continue
        readable.append(record)
        if line.id is not None and line.fee_details is not None:
            details[line.id] = [
                {"balance_transaction_id": line.id, "position": position, **msgspec.structs.asdict(part)}
                for position, part in enumerate(line.fee_details, 1)
            ]
    batch = _convert(readable, reading, origin, intake)
    rejected = [*batch.rejected]
    for record, reason in doubtful:
        # It is the contract of the line that says what is wrong with it, unless only the fee details are.
        alone = _convert([record], reading, origin, intake)
        rejected += alone.rejected or [
            Rejection(
                alone.loaded_keys[0],
                "fee_details",
                None,
                f"cannot be read: {reason}",
                f"{origin}, record {alone.loaded_keys[0]}",
                record,
            )
        ]
    tables = dict(batch.tables)
    rows = [row for name in _ids(batch) for row in details.get(name, ())]
    if rows:
        tables[_DETAILS] = from_rows(_DETAILS, rows, instance=intake.instance, loaded_at=intake.now)
    return Batch(_LINES, len(records), tables, rejected, batch.loaded_keys)


def _convert(records: Sequence[bytes], reading: int, origin: str, intake: Intake) -> Batch:
    given: Sequence[Mapping[str, Any]] = [{"reading": reading}] * len(records)
    return convert(_LINES, records, instance=intake.instance, loaded_at=intake.now, origin=origin, given=given)


def _ids(batch: Batch) -> list[str]:
    rows = batch.tables.get(_LINES)
    return [] if rows is None else rows.column("id").to_pylist()
