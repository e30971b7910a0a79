-- PayPal's ledger says when money was taken and given back, not what a case is about.
with totals as (
    select
        gateway_id,
        dispute_id,
        min(payment_id) as payment_id,
        currency_code,
        sum(case when line_type = 'dispute' then -gross_amount else 0 end) as taken_amount,
        sum(case when line_type = 'dispute_reversal' then gross_amount else 0 end) as returned_amount,
        -- T1106: PayPal itself has decided and taken the payment back.
        max(case when event_code = 'T1106' then 1 else 0 end) as is_decided,
        min(event_code) as first_event_code,
        min(booked_at) as created_at,
        min(payload_sha256) as payload_sha256,
        max(loaded_at) as loaded_at
    from {{ ref('stg_paypal__disputed_lines') }}
    group by gateway_id, dispute_id, currency_code
)

select
    gateway_id || ':' || dispute_id as dispute_key,
    gateway_id,
    'paypal' as gateway_system,
    dispute_id,
    payment_id,
    cast(null as varchar) as intent_id,
    cast(null as varchar) as reason,
    first_event_code as source_status,
    case
        when returned_amount >= taken_amount then 'won'
        when is_decided = 1 then 'lost'
        else 'open'
    end as dispute_status,
    currency_code,
    cast(case when taken_amount <> 0 then taken_amount else returned_amount end as decimal(18, 4)) as dispute_amount,
    created_at,
    cast(null as timestamp) as evidence_due_at,
    payload_sha256,
    loaded_at
from totals
