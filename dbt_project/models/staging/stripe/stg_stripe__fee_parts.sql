-- What networks and issuers charge, as Stripe hands it on under an interchange contract.
with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'stripe'
),

parts as (
    select
        gateway_id,
        balance_transaction_id,
        min(currency) as currency,
        sum(case when type = 'payment_method_passthrough_fee' then amount else 0 end) as passed_through
    from {{ source('stripe', 'fee_details') }}
    group by gateway_id, balance_transaction_id
)

select
    parts.gateway_id || ':' || parts.balance_transaction_id as settlement_line_key,
    parts.gateway_id,
    {{ from_minor('parts.passed_through', 'exponents.exponent') }} as passed_through_amount
from parts
left join exponents on upper(parts.currency) = exponents.currency_code
