with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'stripe'
)

select
    source.gateway_id,
    'woopayments' as gateway_system,
    upper(source.currency) as currency_code,
    {{ from_minor('source.available', 'exponents.exponent') }} as available_amount,
    {{ from_minor('source.pending', 'exponents.exponent') }} as pending_amount,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('woopayments', 'balances') }} as source
left join exponents on upper(source.currency) = exponents.currency_code
