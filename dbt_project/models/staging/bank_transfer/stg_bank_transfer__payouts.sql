-- Each transfer as the payout that it is at the same time. The bank's text names it by the order number.
select
    settlement_line_key as settlement_key,
    gateway_id,
    'bank_transfer' as gateway_system,
    'entries' as source_table,
    line_id as payout_id,
    'paid' as payout_status,
    'standard' as payout_method,
    'arrival-' || line_id as line_id,
    cast(null as varchar) as failure_line_id,
    cast(null as varchar) as failure_code,
    description as statement_descriptor,
    order_reference as trace_id,
    currency_code,
    bank_amount as payout_amount,
    true as is_automatic,
    true as is_itemised,
    value_date as arrival_date,
    booked_at as created_at,
    payload_sha256,
    loaded_at
from {{ ref('stg_bank_transfer__lines') }}
