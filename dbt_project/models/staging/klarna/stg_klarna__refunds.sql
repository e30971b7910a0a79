select
    gateway_id || ':' || coalesce(refund_id, line_id) as gateway_refund_key,
    gateway_id,
    'klarna' as gateway_system,
    coalesce(refund_id, line_id) as gateway_refund_id,
    min(order_id) as payment_id,
    cast(null as varchar) as intent_id,
    min(line_id) as line_id,
    cast(null as varchar) as failure_line_id,
    'succeeded' as refund_status,
    min(detailed_type) as reason,
    cast(null as varchar) as failure_reason,
    min(currency_code) as currency_code,
    cast(-sum(gross_amount) as decimal(18, 4)) as refund_amount,
    min(booked_at) as created_at,
    max(payload_sha256) as payload_sha256,
    max(loaded_at) as loaded_at
from {{ ref('stg_klarna__lines') }}
where source_category = 'RETURN' and is_clearing
group by gateway_id, coalesce(refund_id, line_id)
