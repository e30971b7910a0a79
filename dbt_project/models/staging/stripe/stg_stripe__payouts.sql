with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'stripe'
)

select
    source.gateway_id || ':' || source.id as settlement_key,
    source.gateway_id,
    'stripe' as gateway_system,
    'payouts' as source_table,
    source.id as payout_id,
    source.status as payout_status,
    source.method as payout_method,
    source.balance_transaction as line_id,
    source.failure_balance_transaction as failure_line_id,
    source.failure_code,
    source.statement_descriptor,
    source.trace_id,
    upper(source.currency) as currency_code,
    {{ from_minor('source.amount', 'exponents.exponent') }} as payout_amount,
    coalesce(source.automatic, true) as is_automatic,
    -- Stripe lists the lines of automatic payouts only, and only once it has reconciled them.
    coalesce(source.automatic, true) and coalesce(source.reconciliation_status, 'completed') = 'completed'
        as is_itemised,
    cast({{ epoch_to_utc('source.arrival_date') }} as date) as arrival_date,
    {{ epoch_to_utc('source.created') }} as created_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('stripe', 'payouts') }} as source
left join exponents on upper(source.currency) = exponents.currency_code

union all
-- Reports hold automatic payouts that are on their way or arrived; one that failed comes with a line of its own.
select
    gateway_id || ':' || payout_id as settlement_key,
    gateway_id,
    'stripe' as gateway_system,
    'report_lines' as source_table,
    payout_id,
    'paid' as payout_status,
    cast(null as varchar) as payout_method,
    line_id,
    cast(null as varchar) as failure_line_id,
    cast(null as varchar) as failure_code,
    cast(null as varchar) as statement_descriptor,
    trace_id,
    currency_code,
    payout_amount,
    true as is_automatic,
    true as is_itemised,
    cast(effective_at as date) as arrival_date,
    created_at,
    file_sha256 as payload_sha256,
    loaded_at
from {{ ref('stg_stripe__report_payouts') }}
