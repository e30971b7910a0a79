"""Files of two parties that nobody has written code for: an acquirer with German CSV, and a courier that collects cash.

``ACQUIRER_MAPPING`` and ``COURIER_MAPPING`` are what ``retail.yaml`` says about them; they are the examples of
``docs/adding-a-source.md``.
"""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from retail_assets.sandbox.ledgers import GatewayLedger, LedgerPayout, Movement
from retail_assets.sandbox.minor import text

ACQUIRER_MAPPING: Final[dict[str, Any]] = {
    "encoding": "cp1252",
    "delimiter": ";",
    "decimal_mark": ",",
    "grouping": ".",
    "date_format": "%d.%m.%Y",
    "time_format": "%d.%m.%Y %H:%M:%S",
    "time_zone": "Europe/Berlin",
    "columns": {
        "line_id": "Posting",
        "payment_id": "Transaction",
        "type": "Type",
        "booked_at": "Booked",
        "currency": "Currency",
        "gross": "Gross",
        "fee": "Fee",
        "net": "Net",
        "merchant_reference": "Your reference",
        "payout_id": "Settlement",
        "payout_date": "Settled on",
        "payout_reference": "Bank reference",
    },
    "types": {
        "Sale": "charge",
        "Refund": "refund",
        "Service fee": "fee",
        "Chargeback": "dispute",
        "Chargeback reversed": "dispute_reversal",
    },
    "ignore": [{"header": "Type", "values": ["Total"]}],
}
COURIER_MAPPING: Final[dict[str, Any]] = {
    "delimiter": ",",
    "columns": {
        "line_id": "Waybill",
        "type": "Event",
        "currency": "Currency",
        "gross": "Collected",
        "fee": "COD fee",
        "order_reference": "Order No",
        "payment_method": {"constant": "cash"},
        "payout_reference": "Remittance",
    },
    "types": {"COD": "charge", "Returned": "refund", "Fee": "fee"},
}
#: The courier's file is a payout: its name says which, and when it was sent.
COURIER_PATTERN: Final = r"remittance_(?P<payout_id>[A-Z0-9]+)_(?P<date>[0-9]{8})\.csv"

_ACQUIRER_TYPES: Final = {
    "sale": "Sale",
    "refund": "Refund",
    "fee": "Service fee",
    "chargeback": "Chargeback",
    "chargeback_reversal": "Chargeback reversed",
}
_ACQUIRER_HEADER: Final = (
    "Posting", "Transaction", "Type", "Booked", "Currency", "Gross", "Fee", "Net", "Your reference", "Settlement",
    "Settled on", "Bank reference",
)  # fmt: skip
_COURIER_EVENTS: Final = {"sale": "COD", "fee": "Fee"}


def line_id_of(movement: Movement) -> str:
    """The acquirer's posting number, the courier's waybill."""
    return f"P{movement.serial:09d}"


def line_ids_of(movement: Movement) -> tuple[str, ...]:
    """The lines a movement makes: one."""
    return (line_id_of(movement),)


def payment_id_of(movement: Movement) -> str:
    """The acquirer's transaction; of a refund or chargeback the original one's."""
    return f"T{movement.refund_of or movement.serial:09d}"


def refund_id_of(movement: Movement) -> str:
    """The refund is known by its line."""
    return line_id_of(movement)


def dispute_id_of(movement: Movement) -> str:
    """The dispute is known by the payment."""
    return payment_id_of(movement)


def payout_id_of(payout: LedgerPayout) -> str:
    """The acquirer's settlement, the courier's remittance."""
    return f"S{payout.serial:06d}"


def payout_line_id_of(payout: LedgerPayout) -> str:
    """The line that the staging models make for a payout, since the files have none."""
    return f"payout-{payout_id_of(payout)}"


def bank_reference_of(payout: LedgerPayout) -> str:
    """What the bank's text says."""
    return f"SETTLEMENT {payout_id_of(payout)}"


def write_files(ledger: GatewayLedger, folder: Path) -> list[Path]:
    """Drop the acquirer's files: one a settlement, and one with what is still open.

    Args:
        ledger: amounts in minor units; ``reference_prefix`` is put before the order number, times are in ``zone``.
    """
    paths = []
    for payout in ledger.payouts:
        name = f"settlement_{ledger.gateway_id}_{payout_id_of(payout)}.csv"
        paths.append(_drop(folder, name, _acquirer_file(ledger, _of(ledger, payout.serial), payout)))
    if unpaid := _of(ledger, None):
        paths.append(_drop(folder, f"open_items_{ledger.gateway_id}.csv", _acquirer_file(ledger, unpaid, None)))
    return paths


def write_remittances(ledger: GatewayLedger, folder: Path) -> list[Path]:
    """Drop the courier's files: one a remittance, net of the fee for each collection.

    A courier says nothing about what it has not handed over yet, and its lines name no payment but the order.
    """
    return [
        _drop(
            folder,
            f"remittance_{payout_id_of(payout)}_{payout.arrival:%Y%m%d}.csv",
            _courier_file(ledger, _of(ledger, payout.serial), payout),
        )
        for payout in ledger.payouts
    ]


def _of(ledger: GatewayLedger, payout: int | None) -> list[Movement]:
    return [movement for movement in ledger.movements if movement.payout == payout]


def _acquirer_file(ledger: GatewayLedger, movements: Sequence[Movement], payout: LedgerPayout | None) -> bytes:
    zone = ZoneInfo(ledger.zone)
    written = io.StringIO()
    writer = csv.writer(written, delimiter=";", lineterminator="\r\n")
    writer.writerow(_ACQUIRER_HEADER)
    settled = (
        (payout_id_of(payout), f"{payout.arrival:%d.%m.%Y}", bank_reference_of(payout)) if payout else ("", "", "")
    )
    for movement in movements:
        reference = f"{ledger.reference_prefix}{movement.order_number}" if movement.order_number else ""
        writer.writerow(
            [
                line_id_of(movement),
                "" if movement.kind == "fee" else payment_id_of(movement),
                _ACQUIRER_TYPES[movement.kind],
                f"{datetime.fromtimestamp(movement.at, UTC).astimezone(zone):%d.%m.%Y %H:%M:%S}",
                ledger.currency,
                *(_german(amount, ledger.currency) for amount in (movement.amount, movement.fee, movement.net)),
                reference,
                *settled,
            ]
        )
    total = sum(movement.net for movement in movements)
    writer.writerow(["", "", "Total", "", ledger.currency, "", "", _german(total, ledger.currency), "", *settled])
    return written.getvalue().encode("cp1252", "replace")


def _courier_file(ledger: GatewayLedger, movements: Sequence[Movement], payout: LedgerPayout) -> bytes:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["Waybill", "Order No", "Event", "Currency", "Collected", "COD fee", "Remitted", "Remittance"])
    for movement in movements:
        amounts = [text(amount, ledger.currency) for amount in (movement.amount, movement.fee, movement.net)]
        event = _COURIER_EVENTS.get(movement.kind, "Returned")
        row = [line_id_of(movement), movement.order_number or "", event, ledger.currency, *amounts]
        writer.writerow([*row, bank_reference_of(payout)])
    return written.getvalue().encode()


def _german(amount: int, currency: str) -> str:
    """1.234,50 for 123450 cents."""
    whole, point, decimals = text(abs(amount), currency).partition(".")
    grouped = f"{int(whole):,}".replace(",", ".")
    return ("-" if amount < 0 else "") + grouped + ("," if point else "") + decimals


def _drop(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    target, temporary = folder / name, folder / f".{name}.part"
    temporary.write_bytes(content)
    temporary.replace(target)
    return target
