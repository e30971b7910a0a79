with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'stripe'
),

-- Disputes of which only the ledger is known, by charge: what moved, not where the case stands.
moved as (
    select
        lines.gateway_id,
        coalesce(lines.charge_id, payments.payment_id) as payment_id,
        max(lines.presentment_currency_code) as currency_code,
        max(case when lines.source_category = 'dispute' then lines.presentment_amount end) as dispute_amount,
        max(case when lines.source_category = 'dispute_reversal' then 1 else 0 end) as is_given_back,
        min(lines.booked_at) as created_at,
        min(lines.payload_sha256) as payload_sha256,
        max(lines.loaded_at) as loaded_at
    from {{ ref('stg_woopayments__transactions') }} as lines
    left join {{ ref('stg_woopayments__exported_payments') }} as payments
        on lines.gateway_id = payments.gateway_id and lines.order_reference = payments.order_reference
    left join {{ source('woopayments', 'disputes') }} as disputes
        on lines.gateway_id = disputes.gateway_id and lines.charge_id = disputes.charge_id
    where lines.source_category in ('dispute', 'dispute_reversal') and disputes.dispute_id is null
    group by lines.gateway_id, coalesce(lines.charge_id, payments.payment_id)
)

select
    source.gateway_id || ':' || source.dispute_id as dispute_key,
    source.gateway_id,
    'woopayments' as gateway_system,
    source.dispute_id,
    source.charge_id as payment_id,
    cast(null as varchar) as intent_id,
    source.reason,
    source.status as source_status,
    -- An inquiry (warning_…) moves no money; what is neither won nor lost is still open.
    case
        when source.status like 'warning%' then 'inquiry'
        when source.status in ('won', 'lost') then source.status
        when source.status in ('prevented', 'charge_refunded') then 'won'
        else 'open'
    end as dispute_status,
    upper(source.currency) as currency_code,
    {{ from_minor('abs(source.amount)', 'exponents.exponent') }} as dispute_amount,
    {{ utc_timestamp('source.created') }} as created_at,
    {{ utc_timestamp('source.due_by') }} as evidence_due_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('woopayments', 'disputes') }} as source
left join exponents on upper(source.currency) = exponents.currency_code

union all
select
    gateway_id || ':dispute_of_' || payment_id as dispute_key,
    gateway_id,
    'woopayments' as gateway_system,
    'dispute_of_' || payment_id as dispute_id,
    payment_id,
    cast(null as varchar) as intent_id,
    cast(null as varchar) as reason,
    cast(null as varchar) as source_status,
    case is_given_back when 1 then 'won' else 'open' end as dispute_status,
    currency_code,
    dispute_amount,
    created_at,
    cast(null as timestamp) as evidence_due_at,
    payload_sha256,
    loaded_at
from moved
where payment_id is not null and dispute_amount is not null
