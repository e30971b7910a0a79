"""Adyen's settlement details reports of a ledger: one file a batch, a batch being what one payout pays."""

import csv
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from retail_assets.money import from_minor
from retail_assets.sandbox.ledgers import GatewayLedger, LedgerPayout, Movement

CLASSIC_COLUMNS: Final = (
    "Company Account", "Merchant Account", "Psp Reference", "Merchant Reference", "Payment Method", "Creation Date",
    "TimeZone", "Type", "Modification Reference", "Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)",
    "Exchange Rate", "Net Currency", "Net Debit (NC)", "Net Credit (NC)", "Commission (NC)", "Markup (NC)",
    "Scheme Fees (NC)", "Interchange (NC)", "Payment Method Variant", "Modification Merchant Reference",
    "Batch Number", "Reserved4", "Reserved5", "Reserved6", "Reserved7", "Reserved8", "Reserved9", "Reserved10",
)  # fmt: skip
LATER_COLUMNS: Final = (
    *CLASSIC_COLUMNS, "Booking Date", "Booking Date TimeZone", "Metadata", "Balance Currency", "Net Debit (BC)",
    "Net Credit (BC)", "Payment Fees (NC)", "DCC Markup (NC)", "Funds Destination", "Balance Platform Debit",
    "Balance Platform Credit", "Shopper Country", "Clearing Network", "Merchant Order Reference", "Dispute Reference",
    "ARN", "Settlement Flow", "Authorisation Code", "Gross Fees (NC)",
)  # fmt: skip
_TYPES: Final = {
    "sale": "Settled",
    "refund": "Refunded",
    "fee": "Fee",
    "chargeback": "Chargeback",
    "chargeback_reversal": "ChargebackReversed",
}
_METHODS: Final = (
    ("visa", "visaclassic"),
    ("mc", "mcdebit"),
    ("visa", "visastandarddebit"),
    ("mc", "mcstandardcredit"),
)
_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_PSP_LENGTH: Final = 16
_TRANSFER_DIGITS: Final = 11


def payment_id_of(movement: Movement) -> str:
    """The Psp Reference of the payment that a sale made, or that a refund or chargeback gives back."""
    sale = movement.serial if movement.refund_of is None else movement.refund_of
    return _reference(f"payment/{sale}/{movement.order_id}")


def refund_id_of(movement: Movement) -> str:
    """The Modification Reference: of the capture, refund or chargeback; of a fee what it is called."""
    if movement.kind == "fee":
        return f"Transaction Fees {datetime.fromtimestamp(movement.at, UTC):%B %Y}"
    # A reversal names the chargeback that it reverses.
    kind = "chargeback" if movement.kind == "chargeback_reversal" else movement.kind
    serial = movement.refund_of if kind == "chargeback" else movement.serial
    return _reference(f"{kind}/{serial}/{movement.order_id}")


def line_id_of(movement: Movement) -> str:
    """The line of a movement that has been paid out, as our staging models name it.

    Raises:
        ValueError: it is in no batch yet, so no report has it; or it is a fee (ask ``fee_line_id_of``).
    """
    if movement.payout is None or movement.kind == "fee":
        raise ValueError(f"movement {movement.serial} ({movement.kind}) has no line of its own name")
    return f"{movement.payout}/{_TYPES[movement.kind]}/{payment_id_of(movement)}/{refund_id_of(movement)}/1"


def fee_line_id_of(ledger: GatewayLedger, movement: Movement) -> str:
    """The line of a fee: named after account and currency, and counted among the equal ones of its batch."""
    account = merchant_account_of(ledger)
    name = refund_id_of(movement)
    equal = [
        other
        for other in ledger.movements
        if other.kind == "fee" and other.payout == movement.payout and refund_id_of(other) == name
    ]
    # The models count them by what they move, then by their time.
    equal.sort(key=lambda other: (other.net, other.at))
    place = next(place for place, other in enumerate(equal, 1) if other.serial == movement.serial)
    return f"{movement.payout}/Fee/{account}/{ledger.currency}/{name}/{place}"


def payout_id_of(payout: LedgerPayout) -> str:
    """The transfer's reference, which the bank's text has as well."""
    digest = hashlib.sha256(f"{payout.serial}/{payout.at}/{payout.amount}".encode()).hexdigest()
    return f"TX{int(digest, 16) % 10**_TRANSFER_DIGITS:0{_TRANSFER_DIGITS}d}XT"


