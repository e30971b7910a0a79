with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'stripe'
)

select
    source.gateway_id || ':' || source.id as settlement_line_key,
    source.gateway_id,
    'stripe' as gateway_system,
    'balance_transactions' as source_table,
    source.id as line_id,
    source.reporting_category as source_category,
    source.type as source_type,
    source.source as source_id,
    source.balance_type,
    source.status as line_status,
    source.description,
    upper(source.currency) as currency_code,
    {{ from_minor('source.amount', 'exponents.exponent') }} as gross_amount,
    {{ from_minor('source.fee', 'exponents.exponent') }} as fee_amount,
    {{ from_minor('source.net', 'exponents.exponent') }} as net_amount,
    source.exchange_rate,
    -- Stripe keeps the risk reserve in a balance of its own; payouts and the clearing account see only payments.
    coalesce(source.balance_type, 'payments') = 'payments' as is_clearing,
    {{ epoch_to_utc('source.created') }} as booked_at,
    {{ epoch_to_utc('source.available_on') }} as available_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('stripe', 'balance_transactions') }} as source
left join exponents on upper(source.currency) = exponents.currency_code
