"""What the simulated ERP holds before anything is posted: companies, accounts, rates and wholesale invoices."""

from datetime import date, timedelta
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
    ("1250", "Stripe Clearing", "Asset", "", False),
    ("1260", "Stripe Reserve", "Asset", "", False),
    ("1270", "Disputes Receivable", "Asset", "", False),
    ("1290", "Settlement Suspense", "Asset", "Temporary", False),
    ("1400", "Stock in Hand", "Asset", "Stock", False),
    ("2000", "Current Liabilities", "Liability", "", True),
    ("2100", "Creditors", "Liability", "Payable", False),
    ("4000", "Web Sales", "Income", "Income Account", False),
    ("4100", "Shipping Income", "Income", "Income Account", False),
    ("4200", "Sales Returns", "Income", "Income Account", False),
    ("4900", "Wholesale", "Income", "Income Account", False),
    ("6000", "Expenses", "Expense", "", True),
    ("6050", "Rent", "Expense", "Expense Account", False),
    ("6100", "Payment Fees", "Expense", "Expense Account", False),
    ("6110", "Dispute Fees", "Expense", "Expense Account", False),
    ("6900", "Exchange Gain or Loss", "Expense", "Expense Account", False),
    ("6910", "Rounding", "Expense", "Round Off", False),
)
_TAX_ACCOUNTS: Final = {
    "US": (("2200", "Sales Tax Payable", True), ("2201", "Sales Tax NY", False), ("2202", "Sales Tax CA", False)),
    "DE": (("2200", "VAT Payable", True), ("2210", "Umsatzsteuer", False)),
    "JP": (("2200", "Consumption Tax", True), ("2220", "仮受消費税", False)),
}
_INVOICES_EACH: Final = 4


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
