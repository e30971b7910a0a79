with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'stripe'
)

select
    source.gateway_id || ':' || source.id as payment_intent_key,
    source.gateway_id,
    source.id as intent_id,
    source.latest_charge as payment_id,
    source.status as intent_status,
    source.capture_method,
    source.cancellation_reason,
    -- Nothing was taken and nothing will be: the order cannot be paid by it any more.
    source.status = 'canceled' as is_released,
    upper(source.currency) as currency_code,
    {{ from_minor('source.amount', 'exponents.exponent') }} as intended_amount,
    {{ from_minor('coalesce(source.amount_capturable, 0)', 'exponents.exponent') }} as capturable_amount,
    {{ from_minor('coalesce(source.amount_received, 0)', 'exponents.exponent') }} as captured_amount,
    coalesce(source.livemode, true) as is_live,
    nullif(trim(source.metadata_order_id), '') as order_reference,
    {{ epoch_to_utc('source.created') }} as created_at,
    {{ epoch_to_utc('source.canceled_at') }} as canceled_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('stripe', 'payment_intents') }} as source
left join exponents on upper(source.currency) = exponents.currency_code
