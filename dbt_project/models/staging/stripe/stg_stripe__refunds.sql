with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'stripe'
)

select
    source.gateway_id || ':' || source.id as gateway_refund_key,
    source.gateway_id,
    'stripe' as gateway_system,
    source.id as gateway_refund_id,
    source.charge as payment_id,
    source.payment_intent as intent_id,
    source.balance_transaction as line_id,
    source.failure_balance_transaction as failure_line_id,
    source.status as refund_status,
    source.reason,
    source.failure_reason,
    upper(source.currency) as currency_code,
    {{ from_minor('source.amount', 'exponents.exponent') }} as refund_amount,
    {{ epoch_to_utc('source.created') }} as created_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('stripe', 'refunds') }} as source
left join exponents on upper(source.currency) = exponents.currency_code
