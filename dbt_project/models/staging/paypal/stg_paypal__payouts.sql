with withdrawals as (
    select
        gateway_id,
        transaction_id,
        currency_code,
        min(source_table) as source_table,
        min(line_id) as line_id,
        min(event_code) as event_code,
        min(transaction_status) as transaction_status,
        min(bank_reference_id) as bank_reference_id,
        -sum(gross_amount) as payout_amount,
        min(booked_at) as created_at,
        min(payload_sha256) as payload_sha256,
        max(loaded_at) as loaded_at
    from {{ ref('stg_paypal__lines') }}
    where line_type = 'payout' and transaction_id <> ''
    group by gateway_id, transaction_id, currency_code
),

-- A withdrawal that the bank sent back names the one it was.
returned as (
    select
        gateway_id,
        reference_id as transaction_id,
        min(line_id) as line_id
    from {{ ref('stg_paypal__lines') }}
    where line_type = 'payout_reversal' and reference_id is not null
    group by gateway_id, reference_id
),

itemised as (
    select distinct settlement_key
    from {{ ref('stg_paypal__payout_lines') }}
)

select
    withdrawals.gateway_id || ':' || withdrawals.transaction_id as settlement_key,
    withdrawals.gateway_id,
    'paypal' as gateway_system,
    withdrawals.source_table,
    withdrawals.transaction_id as payout_id,
    case
        when returned.line_id is not null or withdrawals.transaction_status = 'D' then 'failed'
        when withdrawals.transaction_status = 'V' then 'canceled'
        when withdrawals.transaction_status = 'P' then 'in_transit'
        else 'paid'
    end as payout_status,
    case withdrawals.event_code when 'T0401' then 'sweep' else 'withdrawal' end as payout_method,
    withdrawals.line_id,
    returned.line_id as failure_line_id,
    cast(null as varchar) as failure_code,
    cast(null as varchar) as statement_descriptor,
    withdrawals.bank_reference_id as trace_id,
    withdrawals.currency_code,
    cast(withdrawals.payout_amount as decimal(18, 4)) as payout_amount,
    withdrawals.event_code = 'T0401' as is_automatic,
    itemised.settlement_key is not null as is_itemised,
    -- PayPal does not say when the bank will book it: a day later at the earliest, as a rule.
    cast({{ add_days('withdrawals.created_at', '1') }} as date) as arrival_date,
    withdrawals.created_at,
    withdrawals.payload_sha256,
    withdrawals.loaded_at
from withdrawals
left join returned
    on withdrawals.gateway_id = returned.gateway_id and withdrawals.transaction_id = returned.transaction_id
left join itemised
    on withdrawals.gateway_id || ':' || withdrawals.transaction_id = itemised.settlement_key
