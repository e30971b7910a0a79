-- Klarna books a reversal once it has decided for the customer; what it credits of it afterwards is our part won.
select
    gateway_id || ':dispute/' || order_id as dispute_key,
    gateway_id,
    'klarna' as gateway_system,
    'dispute/' || order_id as dispute_id,
    order_id as payment_id,
    cast(null as varchar) as intent_id,
    min(detailed_type) as reason,
    min(source_category) as source_status,
    case when sum(gross_amount) >= 0 then 'won' else 'lost' end as dispute_status,
    min(currency_code) as currency_code,
    cast(-sum(case when source_category = 'REVERSAL' then gross_amount else 0 end) as decimal(18, 4)) as dispute_amount,
    min(booked_at) as created_at,
    cast(null as timestamp) as evidence_due_at,
    max(payload_sha256) as payload_sha256,
    max(loaded_at) as loaded_at
from {{ ref('stg_klarna__lines') }}
where
    source_category in ('REVERSAL', 'REVERSAL_MERCHANT_PROTECTION', 'CORRECTION_DISPUTE')
    and is_clearing
    and order_id is not null
group by gateway_id, order_id
