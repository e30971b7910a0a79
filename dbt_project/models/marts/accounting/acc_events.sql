{{ config(materialized='view') }}

with summarised as (
    select
        entry_id,
        summary_id
    from {{ ref('int_journal_entries_judged') }}
    where summary_id is not null
)

select
    entries.event_type || ':' || entries.entry_id as event_id,
    entries.event_type,
    coalesce(summarised.summary_id, entries.entry_id) as entry_id,
    entries.entity_code,
    entries.occurred_at,
    entries.posting_date as accounting_date,
    entries.order_key,
    entries.payment_key,
    entries.refund_key,
    entries.settlement_key,
    entries.settlement_line_key,
    entries.bank_line_key,
    entries.gateway_id,
    case entries.entry_type
        when 'revenue' then revenue.justified_by
        when 'sale'
            then
                '["order:' || entries.order_key || '"'
                || coalesce(',"capture:' || entries.payment_key || '"', '') || ']'
        when 'refund' then '["order:' || entries.order_key || '","refund:' || entries.refund_key || '"]'
        when 'payout_arrival'
            then '["payout:' || entries.settlement_key || '","bank_line:' || entries.bank_line_key || '"]'
        when 'write_off'
            then
                '["exception:' || written_off.exception_id || '","settlement_line:' || entries.settlement_line_key
                || '"]'
        else
            '["settlement_line:' || entries.settlement_line_key || '"'
            || coalesce(',"payment:' || entries.payment_key || '"', '')
            || coalesce(',"order:' || entries.order_key || '"', '')
            || coalesce(',"refund:' || entries.refund_key || '"', '') || ']'
    end as justified_by
from {{ ref('int_journal_entries_drafted') }} as entries
left join {{ ref('int_revenue_recognised') }} as revenue on entries.entry_id = revenue.entry_id
left join {{ ref('int_exceptions_written_off') }} as written_off on entries.entry_id = written_off.entry_id
left join summarised on entries.entry_id = summarised.entry_id
