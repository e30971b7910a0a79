with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'stripe'
)

select
    source.gateway_id || ':' || source.id as payment_key,
    source.gateway_id,
    'stripe' as gateway_system,
    'charges' as source_table,
    source.id as payment_id,
    source.payment_intent as intent_id,
    source.balance_transaction as line_id,
    source.status as payment_status,
    upper(source.currency) as currency_code,
    {{ from_minor('source.amount', 'exponents.exponent') }} as authorised_amount,
    case
        when source.captured
            then {{ from_minor('coalesce(source.amount_captured, source.amount)', 'exponents.exponent') }}
        else cast(0 as decimal(18, 4))
    end as captured_amount,
    {{ from_minor('coalesce(source.amount_refunded, 0)', 'exponents.exponent') }} as refunded_amount,
    coalesce(source.livemode, true) as is_live,
    coalesce(source.captured, false) as is_captured,
    coalesce(source.disputed, false) as is_disputed,
    nullif(trim(source.metadata_order_key), '') as store_order_key,
    nullif(trim(source.metadata_order_id), '') as order_reference,
    nullif(trim(source.metadata_merchant_reference), '') as merchant_reference,
    nullif(trim(source.metadata_site_url), '') as site_url,
    source.description,
    source.failure_code,
    source.payment_method_type,
    source.card_brand,
    source.card_country,
    {{ epoch_to_utc('source.created') }} as created_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('stripe', 'charges') }} as source
left join exponents on upper(source.currency) = exponents.currency_code
