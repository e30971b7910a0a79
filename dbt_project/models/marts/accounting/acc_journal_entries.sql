{{ config(materialized='view') }}

-- What is to be posted: each entry by itself, or as a part of a summary.
select
    entry_id,
    entity_code,
    entry_type,
    posting_date,
    order_key,
    settlement_key,
    settlement_line_key,
    bank_line_key,
    refund_key,
    description,
    base_currency_code,
    base_total_amount,
    line_count,
    posting_status,
    hold_reason,
    held_by_exception_id
from {{ ref('int_journal_entries_judged') }}
where summary_id is null
union all
select
    entry_id,
    entity_code,
    entry_type,
    posting_date,
    cast(null as varchar) as order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(null as varchar) as refund_key,
    description,
    base_currency_code,
    cast(sum(greatest(base_amount, 0)) as decimal(18, 4)) as base_total_amount,
    cast(count(*) as integer) as line_count,
    'ready' as posting_status,
    cast(null as varchar) as hold_reason,
    cast(null as varchar) as held_by_exception_id
from {{ ref('int_journal_lines_summarised') }}
group by entry_id, entity_code, entry_type, posting_date, description, base_currency_code
