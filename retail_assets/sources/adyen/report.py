"""The settlement details report: blocks of its rows, columns found by name, as Arrow tables of the contract.

Adyen lets merchants order, add and leave out columns, so nothing is known by position. Empty amounts are zero: the
report leaves out whichever of debit and credit does not apply, and the fee parts that a contract does not have.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final

import msgspec
import pyarrow as pa

from retail_assets.contracts import Table, table
from retail_assets.sources.adyen.times import to_utc
from retail_assets.sources.records import Batch
from retail_assets.sources.schema import compute as pc
from retail_assets.sources.textrows import Faults, convert_text

DETAILS: Final[Table] = table("adyen", "settlement_details")
#: Without these a file is no settlement details report.
REQUIRED: Final = ("Type", "Net Currency", "Net Debit (NC)", "Net Credit (NC)")

_TEXTS: Final = MappingProxyType(
    {
        "company_account": "Company Account",
        "merchant_account": "Merchant Account",
        "batch_number": "Batch Number",
        "type": "Type",
        "psp_reference": "Psp Reference",
        "modification_reference": "Modification Reference",
        "merchant_reference": "Merchant Reference",
        "modification_merchant_reference": "Modification Merchant Reference",
        "merchant_order_reference": "Merchant Order Reference",
        "payment_method": "Payment Method",
        "payment_method_variant": "Payment Method Variant",
        "gross_currency": "Gross Currency",
        "net_currency": "Net Currency",
        "dispute_reference": "Dispute Reference",
        "shopper_country": "Shopper Country",
        "arn": "ARN",
        "metadata": "Metadata",
    }
)
_AMOUNTS: Final = MappingProxyType(
    {
        "gross_debit": "Gross Debit (GC)",
        "gross_credit": "Gross Credit (GC)",
        "net_debit": "Net Debit (NC)",
        "net_credit": "Net Credit (NC)",
        "commission": "Commission (NC)",
        "markup": "Markup (NC)",
        "scheme_fees": "Scheme Fees (NC)",
        "interchange": "Interchange (NC)",
        "payment_fees": "Payment Fees (NC)",
    }
)
_AMSTERDAM: Final = "Europe/Amsterdam"
_BATCH_IN_NAME: Final = re.compile(r"batch_?([0-9]+)", re.IGNORECASE)
# Sixteen digits that a spreadsheet took for a number: which payment it was cannot be told any more.
_DAMAGED: Final = r"^[0-9](\.[0-9]+)?[eE]\+[0-9]+$"
# Larger than any payment, in any currency; sums of such amounts would not fit where the models add up.
_TOO_LARGE: Final = r"^[+-]?0*[1-9][0-9]{12}"
_LONG_RATE: Final = r"^([0-9]*\.[0-9]{12})[0-9]+$"
_NO_TEXT: Final = pa.scalar(None, pa.string())


@dataclass(frozen=True, slots=True)
class Report:
    """What a block needs to know of its file; ``time_zone`` stands in for a row's own."""

    file_name: str
    file_sha256: str
    instance: str
    loaded_at: datetime
    time_zone: str | None


def convert_block(report: Report, raw: pa.Table, numbers: Sequence[int]) -> Batch:
    """One block of rows, all text, as rows of ``raw_adyen.settlement_details``; bad ones come back as rejections.

    A rejection's key is ``<merchant account>/<batch number>``, so that a complete report of that batch closes it.
    """
    faults: Faults = {}
    count = raw.num_rows
    texts = {name: _text(raw, header) for name, header in _TEXTS.items() if header in raw.column_names}
    columns: dict[str, Any] = dict(texts)
    columns["merchant_account"] = _first_of(columns, "merchant_account", "company_account")
    in_name = _BATCH_IN_NAME.search(report.file_name)
    if in_name is not None:
        columns["batch_number"] = pc.coalesce(columns.get("batch_number", pa.nulls(count, pa.string())), in_name[1])
    for name in ("gross_currency", "net_currency"):
        if name in columns:
            columns[name] = pc.utf8_upper(columns[name])
    columns |= _times(report, raw, count, faults)
    for name, header in _AMOUNTS.items():
        columns[name] = _amount(raw, header, count, faults)
    if "Exchange Rate" in raw.column_names:
        columns["exchange_rate"] = _rate(_text(raw, "Exchange Rate"))
    _refuse_damaged(columns, "psp_reference", "Psp Reference", faults)
    columns["file_sha256"] = pa.array([report.file_sha256] * count, pa.string())
    columns["file_name"] = pa.array([report.file_name] * count, pa.string())
    columns["row_number"] = pa.array(numbers, pa.int64())
    batch = convert_text(
        DETAILS,
        columns,
        instance=report.instance,
        loaded_at=report.loaded_at,
        origin=report.file_name,
        raw=raw,
        row_numbers=numbers,
        faults=faults,
    )
    if not batch.rejected:
        return batch
    keyed = [replace(rejection, record_key=_batch_key(report, rejection.payload)) for rejection in batch.rejected]
    return replace(batch, rejected=keyed)


