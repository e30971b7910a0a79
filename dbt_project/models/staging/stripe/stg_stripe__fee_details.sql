with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'stripe'
)

select
    source.gateway_id || ':' || source.balance_transaction_id as settlement_line_key,
    source.gateway_id,
    source.position,
    source.type as fee_type,
    upper(source.currency) as currency_code,
    {{ from_minor('source.amount', 'exponents.exponent') }} as fee_amount,
    source.application as application_id,
    source.description,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('stripe', 'fee_details') }} as source
left join exponents on upper(source.currency) = exponents.currency_code
