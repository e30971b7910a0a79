with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'stripe'
)

select
    source.gateway_id || ':' || source.id as dispute_key,
    source.gateway_id,
    'stripe' as gateway_system,
    source.id as dispute_id,
    source.charge as payment_id,
    source.payment_intent as intent_id,
    source.reason,
    source.status as source_status,
    -- An inquiry (warning_…) moves no money; what is neither won nor lost is still open.
    case
        when source.status like 'warning%' then 'inquiry'
        when source.status in ('won', 'lost') then source.status
        when source.status = 'prevented' then 'won'
        else 'open'
    end as dispute_status,
    upper(source.currency) as currency_code,
    {{ from_minor('source.amount', 'exponents.exponent') }} as dispute_amount,
    {{ epoch_to_utc('source.created') }} as created_at,
    {{ epoch_to_utc('source.evidence_due_by') }} as evidence_due_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('stripe', 'disputes') }} as source
left join exponents on upper(source.currency) = exponents.currency_code