def reversed_grosses(rows: pa.Table) -> list[int]:
    """Row numbers whose gross stands on the other side than their net with the fee added back.

    Direction is that of the net columns (a sample of Adyen's own had Settled amounts in Gross Debit); a payment that is
    smaller than its fee has a gross credit and a net debit, and is no such case.
    """
    column = {name: rows.column(name) for name in _AMOUNTS}
    net = pc.subtract(column["net_credit"], column["net_debit"])
    for part in ("commission", "markup", "scheme_fees", "interchange"):
        net = pc.add(net, column[part])
    gross = pc.subtract(column["gross_credit"], column["gross_debit"])
    zero = pa.scalar(Decimal(0), pa.decimal128(18, 4))
    against = pc.or_(
        pc.and_(pc.greater(net, zero), pc.less(gross, zero)), pc.and_(pc.less(net, zero), pc.greater(gross, zero))
    )
    return rows.column("row_number").filter(against).to_pylist()


def _text(raw: pa.Table, header: str) -> Any:
    """A column trimmed, with null for nothing."""
    text = pc.utf8_trim_whitespace(raw.column(header).combine_chunks())
    return pc.if_else(pc.equal(text, ""), _NO_TEXT, text)


def _amount(raw: pa.Table, header: str, count: int, faults: Faults) -> Any:
    if header not in raw.column_names:
        return pa.array([Decimal(0)], pa.decimal128(18, 4)).take(pa.array([0] * count, pa.int64()))
    text = pc.fill_null(_text(raw, header), "0")
    for row in pc.indices_nonzero(pc.match_substring_regex(text, _TOO_LARGE)).to_pylist():
        faults.setdefault(row, (header, text[row].as_py()[:200], "is larger than any payment"))
    return text


def _first_of(columns: Mapping[str, Any], *names: str) -> Any:
    found = [columns[name] for name in names if name in columns]
    return pc.coalesce(*found) if found else None


def _times(report: Report, raw: pa.Table, count: int, faults: Faults) -> dict[str, Any]:
    """Creation Date and Booking Date in UTC; either may stand in for the other one's zone, booking for creation."""
    missing = pa.nulls(count, pa.string())
    zone, booking_zone = (
        _text(raw, header) if header in raw.column_names else missing
        for header in ("TimeZone", "Booking Date TimeZone")
    )
    found: dict[str, Any] = {}
    for name, header, zone_header, own, other in (
        ("created_at", "Creation Date", "TimeZone", zone, booking_zone),
        ("booked_at", "Booking Date", "Booking Date TimeZone", booking_zone, zone),
    ):
        amsterdam = f"{header} (AMS)"
        if header in raw.column_names:
            zones, text, default = pc.coalesce(own, other), _text(raw, header), report.time_zone
        elif amsterdam in raw.column_names:
            zones, text, default = missing, _text(raw, amsterdam), _AMSTERDAM
        else:
            continue
        found[name] = to_utc(text, zones, column=header, zone_column=zone_header, default=default, faults=faults)
    if found:
        found["created_at"] = _first_of(found, "created_at", "booked_at")
    return {**found, "time_zone": zone}


def _rate(text: Any) -> Any:
    """Rates with at most twelve decimals; the report prints as many as it has."""
    cut = pc.replace_substring_regex(text, _LONG_RATE, r"\1")
    if not pc.any(pc.match_substring_regex(cut, "[eE]"), min_count=0).as_py():
        return cut
    return pa.array([_plain(value) for value in cut.to_pylist()], pa.string())


def _plain(value: str | None) -> str | None:
    if value is None or "E" not in value.upper():
        return value
    try:
        number = Decimal(value)
        return f"{number:.12f}" if abs(number.adjusted()) < 16 else value
    except InvalidOperation:
        return value


def _refuse_damaged(columns: Mapping[str, Any], name: str, header: str, faults: Faults) -> None:
    if name not in columns:
        return
    damaged = pc.fill_null(pc.match_substring_regex(columns[name], _DAMAGED), False)
    for row in pc.indices_nonzero(damaged).to_pylist():
        reason = "was made a rounded number by a spreadsheet: drop the file as Adyen made it"
        faults.setdefault(row, (header, columns[name][row].as_py(), reason))


def _batch_key(report: Report, payload: bytes) -> str:
    """The key under which quarantine knows a row: its batch, which a complete report of it replaces."""
    row: Mapping[str, str] = msgspec.json.decode(payload)
    in_name = _BATCH_IN_NAME.search(report.file_name)
    account = (row.get("Merchant Account") or row.get("Company Account") or "").strip()
    number = (row.get("Batch Number") or "").strip() or (in_name[1] if in_name else "")
    return f"{account}/{number}"
