select
    gateway_id || ':' || dispute_id as dispute_key,
    gateway_id,
    'settlement_file' as gateway_system,
    dispute_id,
    max(payment_id) as payment_id,
    cast(null as varchar) as intent_id,
    max(description) as reason,
    max(source_type) as source_status,
    -- A file says that money went and came back, not that a dispute was decided.
    case when sum(presentment_amount) >= 0 then 'won' else 'open' end as dispute_status,
    presentment_currency_code as currency_code,
    cast(-sum(case when source_category = 'dispute' then presentment_amount else 0 end) as decimal(18, 4))
        as dispute_amount,
    min(booked_at) as created_at,
    {{ utc_timestamp('null') }} as evidence_due_at,
    max(file_sha256) as payload_sha256,
    max(loaded_at) as loaded_at
from {{ ref('stg_settlement_file__lines') }}
where source_category in ('dispute', 'dispute_reversal')
group by gateway_id, dispute_id, presentment_currency_code
