-- A chargeback at Mollie is a loss until it is reversed: there is no stage in which one could answer it.
select
    source.gateway_id || ':' || source.id as dispute_key,
    source.gateway_id,
    'mollie' as gateway_system,
    source.id as dispute_id,
    source.payment_id,
    cast(null as varchar) as intent_id,
    source.reason,
    case when source.reversed_at is null then 'charged_back' else 'reversed' end as source_status,
    case when source.reversed_at is null then 'lost' else 'won' end as dispute_status,
    source.currency as currency_code,
    source.amount as dispute_amount,
    {{ utc_timestamp('cast(source.created_at as timestamptz)') }} as created_at,
    cast(null as timestamp) as evidence_due_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('mollie', 'chargebacks') }} as source