def merchant_account_of(ledger: GatewayLedger) -> str:
    """The account's name at Adyen: ``adyen_eu`` is AdyenEu."""
    return "".join(part.title() for part in ledger.gateway_id.split("_"))


def write_files(ledger: GatewayLedger, folder: Path, columns: Sequence[str] = LATER_COLUMNS) -> list[Path]:
    """Write one report a batch; what has not been paid out is in none, as at Adyen.

    Args:
        columns: ``CLASSIC_COLUMNS``, ``LATER_COLUMNS`` or any order of some of them.

    Returns:
        The files, complete and with the time of their payout, in the order of the batches.
    """
    written = []
    for payout in ledger.payouts:
        path = folder / f"settlement_detail_report_batch_{payout.serial}.csv"
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([row.get(column, "") for column in columns] for row in _rows(ledger, payout))
        part = path.with_suffix(".part")
        part.write_text(text.getvalue(), encoding="utf-8", newline="")
        os.utime(part, (payout.at, payout.at))
        part.replace(path)
        written.append(path)
    return written


def _rows(ledger: GatewayLedger, payout: LedgerPayout) -> Iterator[dict[str, str]]:
    for movement in ledger.movements:
        if movement.payout == payout.serial:
            yield _row(ledger, payout, movement)
    account = merchant_account_of(ledger)
    side = "Net Debit (NC)" if payout.amount >= 0 else "Net Credit (NC)"
    yield {
        **_common(ledger, payout, payout.at),
        "Type": "MerchantPayout",
        "Modification Reference": f"{payout_id_of(payout)} batch {payout.serial}, {account}",
        side: _amount(abs(payout.amount), ledger.currency),
    }


def _row(ledger: GatewayLedger, payout: LedgerPayout, movement: Movement) -> dict[str, str]:
    currency = ledger.currency
    row = {**_common(ledger, payout, movement.at), "Type": _TYPES[movement.kind]}
    row["Modification Reference"] = refund_id_of(movement)
    row["Net Credit (NC)" if movement.net >= 0 else "Net Debit (NC)"] = _amount(abs(movement.net), currency)
    if movement.kind == "fee":
        return row
    method, variant = _METHODS[(movement.refund_of or movement.serial) % len(_METHODS)]
    gross = "Gross Credit (GC)" if movement.amount >= 0 else "Gross Debit (GC)"
    # A dispute's fee is a markup; sales are charged by a blended contract.
    fee = "Commission (NC)" if movement.kind in ("sale", "refund") else "Markup (NC)"
    return row | {
        "Psp Reference": payment_id_of(movement),
        "Merchant Reference": f"{ledger.reference_prefix}{movement.order_number}",
        "Modification Merchant Reference": f"{ledger.reference_prefix}{movement.order_number}",
        "Payment Method": method,
        "Payment Method Variant": variant,
        "Gross Currency": currency,
        gross: _amount(abs(movement.amount), currency),
        "Exchange Rate": "1",
        fee: _amount(movement.fee, currency) if movement.fee else "",
        "Payment Fees (NC)": _amount(movement.fee, currency),
        "Shopper Country": movement.country or "",
    }


def _common(ledger: GatewayLedger, payout: LedgerPayout, at: int) -> dict[str, str]:
    created, zone = _local(at, ledger.zone)
    booked, booking_zone = _local(payout.at, ledger.zone)
    return {
        "Company Account": "RetailGroup",
        "Merchant Account": merchant_account_of(ledger),
        "Creation Date": created,
        "TimeZone": zone,
        "Booking Date": booked,
        "Booking Date TimeZone": booking_zone,
        "Net Currency": ledger.currency,
        "Balance Currency": ledger.currency,
        "Batch Number": str(payout.serial),
    }


def _local(at: int, zone: str) -> tuple[str, str]:
    moment = datetime.fromtimestamp(at, ZoneInfo(zone))
    return f"{moment:%Y-%m-%d %H:%M:%S}", moment.strftime("%Z")


def _amount(minor: int, currency: str) -> str:
    value: Decimal = from_minor(minor, currency)
    return f"{value:f}"


def _reference(seed: str) -> str:
    """Sixteen letters and digits, as Adyen's references are."""
    number = int(hashlib.sha256(seed.encode()).hexdigest(), 16)
    letters = []
    for _ in range(_PSP_LENGTH):
        number, place = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[place])
    return "".join(letters)
