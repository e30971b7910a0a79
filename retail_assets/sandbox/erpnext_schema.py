"""The document types that the simulated ERPNext keeps, with the fields that posters and loaders use."""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["text", "date", "integer", "amount", "rate", "rows"]
"""``amount`` and ``rate`` are decimals kept as text; ``rows`` is a small child table kept as JSON."""


@dataclass(frozen=True, slots=True)
class DocType:
    """A document type.

    ``series`` is the prefix of its numbers, ``name_from`` the field its name is taken from; a document type has one of
    them. ``single`` ones are one document that always exists. ``child_of`` names the document type whose rows they are:
    their lists are only given to those who name it.
    """

    name: str
    fields: dict[str, Kind]
    required: tuple[str, ...] = ()
    series: str | None = None
    name_from: str | None = None
    submittable: bool = False
    single: bool = False
    child_of: str | None = None


#: Fields every document has.
STANDARD: Final[dict[str, Kind]] = {
    "name": "text",
    "owner": "text",
    "creation": "text",
    "modified": "text",
    "docstatus": "integer",
}

_TYPES: Final = (
    DocType(
        "Company",
        {"company_name": "text", "abbr": "text", "default_currency": "text", "country": "text"},
        required=("company_name", "abbr", "default_currency"),
        name_from="company_name",
    ),
    DocType(
        "Fiscal Year",
        {"year": "text", "year_start_date": "date", "year_end_date": "date"},
        required=("year", "year_start_date", "year_end_date"),
        name_from="year",
    ),
    DocType(
        "Account",
        {
            "account_name": "text",
            "account_number": "text",
            "company": "text",
            "root_type": "text",
            "account_type": "text",
            "account_currency": "text",
            "is_group": "integer",
            "disabled": "integer",
        },
        required=("account_name", "company"),
    ),
    DocType(
        "Cost Center",
        {"cost_center_name": "text", "company": "text", "is_group": "integer"},
        required=("cost_center_name", "company"),
    ),
    DocType(
        "Customer",
        {"customer_name": "text", "customer_type": "text"},
        required=("customer_name",),
        name_from="customer_name",
    ),
    DocType(
        "Currency Exchange",
        {"date": "date", "from_currency": "text", "to_currency": "text", "exchange_rate": "rate"},
        required=("date", "from_currency", "to_currency", "exchange_rate"),
    ),
    DocType(
        "Custom Field",
        {
            "dt": "text",
            "fieldname": "text",
            "label": "text",
            "fieldtype": "text",
            "insert_after": "text",
            "unique": "integer",
            "no_copy": "integer",
        },
        required=("dt", "fieldtype"),
    ),
    DocType("Accounts Settings", {"acc_frozen_upto": "date", "frozen_accounts_modifier": "text"}, single=True),
    DocType(
        "Accounting Period",
        {
            "period_name": "text",
            "company": "text",
            "start_date": "date",
            "end_date": "date",
            "closed_documents": "rows",
        },
        required=("period_name", "company", "start_date", "end_date"),
    ),
    DocType(
        "Sales Invoice",
        {
            "company": "text",
            "customer": "text",
            "posting_date": "date",
            "currency": "text",
            "grand_total": "amount",
            "outstanding_amount": "amount",
            "is_return": "integer",
            "return_against": "text",
            "po_no": "text",
            "status": "text",
        },
        required=("company", "customer"),
        series="ACC-SINV",
        submittable=True,
    ),
    DocType(
        "Journal Entry",
        {
            "voucher_type": "text",
            "company": "text",
            "posting_date": "date",
            "user_remark": "text",
            "cheque_no": "text",
            "cheque_date": "date",
            "multi_currency": "integer",
            "total_debit": "amount",
            "total_credit": "amount",
            "difference": "amount",
        },
        required=("company", "posting_date"),
        series="ACC-JV",
        submittable=True,
    ),
    DocType(
        "Journal Entry Account",
        {
            "parent": "text",
            "idx": "integer",
            "account": "text",
            "account_type": "text",
            "account_currency": "text",
            "party_type": "text",
            "party": "text",
            "cost_center": "text",
            "exchange_rate": "rate",
            "debit_in_account_currency": "amount",
            "credit_in_account_currency": "amount",
            "debit": "amount",
            "credit": "amount",
            "user_remark": "text",
        },
        child_of="Journal Entry",
    ),
    DocType(
        "GL Entry",
        {
            "posting_date": "date",
            "company": "text",
            "account": "text",
            "account_currency": "text",
            "party_type": "text",
            "party": "text",
            "debit": "amount",
            "credit": "amount",
            "debit_in_account_currency": "amount",
            "credit_in_account_currency": "amount",
            "voucher_type": "text",
            "voucher_no": "text",
            "remarks": "text",
            "is_cancelled": "integer",
        },
        series="ACC-GLE",
    ),
    DocType(
        "Payment Entry",
        {
            "company": "text",
            "payment_type": "text",
            "party_type": "text",
            "party": "text",
            "posting_date": "date",
            "mode_of_payment": "text",
            "paid_amount": "amount",
            "received_amount": "amount",
            "paid_from_account_currency": "text",
            "paid_to_account_currency": "text",
            "reference_no": "text",
            "status": "text",
        },
        required=("company", "payment_type", "paid_amount", "received_amount"),
        series="ACC-PAY",
        submittable=True,
    ),
    DocType("Warehouse", {"warehouse_name": "text", "company": "text"}, required=("warehouse_name", "company")),
    DocType(
        "Bin",
        {
            "item_code": "text",
            "warehouse": "text",
            "actual_qty": "amount",
            "reserved_qty": "amount",
            "projected_qty": "amount",
            "stock_uom": "text",
        },
        series="BIN",
    ),
    DocType(
        "Stock Ledger Entry",
        {
            "company": "text",
            "item_code": "text",
            "warehouse": "text",
            "posting_date": "date",
            "posting_time": "text",
            "actual_qty": "amount",
            "qty_after_transaction": "amount",
            "stock_uom": "text",
            "voucher_type": "text",
            "voucher_no": "text",
            "is_cancelled": "integer",
        },
        series="MAT-SLE",
    ),
    DocType(
        "Delivery Note",
        {
            "company": "text",
            "customer": "text",
            "posting_date": "date",
            "posting_time": "text",
            "is_return": "integer",
            "return_against": "text",
            "po_no": "text",
            "set_warehouse": "text",
            "transporter": "text",
            "transporter_name": "text",
            "lr_no": "text",
            "status": "text",
        },
        required=("company", "customer"),
        series="MAT-DN",
        submittable=True,
    ),
    DocType(
        "Delivery Note Item",
        {
            "parent": "text",
            "idx": "integer",
            "item_code": "text",
            "item_name": "text",
            "qty": "amount",
            "uom": "text",
            "warehouse": "text",
            "against_sales_order": "text",
        },
        child_of="Delivery Note",
    ),
    DocType("Deleted Document", {"deleted_doctype": "text", "deleted_name": "text", "restored": "integer"}),
)

DOCTYPES: Final = {doctype.name: doctype for doctype in _TYPES}
