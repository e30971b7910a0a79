with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'stripe'
),

-- Old records may lack the reporting category. Stripe's documentation of categories says what the types fall under;
-- adjustments are told apart by what they are about.
categorised as (
    select
        *,
        coalesce(
            nullif(trim(reporting_category), ''),
            case
                when type in ('charge', 'payment') then 'charge'
                when type in ('payment_failure_refund', 'payment_reversal') then 'charge_failure'
                when type in ('refund', 'payment_refund') and amount > 0 then 'refund_failure'
                when type in ('refund', 'payment_refund') then 'refund'
                when type in ('payout_cancel', 'payout_failure') then 'payout_reversal'
                when type in ('stripe_fee', 'stripe_fx_fee') then 'fee'
                when type = 'tax_fee' then 'tax'
                when type = 'application_fee' then 'platform_earning'
                when type = 'application_fee_refund' then 'platform_earning_refund'
                when type in ('transfer_cancel', 'transfer_failure', 'transfer_refund') then 'transfer_reversal'
                when type = 'reserve_transaction' then 'connect_reserved_funds'
                when type in ('reserve_hold', 'reserve_release', 'reserved_funds') then 'risk_reserved_funds'
                when type = 'payment_unreconciled' then 'unreconciled_customer_funds'
                when type in ('obligation_outbound', 'obligation_reversal_inbound') then 'obligation'
                when type in ('balance_transfer_inbound', 'balance_transfer_outbound') then 'other_adjustment'
                when type <> 'adjustment' then type
                when substring(source, 1, 3) in ('dp_', 'du_') and amount < 0 then 'dispute'
                when substring(source, 1, 3) in ('dp_', 'du_') then 'dispute_reversal'
                when substring(source, 1, 3) = 're_' or substring(source, 1, 4) = 'pyr_' then 'refund_failure'
                else 'other_adjustment'
            end
        ) as source_category
    from {{ source('stripe', 'balance_transactions') }}
)

select
    source.gateway_id || ':' || source.id as settlement_line_key,
    source.gateway_id,
    'stripe' as gateway_system,
    'balance_transactions' as source_table,
    source.id as line_id,
    source.source_category,
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
    -- Stripe keeps the risk reserve, issuing and prefunding in balances of their own; payouts and the clearing account
    -- see only payments.
    coalesce(source.balance_type, 'payments') = 'payments' as is_clearing,
    {{ epoch_to_utc('source.created') }} as booked_at,
    {{ epoch_to_utc('source.available_on') }} as available_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from categorised as source
left join exponents on upper(source.currency) = exponents.currency_code

union all
select
    gateway_id || ':' || line_id as settlement_line_key,
    gateway_id,
    'stripe' as gateway_system,
    'report_lines' as source_table,
    line_id,
    source_category,
    cast(null as varchar) as source_type,
    source_id,
    cast(null as varchar) as balance_type,
    cast(null as varchar) as line_status,
    description,
    currency_code,
    gross_amount,
    fee_amount,
    net_amount,
    cast(null as decimal(28, 12)) as exchange_rate,
    true as is_clearing,
    booked_at,
    available_at,
    file_sha256 as payload_sha256,
    loaded_at
from {{ ref('stg_stripe__report_lines') }}

union all
-- A payout that no report has a row of its own for, but that its lines name: the money left the balance all the same.
select
    payouts.gateway_id || ':' || payouts.payout_id as settlement_line_key,
    payouts.gateway_id,
    'stripe' as gateway_system,
    'report_lines' as source_table,
    payouts.payout_id as line_id,
    'payout' as source_category,
    cast(null as varchar) as source_type,
    payouts.payout_id as source_id,
    cast(null as varchar) as balance_type,
    cast(null as varchar) as line_status,
    cast(null as varchar) as description,
    payouts.currency_code,
    cast(-payouts.payout_amount as decimal(18, 4)) as gross_amount,
    cast(0 as decimal(18, 4)) as fee_amount,
    cast(-payouts.payout_amount as decimal(18, 4)) as net_amount,
    cast(null as decimal(28, 12)) as exchange_rate,
    true as is_clearing,
    payouts.created_at as booked_at,
    payouts.created_at as available_at,
    payouts.file_sha256 as payload_sha256,
    payouts.loaded_at
from {{ ref('stg_stripe__report_payouts') }} as payouts
left join {{ source('stripe', 'balance_transactions') }} as own_lines
    on
        payouts.gateway_id = own_lines.gateway_id
        and payouts.payout_id = own_lines.source
        and own_lines.type = 'payout'
where payouts.line_id is null and own_lines.id is null
