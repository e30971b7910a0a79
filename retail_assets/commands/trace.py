"""``retail trace``: one order, payment, payout, bank line or ERP document through the whole chain, both ways."""

from collections.abc import Mapping
from typing import Any, Final

import duckdb
from rich.console import Console
from rich.table import Table

from retail_assets.settings import Settings

# Whatever the identifier names, it leads to orders, settlement lines, payouts and bank lines; each step adds the keys that
# the next one follows.
_SEED: Final = """
with found as (
    select order_key, null as settlement_line_key, null as settlement_key, null as bank_line_key
    from marts.fct_orders
    where $id in (order_key, order_number, cast(order_id as varchar), transaction_id)

    union
    select null, settlement_line_key, null, null
    from marts.fct_settlement_lines
    where $id in (settlement_line_key, line_id, payment_key, split_part(payment_key, ':', 2), source_id)

    union
    select null, null, settlement_key, null
    from marts.fct_settlements
    where $id in (settlement_key, payout_id, trace_id)

    union
    select null, null, null, bank_line_key
    from marts.fct_bank_lines
    where $id in (bank_line_key, bank_reference, end_to_end_id)

    union
    select entries.order_key, entries.settlement_line_key, entries.settlement_key, entries.bank_line_key
    from marts.acc_journal_entries as entries
    left join raw_ops.postings as postings on postings.entry_id = entries.entry_id
    where $id in (entries.entry_id, postings.erp_document, postings.posting_key)
)
"""
