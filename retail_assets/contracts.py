"""The declared contracts of the raw tables: one place from which schemas, checks, dbt sources and docs are made.

A raw table keeps the names and values of its source. Columns that start with ``_`` are ours. A child table holds the
elements of one list of its parent's records (order lines, tax lines) and is replaced together with its parent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

ColumnType = Literal["text", "integer", "amount", "rate", "boolean", "timestamp", "date", "json"]
"""``amount`` is decimal(18,4), ``rate`` decimal(28,12), ``timestamp`` UTC, ``json`` the bytes as sent, in a text column."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: where it comes from in the record, what it means and what it may hold.

    ``path`` is the dotted path inside the record and defaults to the name. ``minimum``, ``pattern`` (a regular
    expression for the whole text) and ``required`` are rules: a record that breaks one goes to quarantine with the field
    and the value named. ``orders_versions``: when one load brings a record twice, the one with the highest value holds.
    """

    name: str
    type: ColumnType
    description: str
    required: bool = False
    path: str | None = None
    minimum: Decimal | None = None
    pattern: str | None = None
    personal: bool = False
    orders_versions: bool = False

    @property
    def source_path(self) -> str:
        return self.path or self.name


@dataclass(frozen=True, slots=True)
class Table:
    """The contract of one raw table.

    ``primary_key`` includes the instance column, so that the stores (gateways, …) of one system share a table.
    ``parent`` and ``list_path`` make it a child table. ``parent_key`` names the columns that hold the parent's key: rows
    that are loaded replace all former rows of the same parent.
    ``loaded_with`` names the resource that fills it, where that is not one of its own name.
    """

    system: str
    name: str
    description: str
    owner: str
    primary_key: tuple[str, ...]
    columns: tuple[Column, ...]
    version: int = 1
    parent: str | None = None
    list_path: str | None = None
    parent_key: tuple[str, ...] = ()
    keeps_payload: bool = True
    loaded_with: str | None = None

    @property
    def resource(self) -> str:
        """The resource (and so the asset) that loads this table."""
        return self.parent or self.loaded_with or self.name

    @property
    def schema(self) -> str:
        return f"raw_{self.system}"

    @property
    def instance_column(self) -> str:
        """The column that tells the instances (stores, gateways, banks, ERPs) of one system apart."""
        return INSTANCE_COLUMNS[self.system]

    def all_columns(self) -> tuple[Column, ...]:
        """The declared columns plus ours, in the order of the raw table."""
        instance = (
            Column(self.instance_column, "text", "Which configured instance the record came from.", required=True),
        )
        if self.system == "ops":
            return self.columns
        if self.parent is not None:
            return (*instance, *self.columns, _DELETED, *_LOADED)
        payload = _PAYLOAD if self.keeps_payload else ()
        return (*instance, *self.columns, *payload, *_LOADED)


INSTANCE_COLUMNS: Final = {
    "woocommerce": "store_id",
    "stripe": "gateway_id",
    "bank": "bank_id",
    "erp": "erp_id",
    "ops": "",
}

_DELETED = Column("_deleted", "boolean", "Marks that a parent has no such children any more; never stored as true.")
_PAYLOAD = (
    Column("_payload", "json", "The record as the source sent it, byte for byte.", required=True),
    Column("_payload_sha256", "text", "SHA-256 of the payload: the end of every trace.", required=True),
)
_LOADED = (Column("_loaded_at", "timestamp", "When this version of the record was loaded.", required=True),)

_ZERO = Decimal(0)
_CURRENCY = "[A-Za-z]{3}"


def _line_columns(kind: str) -> tuple[Column, ...]:
    return (
        Column("order_id", "integer", "The order.", required=True),
        Column("id", "integer", f"The {kind} line's id.", required=True),
    )


def _woocommerce() -> Iterator[Table]:
    system, owner = "woocommerce", "team:commerce"
    yield Table(
        system, "orders", "Orders of every status, trashed ones included.", owner, ("store_id", "id"),
        (
            Column("id", "integer", "Order id; shares its number space with refunds.", required=True, minimum=Decimal(1)),
            Column("number", "text", "Order number shown to the customer; differs from the id with some plugins.", required=True),
            Column("order_key", "text", "Random key, unique per order; some gateways carry it in their metadata."),
            Column("status", "text", "WooCommerce status slug; 'trash' for trashed orders.", required=True),
            Column("currency", "text", "ISO 4217 code of every amount of the order.", required=True, pattern=_CURRENCY),
            Column("prices_include_tax", "boolean", "Whether catalogue prices held tax; line totals are net either way."),
            Column("date_created_gmt", "timestamp", "When the order was created.", required=True),
            Column("date_modified_gmt", "timestamp", "When WooCommerce last noted a change; not every change moves it."),
            Column("date_paid_gmt", "timestamp", "When WooCommerce considered it paid; no proof of payment."),
            Column("date_completed_gmt", "timestamp", "When it was completed."),
            Column("total", "amount", "Gross total after discounts; does not shrink with refunds.", required=True, minimum=_ZERO),
            Column("total_tax", "amount", "All tax of the order.", required=True),
            Column("cart_tax", "amount", "Tax on lines and fees.", required=True),
            Column("shipping_total", "amount", "Shipping, net of tax.", required=True),
            Column("shipping_tax", "amount", "Tax on shipping.", required=True),
            Column("discount_total", "amount", "Discount, net of tax; already taken off the line totals.", required=True),
            Column("discount_tax", "amount", "Tax share of the discount.", required=True),
            Column("customer_id", "integer", "Registered customer; 0 for a guest."),
            Column("billing_email", "text", "Customer's e-mail address.", path="billing.email", personal=True),
            Column("billing_country", "text", "Billing country, ISO 3166 alpha-2.", path="billing.country"),
            Column("billing_state", "text", "Billing state or province.", path="billing.state"),
            Column("shipping_country", "text", "Shipping country, ISO 3166 alpha-2.", path="shipping.country"),
            Column("shipping_state", "text", "Shipping state or province.", path="shipping.state"),
            Column("payment_method", "text", "Slug of the payment method; empty for zero-total orders."),
            Column("transaction_id", "text", "The gateway's id as the plugin stored it; empty when none."),
            Column("created_via", "text", "What made the order (checkout, rest-api, admin, …)."),
            Column("meta_data", "json", "Plugin data: a list of {id, key, value}; some plugins make it an object."),
        ),
    )  # fmt: skip
    yield Table(
        system, "order_lines", "Product lines of orders.", owner, ("store_id", "order_id", "id"),
        (
            *_line_columns("product"),
            Column("name", "text", "Product name at the time of sale; may hold HTML."),
            Column("product_id", "integer", "Product, or parent of a variation; 0 once the product was deleted."),
            Column("variation_id", "integer", "Variation; 0 when none."),
            Column("sku", "text", "Stock keeping unit, looked up live; null once the product was deleted."),
            Column("quantity", "rate", "Units sold; some shops sell fractions."),
            Column("tax_class", "text", "Tax class slug; empty for standard."),
            Column("subtotal", "amount", "Net before discount.", required=True),
            Column("subtotal_tax", "amount", "Tax before discount.", required=True),
            Column("total", "amount", "Net after discount.", required=True),
            Column("total_tax", "amount", "Tax after discount, recomputed on every read; use tax lines for totals.", required=True),
        ),
        parent="orders", list_path="line_items", parent_key=("store_id", "order_id"),
    )  # fmt: skip
    yield Table(
        system, "order_tax_lines", "Tax of orders, one row per rate.", owner, ("store_id", "order_id", "id"),
        (
            *_line_columns("tax"),
            Column("rate_code", "text", "COUNTRY-STATE-NAME-PRIORITY of the rate."),
            Column("rate_id", "integer", "Tax rate."),
            Column("label", "text", "Name shown to the customer."),
            Column("compound", "boolean", "Whether it is computed on top of other taxes."),
            Column("rate_percent", "rate", "Rate in percent."),
            Column("tax_total", "amount", "Tax on lines and fees.", required=True),
            Column("shipping_tax_total", "amount", "Tax on shipping.", required=True),
        ),
        parent="orders", list_path="tax_lines", parent_key=("store_id", "order_id"),
    )  # fmt: skip
    yield Table(
        system, "order_shipping_lines", "Shipping charged on orders.", owner, ("store_id", "order_id", "id"),
        (
            *_line_columns("shipping"),
            Column("method_id", "text", "Shipping method."),
            Column("method_title", "text", "Name shown to the customer."),
            Column("total", "amount", "Net.", required=True),
            Column("total_tax", "amount", "Tax.", required=True),
        ),
        parent="orders", list_path="shipping_lines", parent_key=("store_id", "order_id"),
    )  # fmt: skip
    yield Table(
        system, "order_fee_lines", "Fees (or negative fees: discounts) on orders.", owner, ("store_id", "order_id", "id"),
        (
            *_line_columns("fee"),
            Column("name", "text", "Name of the fee."),
            Column("tax_status", "text", "taxable or none."),
            Column("total", "amount", "Net; negative for a discount.", required=True),
            Column("total_tax", "amount", "Tax.", required=True),
        ),
        parent="orders", list_path="fee_lines", parent_key=("store_id", "order_id"),
    )  # fmt: skip
    yield Table(
        system, "order_coupon_lines", "Coupons used on orders.", owner, ("store_id", "order_id", "id"),
        (
            *_line_columns("coupon"),
            Column("code", "text", "Coupon code, lower case."),
            Column("discount", "amount", "Net discount it gave."),
            Column("discount_tax", "amount", "Tax share."),
        ),
        parent="orders", list_path="coupon_lines", parent_key=("store_id", "order_id"),
    )  # fmt: skip
    yield Table(
        system, "refunds", "Refunds of orders, as the store recorded them.", owner, ("store_id", "id"),
        (
            Column("id", "integer", "Refund id; shares its number space with orders.", required=True),
            Column("parent_id", "integer", "The order.", required=True),
            Column("date_created_gmt", "timestamp", "When the refund was recorded.", required=True),
            Column("amount", "amount", "Gross, positive, in the order's currency.", required=True, minimum=_ZERO),
            Column("reason", "text", "Reason given."),
            Column("refunded_by", "integer", "User who made it."),
            Column("refunded_payment", "boolean", "Whether WooCommerce asked the gateway to pay it."),
            Column("meta_data", "json", "Plugin data: a list of {id, key, value}."),
        ),
    )  # fmt: skip
    for table, list_path, kind in (
        ("refund_lines", "line_items", "product"),
        ("refund_shipping_lines", "shipping_lines", "shipping"),
        ("refund_fee_lines", "fee_lines", "fee"),
    ):
        yield Table(
            system, table, f"Refunded {kind} lines; amounts are negative.", owner, ("store_id", "refund_id", "id"),
            (
                Column("refund_id", "integer", "The refund.", required=True),
                Column("id", "integer", "The line's id.", required=True),
                *((Column("product_id", "integer", "Product; 0 once deleted."),
                   Column("variation_id", "integer", "Variation; 0 when none."),
                   Column("sku", "text", "Stock keeping unit."),
                   Column("quantity", "rate", "Units, negative; may be 0 with money.")) if kind == "product" else ()),
                Column("total", "amount", "Net, negative.", required=True),
                Column("total_tax", "amount", "Tax, negative.", required=True),
            ),
            parent="refunds", list_path=list_path, parent_key=("store_id", "refund_id"),
        )  # fmt: skip
    yield Table(
        system, "refund_tax_lines", "Refunded tax, one row per rate; amounts are negative.", owner,
        ("store_id", "refund_id", "id"),
        (
            Column("refund_id", "integer", "The refund.", required=True),
            Column("id", "integer", "The line's id.", required=True),
            Column("rate_code", "text", "COUNTRY-STATE-NAME-PRIORITY of the rate."),
            Column("rate_id", "integer", "Tax rate."),
            Column("label", "text", "Name shown to the customer."),
            Column("tax_total", "amount", "Tax on lines and fees, negative.", required=True),
            Column("shipping_tax_total", "amount", "Tax on shipping, negative.", required=True),
        ),
        parent="refunds", list_path="tax_lines", parent_key=("store_id", "refund_id"),
    )  # fmt: skip
    yield Table(
        system, "products", "Catalogue.", owner, ("store_id", "id"),
        (
            Column("id", "integer", "Product id.", required=True),
            Column("name", "text", "Name; may hold HTML."),
            Column("type", "text", "simple, variable, grouped or external."),
            Column("status", "text", "publish, draft, private, trash."),
            Column("sku", "text", "Stock keeping unit; empty when none."),
            Column("tax_class", "text", "Tax class slug; empty for standard."),
            Column("manage_stock", "boolean", "Whether WooCommerce tracks its stock."),
            Column("stock_quantity", "rate", "Units in stock; null when not tracked."),
            Column("date_created_gmt", "timestamp", "When it was created."),
            Column("date_modified_gmt", "timestamp", "When it was last changed."),
        ),
    )  # fmt: skip
    yield Table(
        system, "product_variations", "Variations of variable products.", owner, ("store_id", "id"),
        (
            Column("id", "integer", "Variation id.", required=True),
            Column("parent_id", "integer", "The product.", required=True),
            Column("name", "text", "Attributes, for example 'L, Ecru'."),
            Column("status", "text", "publish, private."),
            Column("sku", "text", "Stock keeping unit; empty when none."),
            Column("tax_class", "text", "Tax class slug; empty for standard."),
            Column("stock_quantity", "rate", "Units in stock; null when not tracked."),
            Column("date_created_gmt", "timestamp", "When it was created."),
            Column("date_modified_gmt", "timestamp", "When it was last changed."),
        ),
    )  # fmt: skip
    yield Table(
        system, "customers", "Registered customers; guests are only on their orders.", owner, ("store_id", "id"),
        (
            Column("id", "integer", "Customer id.", required=True),
            Column("email", "text", "E-mail address.", personal=True),
            Column("first_name", "text", "First name.", personal=True),
            Column("last_name", "text", "Last name.", personal=True),
            Column("role", "text", "WordPress role."),
            Column("billing_country", "text", "Billing country.", path="billing.country"),
            Column("date_created_gmt", "timestamp", "When the account was made."),
            Column("date_modified_gmt", "timestamp", "When it was last changed."),
        ),
    )  # fmt: skip
    yield Table(
        system, "tax_rates", "Tax rates the store is set up with.", owner, ("store_id", "id"),
        (
            Column("id", "integer", "Rate id.", required=True),
            Column("country", "text", "ISO 3166 alpha-2; empty for all."),
            Column("state", "text", "State; empty for all."),
            Column("name", "text", "Name shown to the customer."),
            Column("rate", "rate", "Percent."),
            Column("priority", "integer", "Rates of one priority exclude one another."),
            Column("compound", "boolean", "Computed on top of other taxes."),
            Column("shipping", "boolean", "Whether it applies to shipping."),
            Column("class", "text", "Tax class slug."),
        ),
    )  # fmt: skip


def _stripe() -> Iterator[Table]:
    system, owner = "stripe", "team:treasury"
    yield Table(
        system, "balance_transactions", "Stripe's ledger lines: each movement of the account's balance.", owner,
        ("gateway_id", "id"),
        (
            Column("id", "text", "txn_…", required=True),
            Column("amount", "integer", "Gross in minor units of the settlement currency; negative is money out.", required=True),
            Column("fee", "integer", "Fee in minor units; positive when charged.", required=True),
            Column("net", "integer", "amount − fee: the effect on the balance.", required=True),
            Column("currency", "text", "Settlement currency, lower case.", required=True, pattern=_CURRENCY),
            Column("exchange_rate", "rate", "Rate from the charge's currency; a hint, never recompute from it."),
            Column("type", "text", "Stripe's open list of types.", required=True),
            Column("reporting_category", "text", "Classification for accounting; an open list.", required=True),
            Column("source", "text", "ch_, py_, re_, dp_, po_, … ; null for many fees."),
            Column("status", "text", "pending or available."),
            Column("created", "integer", "Unix seconds: when it was booked.", required=True),
            Column("available_on", "integer", "Unix seconds: when it may be paid out."),
            Column("balance_type", "text", "payments, risk_reserved, …; absent in older API versions."),
            Column("description", "text", "Free text."),
        ),
    )  # fmt: skip
    yield Table(
        system, "payout_transactions", "Which balance transactions an automatic payout holds, as Stripe lists them.", owner,
        ("gateway_id", "payout_id", "balance_transaction_id"),
        (
            Column("payout_id", "text", "po_…", required=True),
            Column("balance_transaction_id", "text", "txn_…; the payout's own line is left out.", required=True),
        ),
        keeps_payload=False, loaded_with="payouts",
    )  # fmt: skip
    yield Table(
        system, "charges", "Attempts to take money; failed ones too.", owner, ("gateway_id", "id"),
        (
            Column("id", "text", "ch_… or py_…", required=True),
            Column("amount", "integer", "Minor units of the presentment currency.", required=True, minimum=_ZERO),
            Column("amount_captured", "integer", "Minor units captured."),
            Column("amount_refunded", "integer", "Minor units refunded so far."),
            Column("currency", "text", "Presentment currency, lower case.", required=True, pattern=_CURRENCY),
            Column("status", "text", "succeeded, pending or failed.", required=True),
            Column("captured", "boolean", "Whether the money was taken."),
            Column("disputed", "boolean", "Whether it was disputed."),
            Column("livemode", "boolean", "False for test data."),
            Column("payment_intent", "text", "pi_…"),
            Column("balance_transaction", "text", "txn_… of the capture; null until captured."),
            Column("created", "integer", "Unix seconds.", required=True),
            Column("description", "text", "Free text; plugins put the order number in it."),
            Column("failure_code", "text", "Why it failed."),
            Column("billing_email", "text", "Customer's e-mail.", path="billing_details.email", personal=True),
            Column("metadata_order_id", "text", "Order number or id, depending on the plugin.", path="metadata.order_id"),
            Column("metadata_order_key", "text", "The store's order key.", path="metadata.order_key"),
            Column("metadata_site_url", "text", "The store it came from.", path="metadata.site_url"),
            Column("metadata_merchant_reference", "text", "Prefixed order number of some plugins.", path="metadata.merchant_reference"),
            Column("payment_method_type", "text", "card, klarna, …", path="payment_method_details.type"),
            Column("card_brand", "text", "visa, …", path="payment_method_details.card.brand"),
            Column("card_country", "text", "Issuer's country.", path="payment_method_details.card.country"),
        ),
    )  # fmt: skip
    yield Table(
        system, "refunds", "Refunds as Stripe knows them.", owner, ("gateway_id", "id"),
        (
            Column("id", "text", "re_… or pyr_…", required=True),
            Column("amount", "integer", "Minor units, positive, presentment currency.", required=True, minimum=_ZERO),
            Column("currency", "text", "Presentment currency, lower case.", required=True, pattern=_CURRENCY),
            Column("charge", "text", "The charge."),
            Column("payment_intent", "text", "The payment intent."),
            Column("balance_transaction", "text", "txn_… of the refund."),
            Column("failure_balance_transaction", "text", "txn_… that brought the money back."),
            Column("status", "text", "pending, requires_action, succeeded, failed, canceled.", required=True),
            Column("reason", "text", "Reason given."),
            Column("failure_reason", "text", "Why it failed."),
            Column("created", "integer", "Unix seconds.", required=True),
        ),
    )  # fmt: skip
    yield Table(
        system, "disputes", "Disputes (chargebacks) and inquiries.", owner, ("gateway_id", "id"),
        (
            Column("id", "text", "dp_… or du_…", required=True),
            Column("amount", "integer", "Minor units in dispute; may differ from the charge.", required=True),
            Column("currency", "text", "Currency, lower case.", required=True, pattern=_CURRENCY),
            Column("charge", "text", "The charge."),
            Column("payment_intent", "text", "The payment intent."),
            Column("reason", "text", "Reason code."),
            Column("status", "text", "warning_* moves no money; needs_response, under_review, won, lost, …", required=True),
            Column("created", "integer", "Unix seconds.", required=True),
            Column("evidence_due_by", "integer", "Unix seconds: last day to answer.", path="evidence_details.due_by"),
        ),
    )  # fmt: skip
    yield Table(
        system, "payouts", "Payouts to the bank.", owner, ("gateway_id", "id"),
        (
            Column("id", "text", "po_…", required=True),
            Column("amount", "integer", "Minor units; negative when Stripe pulls money from the bank.", required=True),
            Column("currency", "text", "Settlement currency, lower case.", required=True, pattern=_CURRENCY),
            Column("status", "text", "pending, in_transit, paid, canceled, failed.", required=True),
            Column("created", "integer", "Unix seconds: when it left the balance.", required=True),
            Column("arrival_date", "integer", "Unix seconds: the day the bank should credit it.", required=True),
            Column("automatic", "boolean", "Only automatic payouts can be listed line by line."),
            Column("method", "text", "standard or instant."),
            Column("balance_transaction", "text", "txn_… of the payout."),
            Column("failure_balance_transaction", "text", "txn_… that brought the money back."),
            Column("failure_code", "text", "Why it failed."),
            Column("reconciliation_status", "text", "completed once its lines can be listed."),
            Column("statement_descriptor", "text", "Text on the bank statement."),
            Column("trace_id", "text", "The bank's reference, once known.", path="trace_id.value"),
        ),
    )  # fmt: skip
    yield Table(
        system, "balances", "The account's balance when last asked: the control total of the clearing account.", owner,
        ("gateway_id", "currency"),
        (
            Column("currency", "text", "Settlement currency, lower case.", required=True, pattern=_CURRENCY),
            Column("available", "integer", "Minor units that may be paid out.", required=True),
            Column("pending", "integer", "Minor units not yet available.", required=True),
        ),
        keeps_payload=False, loaded_with="balance_transactions",
    )  # fmt: skip


def _bank() -> Iterator[Table]:
    system, owner = "bank", "team:treasury"
    yield Table(
        system, "statements", "Bank statements.", owner, ("bank_id", "account_id", "statement_id"),
        (
            Column("account_id", "text", "IBAN or other account id.", required=True),
            Column("statement_id", "text", "The bank's id of the statement.", required=True),
            Column("sequence_number", "integer", "Electronic sequence number; a gap is a lost statement."),
            Column("currency", "text", "Currency of the account.", required=True, pattern=_CURRENCY),
            Column("opening_date", "date", "Date of the opening balance."),
            Column("closing_date", "date", "Date of the closing balance."),
            Column("opening_balance", "amount", "Signed opening balance.", required=True),
            Column("closing_balance", "amount", "Signed closing balance.", required=True),
            Column("entry_count", "integer", "Entries read from the statement.", required=True),
            Column("created_at", "timestamp", "When the bank made the statement."),
            Column("file_name", "text", "The file it came in.", required=True),
            Column("file_sha256", "text", "SHA-256 of that file: the end of every trace.", required=True),
        ),
        keeps_payload=False,
    )  # fmt: skip
    yield Table(
        system, "entries", "Booked bank lines.", owner, ("bank_id", "account_id", "statement_id", "entry_number"),
        (
            Column("account_id", "text", "IBAN or other account id.", required=True),
            Column("statement_id", "text", "The statement.", required=True),
            Column("entry_number", "integer", "Position in the statement, from 1.", required=True),
            Column("amount", "amount", "Signed by its own indicator: credit positive, debit negative.", required=True),
            Column("currency", "text", "Currency of the entry.", required=True, pattern=_CURRENCY),
            Column("is_reversal", "boolean", "Whether the bank took back an earlier entry."),
            Column("booking_date", "date", "When the bank booked it."),
            Column("value_date", "date", "From when it counts.", required=True),
            Column("bank_reference", "text", "The account servicer's reference."),
            Column("end_to_end_id", "text", "The sender's reference."),
            Column("remittance_text", "text", "Unstructured remittance information."),
            Column("counterparty", "text", "Name of the other side."),
            Column("file_name", "text", "The file it came in.", required=True),
        ),
        loaded_with="statements", parent_key=("bank_id", "account_id", "statement_id"),
    )  # fmt: skip


def _erp() -> Iterator[Table]:
    system, owner = "erp", "team:finance"
    yield Table(
        system, "accounts", "Chart of accounts, all companies.", owner, ("erp_id", "name"),
        (
            Column("name", "text", "The ERP's own name of the account.", required=True),
            Column("account_number", "text", "Account number: our account_code."),
            Column("account_name", "text", "Name."),
            Column("company", "text", "Company.", required=True),
            Column("account_currency", "text", "Currency the account is kept in."),
            Column("root_type", "text", "Asset, Liability, Equity, Income, Expense."),
            Column("account_type", "text", "Receivable, Bank, Tax, …; empty when none."),
            Column("is_group", "integer", "1 for a heading that takes no postings."),
            Column("disabled", "integer", "1 when closed for postings."),
            Column("modified", "text", "Last change by the ERP's own clock, which has no zone: a cursor, no instant.", orders_versions=True),
        ),
    )  # fmt: skip
    yield Table(
        system, "journal_entries", "Journal entries (headers).", owner, ("erp_id", "name"),
        (
            Column("name", "text", "Document number.", required=True),
            Column("platform_ref", "text", "Our posting key; null on entries we did not make."),
            Column("company", "text", "Company.", required=True),
            Column("posting_date", "date", "Posting date.", required=True),
            Column("docstatus", "integer", "0 draft, 1 submitted, 2 cancelled.", required=True),
            Column("total_debit", "amount", "Company currency."),
            Column("total_credit", "amount", "Company currency."),
            Column("modified", "text", "Last change by the ERP's own clock, which has no zone: a cursor, no instant.", orders_versions=True),
        ),
    )  # fmt: skip
    yield Table(
        system, "gl_entries", "General ledger lines.", owner, ("erp_id", "name"),
        (
            Column("name", "text", "Line id.", required=True),
            Column("company", "text", "Company.", required=True),
            Column("posting_date", "date", "Posting date.", required=True),
            Column("account", "text", "The ERP's name of the account.", required=True),
            Column("account_currency", "text", "Currency the account is kept in."),
            Column("debit", "amount", "Company currency.", required=True),
            Column("credit", "amount", "Company currency.", required=True),
            Column("debit_in_account_currency", "amount", "Account currency.", required=True),
            Column("credit_in_account_currency", "amount", "Account currency.", required=True),
            Column("voucher_type", "text", "Document type it belongs to."),
            Column("voucher_no", "text", "Document it belongs to."),
            Column("is_cancelled", "integer", "1 on both sides of a cancelled document."),
            Column("modified", "text", "Last change by the ERP's own clock, which has no zone: a cursor, no instant.", orders_versions=True),
        ),
    )  # fmt: skip
    yield Table(
        system, "sales_invoices", "Sales invoices and credit notes.", owner, ("erp_id", "name"),
        (
            Column("name", "text", "Document number.", required=True),
            Column("company", "text", "Company.", required=True),
            Column("customer", "text", "Customer."),
            Column("posting_date", "date", "Posting date.", required=True),
            Column("currency", "text", "Document currency.", required=True, pattern=_CURRENCY),
            Column("grand_total", "amount", "Gross, document currency; negative on a credit note.", required=True),
            Column("outstanding_amount", "amount", "What is still open."),
            Column("is_return", "integer", "1 for a credit note."),
            Column("return_against", "text", "Invoice a credit note belongs to."),
            Column("po_no", "text", "The customer's order: the store's order number."),
            Column("docstatus", "integer", "0 draft, 1 submitted, 2 cancelled.", required=True),
            Column("status", "text", "Draft, Unpaid, Paid, Return, …"),
            Column("modified", "text", "Last change by the ERP's own clock, which has no zone: a cursor, no instant.", orders_versions=True),
        ),
    )  # fmt: skip
    yield Table(
        system, "exchange_rates", "The books' exchange rates.", owner, ("erp_id", "name"),
        (
            Column("name", "text", "Record id.", required=True),
            Column("date", "date", "First day it holds.", required=True),
            Column("from_currency", "text", "ISO 4217 code.", required=True),
            Column("to_currency", "text", "ISO 4217 code.", required=True),
            Column("exchange_rate", "rate", "Units of to_currency for one of from_currency.", required=True, minimum=_ZERO),
            Column("modified", "text", "Last change by the ERP's own clock, which has no zone: a cursor, no instant.", orders_versions=True),
        ),
    )  # fmt: skip


def _ops() -> Iterator[Table]:
    system, owner = "ops", "team:platform"
    text, integer = "text", "integer"
    yield Table(
        system, "entities", "Legal entities with their policies, from retail.yaml.", owner, ("entity_code",),
        (
            Column("entity_code", text, "Short code.", required=True),
            Column("entity_name", text, "Legal name.", required=True),
            Column("country_code", text, "ISO 3166 alpha-2.", required=True),
            Column("base_currency_code", text, "Currency of the books.", required=True),
            Column("time_zone", text, "IANA zone of the accounting date.", required=True),
            Column("erp_id", text, "ERP that keeps its books.", required=True),
            Column("revenue_recognition", text, "Event that makes a sale revenue: capture.", required=True),
            Column("tolerance_minor_units", integer, "Largest rounding difference a match may have.", required=True),
            Column("settlement_grace_days", integer, "Days a record may wait for its other side.", required=True),
            Column("bank_grace_days", integer, "Days after arrival until a payout must be on the bank.", required=True),
        ),
    )  # fmt: skip
    yield Table(
        system, "stores", "Stores, from retail.yaml.", owner, ("store_id",),
        (
            Column("store_id", text, "Store.", required=True),
            Column("store_name", text, "Brand name.", required=True),
            Column("entity_code", text, "Entity that sells.", required=True),
            Column("site_url", text, "Address of the store, without a trailing slash.", required=True),
        ),
    )  # fmt: skip
    yield Table(
        system, "gateways", "Gateway accounts, from retail.yaml.", owner, ("gateway_id",),
        (
            Column("gateway_id", text, "Gateway account.", required=True),
            Column("gateway_system", text, "stripe, …", required=True),
            Column("entity_code", text, "Entity that owns the account.", required=True),
            Column("bank_id", text, "Bank account its payouts go to.", required=True),
            Column("order_reference", text, "What its order reference holds: number or id.", required=True),
            Column("reference_prefix", text, "Prefix before the order number in merchant references."),
        ),
    )  # fmt: skip
    yield Table(
        system, "gateway_stores", "Which stores a gateway account serves.", owner, ("gateway_id", "store_id"),
        (
            Column("gateway_id", text, "Gateway account.", required=True),
            Column("store_id", text, "Store.", required=True),
            Column("payment_method", text, "Payment method slug the store uses for it.", required=True),
        ),
    )  # fmt: skip
    yield Table(
        system, "banks", "Bank accounts, from retail.yaml.", owner, ("bank_id",),
        (
            Column("bank_id", text, "Bank account.", required=True),
            Column("entity_code", text, "Entity that owns it.", required=True),
            Column("account_id", text, "IBAN or other account id.", required=True),
            Column("currency_code", text, "Currency of the account.", required=True),
        ),
    )  # fmt: skip
    yield Table(
        system, "erps", "ERPs and the company each entity is there, from retail.yaml.", owner, ("erp_id", "entity_code"),
        (
            Column("erp_id", text, "ERP.", required=True),
            Column("entity_code", text, "Entity.", required=True),
            Column("erp_system", text, "erpnext, …", required=True),
            Column("company", text, "The ERP's name of the entity.", required=True),
        ),
    )  # fmt: skip
    yield Table(
        system, "currency_exponents", "Decimals per provider and currency.", owner, ("provider", "currency_code"),
        (
            Column("provider", text, "iso, stripe, …", required=True),
            Column("currency_code", text, "ISO 4217 code.", required=True),
            Column("exponent", integer, "Number of decimals.", required=True),
        ),
    )  # fmt: skip
    yield Table(
        system, "clock", "The run's notion of now: one row.", owner, ("as_of",),
        (Column("as_of", "timestamp", "Now, or what --as-of set.", required=True),),
    )  # fmt: skip
    yield Table(
        system, "load_status", "How each source instance's last load ended.", owner, ("system", "instance_id", "resource"),
        (
            Column("system", text, "woocommerce, stripe, …", required=True),
            Column("instance_id", text, "Store, gateway, bank or ERP.", required=True),
            Column("resource", text, "Resource, for example orders.", required=True),
            Column("loaded_at", "timestamp", "When it was last loaded well.", required=True),
            Column("received", integer, "Records received by that load.", required=True),
            Column("loaded", integer, "Records loaded.", required=True),
            Column("quarantined", integer, "Records put into quarantine.", required=True),
        ),
    )  # fmt: skip
    yield Table(
        system, "quarantine", "Records that broke their contract.", owner, ("quarantine_id",),
        (
            Column("quarantine_id", text, "Deterministic id: same record and reason, same id.", required=True),
            Column("system", text, "woocommerce, stripe, …", required=True),
            Column("instance_id", text, "Store, gateway, bank or ERP.", required=True),
            Column("table_name", text, "Contract that was broken.", required=True),
            Column("record_key", text, "The record's key, where it could be read."),
            Column("field", text, "Field that broke it."),
            Column("value", text, "Its value, shortened."),
            Column("reason", text, "What is wrong with it, in words.", required=True),
            Column("origin", text, "File and row, or request, it came from.", required=True),
            Column("payload_sha256", text, "SHA-256 of the record.", required=True),
            Column("first_seen_at", "timestamp", "When it was first refused.", required=True),
            Column("last_seen_at", "timestamp", "When it was last refused.", required=True),
            Column("status", text, "open, or superseded once a good version of the record was loaded.", required=True),
        ),
    )  # fmt: skip
    yield Table(
        system, "postings", "The posting outbox: what was posted to which ERP.", owner, ("posting_key",),
        (
            Column("posting_key", text, "Key held by the ERP as well.", required=True),
            Column("entry_id", text, "Desired journal entry.", required=True),
            Column("revision", integer, "Version of the entry, from 1.", required=True),
            Column("kind", text, "entry or reversal.", required=True),
            Column("entity_code", text, "Entity.", required=True),
            Column("erp_id", text, "ERP.", required=True),
            Column("state", text, "claimed, sent, posted or failed.", required=True),
            Column("content_hash", text, "Hash of the entry's content.", required=True),
            Column("erp_document", text, "Document number at the ERP."),
            Column("posting_date", "date", "Posting date.", required=True),
            Column("posted_at", "timestamp", "When the read-back proved it."),
        ),
    )  # fmt: skip


TABLES: Final[tuple[Table, ...]] = (*_woocommerce(), *_stripe(), *_bank(), *_erp(), *_ops())


def tables_of(system: str) -> tuple[Table, ...]:
    """All raw tables of one system, parents before children."""
    return tuple(table for table in TABLES if table.system == system)


def table(system: str, name: str) -> Table:
    """The contract of ``raw_<system>.<name>``; KeyError if there is none."""
    for candidate in TABLES:
        if (candidate.system, candidate.name) == (system, name):
            return candidate
    raise KeyError(f"no contract for raw_{system}.{name}")


def children_of(parent: Table) -> tuple[Table, ...]:
    """The child tables that are made from lists of ``parent``'s records."""
    return tuple(t for t in TABLES if t.system == parent.system and t.parent == parent.name)
