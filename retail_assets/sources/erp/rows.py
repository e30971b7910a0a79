"""An ERP's record under our names, and back: rows keep the contract, payloads stay as they were sent.

ERPs compute in floats and send what comes of it: 0.30000000000000004 for 0.3. Such a number is read as text, digit for
digit, and what lies beyond the twelfth decimal is dropped by rounding: no ERP means it, and no currency or unit has it.
Nothing else is rounded; models round to four decimals when they make an amount of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

import msgspec
import pyarrow as pa

from retail_assets.contracts import Table, table
from retail_assets.sources.intake import Intake
from retail_assets.sources.records import Batch, convert, finish
from retail_assets.sources.schema import compute as pc

Record = dict[str, Any]

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_RECORD: Final = msgspec.json.Decoder(Record, float_hook=Decimal)
_FINEST: Final = Decimal("1e-12")
_WIDE: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
# What is longer is no amount; to write it out would take as much memory as its exponent says.
_LARGEST_EXPONENT: Final = 30


def decode(record: bytes) -> Record:
    """A record with exact decimals.

    Raises:
        msgspec.MsgspecError: it is no JSON object.
    """
    return _RECORD.decode(record)


def encode(record: Any) -> bytes:
    """Decoded JSON as bytes again; decimals keep their digits."""
    return _ENCODER.encode(record)


def number(value: Any) -> Any:
    """A number as text in plain notation, at most twelve decimals; what is no number is left to the contract."""
    if value is None or value is False or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return value
    try:
        exact = Decimal(value)
    except ArithmeticError:
        return value
    if not exact.is_finite() or exact.adjusted() > _LARGEST_EXPONENT:
        return str(value)
    exponent = exact.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -12:
        exact = exact.quantize(_FINEST, context=_WIDE)
    return format(exact, "f")


def negative(value: Any) -> Any:
    """``number`` with the other sign."""
    text = number(value)
    if not isinstance(text, str):
        return text
    try:
        return format(-Decimal(text), "f")
    except ArithmeticError:
        return text


def difference(first: Any, second: Any) -> Any:
    """``first`` − ``second`` exactly; nothing counts as zero."""
    left, right = number(first), number(second)
    try:
        return format(_WIDE.subtract(Decimal(left or 0), Decimal(right or 0)), "f")
    except (ArithmeticError, TypeError, ValueError):
        return left


def text(value: Any) -> Any:
    """A text, or nothing for an empty one; numbers become text."""
    if value is None or value is False or value == "":
        return None
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value


def take(intake: Intake, name: str, rows: Sequence[tuple[Record, bytes]], origin: str) -> Iterator[Any]:
    """Check rows by the contract of ``raw_erp.<name>``, quarantine what breaks it, and hand the rest to dlt.

    Args:
        rows: each record under our names, with its payload.
        origin: the request they came from, for the reader of an error.
    """
    contract = table("erp", name)
    sent: dict[bytes, bytes] = {}
    for row, payload in rows:
        sent[_ENCODER.encode(row)] = payload
    batch = convert(
        contract, list(sent), instance=intake.instance, loaded_at=intake.now, origin=f"{intake.instance}: {origin}"
    )
    yield from intake.take(_as_sent(batch, contract, sent, intake), name)


def _as_sent(batch: Batch, contract: Table, sent: Mapping[bytes, bytes], intake: Intake) -> Batch:
    """The batch with payloads as the ERP sent them, in place of ours."""
    tables = dict(batch.tables)
    rows = tables.get(contract)
    if rows is not None:
        payloads = [sent[row.encode()] for row in rows.column("_payload").to_pylist()]
        columns = {column.name: _combined(rows, column.name) for column in contract.columns}
        tables[contract] = finish(contract, columns, intake.instance, intake.now, payloads)
    rejected = [replace(rejection, payload=sent[rejection.payload]) for rejection in batch.rejected]
    return replace(batch, tables=tables, rejected=rejected)


def _combined(rows: pa.Table, name: str) -> pa.Array:
    return pc.take(rows.column(name), pa.array(range(rows.num_rows), pa.int64())).combine_chunks()
