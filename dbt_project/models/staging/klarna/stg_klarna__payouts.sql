with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'iso'
)

select
    source.gateway_id || ':' || source.payment_reference as settlement_key,
    source.gateway_id,
    'klarna' as gateway_system,
    'payouts' as source_table,
    source.payment_reference as payout_id,
    'paid' as payout_status,
    lower(coalesce(source.merchant_settlement_type, 'NET')) as payout_method,
    source.payment_reference || '/PAYOUT' as line_id,
    cast(null as varchar) as failure_line_id,
    cast(null as varchar) as failure_code,
    source.payment_reference as statement_descriptor,
    source.payment_reference as trace_id,
    source.currency as currency_code,
    {{ from_minor('source.settlement_amount', 'exponents.exponent') }} as payout_amount,
    true as is_automatic,
    true as is_itemised,
    cast({{ utc_timestamp('cast(source.payout_date as timestamptz)') }} as date) as arrival_date,
    {{ utc_timestamp('cast(source.payout_date as timestamptz)') }} as created_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('klarna', 'payouts') }} as source
left join exponents on source.currency = exponents.currency_code
-- The invoice for the fees of gross settlements is no payout.
where coalesce(source.merchant_settlement_type, 'NET') <> 'GROSS_FEE'
