"""What the simulated ERP holds before anything is posted: companies, accounts, rates and wholesale invoices."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, Final

from retail_assets.sandbox.minor import text
from retail_assets.sandbox.profiles import BANKS, ENTITIES
from retail_assets.sandbox.rates import ExchangeRates

# number, name, root type, account type, whether it only groups others
_CHART: Final = (
    ("1000", "Current Assets", "Asset", "", True),
    ("1100", "Web Customers", "Asset", "Receivable", False),
    ("1190", "Petty Cash", "Asset", "Cash", False),
    ("1200", "Bank", "Asset", "Bank", False),
    ("1210", "Cash in Transit", "Asset", "", False),
    ("1220", "Transfers to Gateways", "Asset", "", False),
    ("1250", "Stripe Clearing", "Asset", "", False),
    ("1251", "Second Gateway Clearing", "Asset", "", False),
    ("1252", "Third Gateway Clearing", "Asset", "", False),
    ("1253", "Fourth Gateway Clearing", "Asset", "", False),
    ("1260", "Stripe Reserve", "Asset", "", False),
    ("1270", "Disputes Receivable", "Asset", "", False),
    ("1280", "Recoverable Tax on Fees", "Asset", "", False),
    ("1290", "Settlement Suspense", "Asset", "Temporary", False),
    ("1400", "Stock in Hand", "Asset", "Stock", False),
    ("2000", "Current Liabilities", "Liability", "", True),
    ("2100", "Creditors", "Liability", "Payable", False),
    ("2150", "Gift Cards", "Liability", "", False),
    ("2160", "Tips Payable", "Liability", "", False),
    ("2170", "Customer Deposits", "Liability", "", False),
    ("2300", "Gateway Loans", "Liability", "", False),
    ("4000", "Web Sales", "Income", "Income Account", False),
    ("4100", "Shipping Income", "Income", "Income Account", False),
    ("4200", "Sales Returns", "Income", "Income Account", False),
    ("4900", "Wholesale", "Income", "Income Account", False),
    ("6000", "Expenses", "Expense", "", True),
    ("6050", "Rent", "Expense", "Expense Account", False),
    ("6100", "Payment Fees", "Expense", "Expense Account", False),
    ("6110", "Dispute Fees", "Expense", "Expense Account", False),
    ("6120", "Chargeback Losses", "Expense", "Expense Account", False),
    ("6200", "Donations", "Expense", "Expense Account", False),
    ("6900", "Exchange Gain or Loss", "Expense", "Expense Account", False),
    ("6910", "Rounding", "Expense", "Round Off", False),
    ("6920", "Written Off", "Expense", "Expense Account", False),
)
_TAX_ACCOUNTS: Final = {
    "US": (("2200", "Sales Tax Payable", True), ("2201", "Sales Tax NY", False), ("2202", "Sales Tax CA", False)),
    "DE": (("2200", "VAT Payable", True), ("2210", "Umsatzsteuer", False)),
    "JP": (("2200", "Consumption Tax", True), ("2220", "仮受消費税", False)),
}
_INVOICES_EACH: Final = 4
_WAREHOUSE: Final = "Stores"
_WEB_CUSTOMERS: Final = "Web Customers"


@dataclass(frozen=True, slots=True)
class ShippedLine:
    """Pieces of one product that left for an order, or came back; ``shipped_at`` in the ERP's own time.

    ``company`` is the ERP's name of the entity, ``order_number`` what the customer's order is called in the store.
    """

    company: str
    order_number: str
    sku: str
    quantity: int
    shipped_at: datetime
    is_return: bool = False
    tracking_number: str | None = None


def erp_seed(rates: ExchangeRates, first_day: date, rng: Random) -> dict[str, Any]:
    """The seed of the simulated ERP: ``companies``, ``accounts``, ``exchange_rates`` and ``sales_invoices``."""
    accounts: list[dict[str, Any]] = []
    for entity in ENTITIES.values():
        chart = [(number, name, root, kind, group) for number, name, root, kind, group in _CHART]
        chart += [(number, name, "Liability", "Tax", group) for number, name, group in _TAX_ACCOUNTS[entity.code]]
        accounts += [
            {
                "company": entity.company, "account_number": number, "account_name": name, "root_type": root,
                "account_type": kind, "account_currency": entity.currency, "is_group": int(group),
            }
            for number, name, root, kind, group in sorted(chart)
        ]  # fmt: skip
    return {
        "companies": [
            {
                "name": entity.company,
                "abbr": entity.abbreviation,
                "currency": entity.currency,
                "country": entity.country,
            }
            for entity in ENTITIES.values()
        ],
        "accounts": accounts,
        "exchange_rates": rates.records(),
        "sales_invoices": [invoice for bank_id in BANKS for invoice in _wholesale(bank_id, first_day, rng)],
    }


def _wholesale(bank_id: str, first_day: date, rng: Random) -> list[dict[str, Any]]:
    """Wholesale invoices, which have nothing to do with the web shops; the last one is a credit note."""
    bank = BANKS[bank_id]
    company = ENTITIES[bank.entity_code].company
    invoices: list[dict[str, Any]] = []
    for step in range(_INVOICES_EACH):
        amount = bank.rent // 2 + rng.randint(1, bank.rent)
        invoices.append(
            {
                "company": company, "customer": bank.wholesale_customers[step % 2],
                "posting_date": (first_day + timedelta(days=3 + 9 * step)).isoformat(), "currency": bank.currency,
                "grand_total": text(amount, bank.currency), "po_no": f"PO-{bank.country}-{700 + step}",
                "is_return": 0, "return_against": None,
            }
        )  # fmt: skip
    first = invoices[0]
    invoices.append(
        {
            **first, "posting_date": (first_day + timedelta(days=20)).isoformat(),
            "grand_total": f"-{first['grand_total']}", "is_return": 1, "return_against": first["po_no"],
        }
    )  # fmt: skip
    return invoices


def add_deliveries(
    seed: Mapping[str, Any],
    shipped: Iterable[ShippedLine],
    *,
    in_stock: int | Mapping[str, int] = 100,
    reserved: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The seed with a warehouse for each company, stock, and a delivery note for each shipment and return.

    Args:
        seed: of ``erp_seed``; it is not changed.
        shipped: lines; those of one order, time and direction become one note.
        in_stock: pieces of each product that are left on the shelf after all of it, by SKU where they differ.
        reserved: pieces by SKU that are promised to orders; of products that were shipped.

    Returns:
        The seed with ``warehouses``, ``stock_receipts`` (all on the day before the first shipment), ``reservations``
        and ``delivery_notes``, in order of time.
    """
    lines = sorted(
        shipped, key=lambda line: (line.shipped_at, line.company, line.order_number, line.is_return, line.sku)
    )
    abbreviations = {company["name"]: company["abbr"] for company in seed["companies"]}
    warehouses = {name: f"{_WAREHOUSE} - {abbreviation}" for name, abbreviation in abbreviations.items()}
    sold: dict[tuple[str, str], int] = {}
    notes: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in lines:
        signed = -line.quantity if line.is_return else line.quantity
        sold[line.company, line.sku] = sold.get((line.company, line.sku), 0) + signed
        note = notes.setdefault(
            (line.company, line.order_number, line.shipped_at, line.is_return),
            {
                "company": line.company, "customer": _WEB_CUSTOMERS, "po_no": line.order_number,
                "posting_date": line.shipped_at.date().isoformat(), "posting_time": f"{line.shipped_at:%H:%M:%S}",
                "set_warehouse": warehouses[line.company], "is_return": int(line.is_return),
                "lr_no": line.tracking_number, "items": [],
            },
        )  # fmt: skip
        note["items"].append({"item_code": line.sku, "item_name": line.sku, "qty": signed})
    opening = (lines[0].shipped_at - timedelta(days=1)).date().isoformat() if lines else ""
    receipts = [
        {
            "company": company, "item_code": sku, "warehouse": warehouses[company],
            "qty": quantity + (in_stock if isinstance(in_stock, int) else in_stock[sku]),
            "posting_date": opening, "posting_time": "08:00:00",
        }
        for (company, sku), quantity in sorted(sold.items())
    ]  # fmt: skip
    promised = [
        {"item_code": sku, "warehouse": warehouses[company], "qty": (reserved or {})[sku]}
        for company, sku in sorted(sold)
        if sku in (reserved or {})
    ]
    return {
        **seed,
        "warehouses": [{"warehouse_name": _WAREHOUSE, "company": name} for name in warehouses],
        "stock_receipts": receipts,
        "reservations": promised,
        "delivery_notes": list(notes.values()),
    }
