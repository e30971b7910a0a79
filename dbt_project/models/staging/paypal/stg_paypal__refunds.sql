select
    gateway_id || ':' || transaction_id as gateway_refund_key,
    gateway_id,
    'paypal' as gateway_system,
    transaction_id as gateway_refund_id,
    reference_id as payment_id,
    cast(null as varchar) as intent_id,
    min(line_id) as line_id,
    cast(null as varchar) as failure_line_id,
    case
        when min(transaction_status) = 'D' then 'failed'
        when min(transaction_status) = 'P' then 'pending'
        else 'succeeded'
    end as refund_status,
    cast(null as varchar) as reason,
    cast(null as varchar) as failure_reason,
    currency_code,
    cast(-sum(gross_amount) as decimal(18, 4)) as refund_amount,
    min(booked_at) as created_at,
    min(payload_sha256) as payload_sha256,
    max(loaded_at) as loaded_at
from {{ ref('stg_paypal__lines') }}
where line_type = 'refund' and transaction_id <> ''
group by gateway_id, transaction_id, reference_id, currency_code
