select
    gateway_id || ':' || refund_id as gateway_refund_key,
    gateway_id,
    'settlement_file' as gateway_system,
    refund_id as gateway_refund_id,
    max(payment_id) as payment_id,
    cast(null as varchar) as intent_id,
    min(case when source_category = 'refund' then line_id end) as line_id,
    min(case when source_category = 'refund_failure' then line_id end) as failure_line_id,
    case when count(case when source_category = 'refund_failure' then 1 end) > 0 then 'failed' else 'succeeded' end
        as refund_status,
    max(description) as reason,
    cast(null as varchar) as failure_reason,
    presentment_currency_code as currency_code,
    cast(-sum(case when source_category = 'refund' then presentment_amount else 0 end) as decimal(18, 4))
        as refund_amount,
    min(booked_at) as created_at,
    max(file_sha256) as payload_sha256,
    max(loaded_at) as loaded_at
from {{ ref('stg_settlement_file__refunded_lines') }}
group by gateway_id, refund_id, presentment_currency_code
