"""Settlement details reports as Adyen writes them: 30 classic columns, or the 49 of a later configuration."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Final

CLASSIC: Final = (
    "Company Account", "Merchant Account", "Psp Reference", "Merchant Reference", "Payment Method", "Creation Date",
    "TimeZone", "Type", "Modification Reference", "Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)",
    "Exchange Rate", "Net Currency", "Net Debit (NC)", "Net Credit (NC)", "Commission (NC)", "Markup (NC)",
    "Scheme Fees (NC)", "Interchange (NC)", "Payment Method Variant", "Modification Merchant Reference",
    "Batch Number", "Reserved4", "Reserved5", "Reserved6", "Reserved7", "Reserved8", "Reserved9", "Reserved10",
)  # fmt: skip
LATER: Final = (
    *CLASSIC, "Booking Date", "Booking Date TimeZone", "Metadata", "Balance Currency", "Net Debit (BC)",
    "Net Credit (BC)", "Payment Fees (NC)", "DCC Markup (NC)", "Funds Destination", "Balance Platform Debit",
    "Balance Platform Credit", "Shopper Country", "Clearing Network", "Merchant Order Reference", "Dispute Reference",
    "ARN", "Settlement Flow", "Authorisation Code", "Gross Fees (NC)",
)  # fmt: skip
_SHORT: Final = {
    "account": "Merchant Account", "psp": "Psp Reference", "ref": "Merchant Reference", "method": "Payment Method",
    "at": "Creation Date", "zone": "TimeZone", "type": "Type", "mod": "Modification Reference",
    "gc": "Gross Currency", "gd": "Gross Debit (GC)", "gcr": "Gross Credit (GC)", "rate": "Exchange Rate",
    "nc": "Net Currency", "nd": "Net Debit (NC)", "ncr": "Net Credit (NC)", "commission": "Commission (NC)",
    "markup": "Markup (NC)", "scheme": "Scheme Fees (NC)", "interchange": "Interchange (NC)", "batch": "Batch Number",
    "booked": "Booking Date", "booking_zone": "Booking Date TimeZone", "fees": "Payment Fees (NC)", "arn": "ARN",
    "metadata": "Metadata", "dispute": "Dispute Reference", "order": "Merchant Order Reference",
}  # fmt: skip
_USUAL: Final = {
    "Company Account": "Retail", "Merchant Account": "RetailDE", "Creation Date": "2026-03-02 10:00:00",
    "TimeZone": "CET", "Net Currency": "EUR", "Batch Number": "7",
}  # fmt: skip


def row(**values: str) -> dict[str, str]:
    """A row by short names, with the usual values for what is not given."""
    return {**_USUAL, **{_SHORT[name]: value for name, value in values.items()}}


def settled(psp: str, net: str = "9.70", **values: str) -> dict[str, str]:
    """A card payment of 10.00 under a blended contract."""
    usual = {"type": "Settled", "psp": psp, "mod": f"C{psp}", "ref": f"R-{psp}", "method": "visa", "gc": "EUR"}
    return row(**{**usual, "gcr": "10.00", "rate": "1", "ncr": net, "commission": "0.30", **values})


def refunded(psp: str, **values: str) -> dict[str, str]:
    """A refund of a payment in euros."""
    usual = {"type": "Refunded", "psp": psp, "mod": f"R{psp}", "ref": f"R-{psp}", "gc": "EUR", "rate": "1"}
    return row(**{**usual, **values})


def charged_back(psp: str, **values: str) -> dict[str, str]:
    """A chargeback of a payment in euros."""
    return refunded(psp, **{"type": "Chargeback", "mod": f"D{psp}", **values})


def payout(amount: str, **values: str) -> dict[str, str]:
    """The row that empties a batch."""
    usual = {"type": "MerchantPayout", "mod": f"TX12345{values.get('batch', '7')}XT batch 7, RetailDE", "nd": amount}
    return row(**{**usual, "at": "2026-03-04 15:17:00", **values})


def text(rows: Sequence[Mapping[str, str]], columns: Sequence[str] = CLASSIC, line_end: str = "\n") -> str:
    """A report of these rows; the names of its columns come first."""
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator=line_end)
    writer.writerow(columns)
    writer.writerows([row.get(column, "") for column in columns] for row in rows)
    return written.getvalue()


def complete() -> list[dict[str, str]]:
    """A batch of every common type that foots: two equal fees, a credit of a fee, a chargeback with its fee."""
    return [
        settled("A1"),
        settled("A2", net="10.10", gcr="11.00", commission="", markup="0.10", scheme="0.20", interchange=".60"),
        refunded("A1", gd="5.50", nd="5.00", commission="-0.50"),
        charged_back("A2", gd="1.00", nd="11.65", markup="10.65"),
        row(type="Fee", mod="Transaction Fees March 2026", nd="0.05"),
        row(type="Fee", mod="Transaction Fees March 2026", nd="0.05"),
        row(type="DepositCorrection", mod="DepositCorrection", nd="1"),
        row(type="DepositCorrection", mod="DepositCorrection", ncr="2"),
        payout("4.05"),
    ]
