-- What each transaction is about, as the other models name it, and the lines that the plugin leaves out: a payout takes
-- its money off the balance, one that failed or was canceled brings it back.
with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'stripe'
),

failed_refunds as (
    select
        gateway_id,
        failure_line_id,
        gateway_refund_id
    from {{ ref('stg_woopayments__refunds') }}
    where failure_line_id is not null
),

disputes as (
    select
        gateway_id,
        payment_id,
        max(dispute_id) as dispute_id
    from {{ ref('stg_woopayments__disputes') }}
    group by gateway_id, payment_id
),

-- An instant payout costs a fee on top of what reaches the bank.
payouts as (
    select
        payouts.*,
        coalesce({{ from_minor('deposits.fee', 'exponents.exponent') }}, cast(0 as decimal(18, 4))) as fee_amount
    from {{ ref('stg_woopayments__payouts') }} as payouts
    left join {{ source('woopayments', 'deposits') }} as deposits
        on payouts.gateway_id = deposits.gateway_id and payouts.payout_id = deposits.id
    left join exponents on payouts.currency_code = exponents.currency_code
)

select
    lines.gateway_id || ':' || lines.line_id as settlement_line_key,
    lines.gateway_id,
    'woopayments' as gateway_system,
    lines.source_table,
    lines.line_id,
    lines.source_category,
    lines.source_type,
    case
        when lines.source_category in ('charge', 'payment') then coalesce(lines.charge_id, lines.line_id)
        when lines.source_category in ('payment_failure_refund', 'payment_reversal')
            then coalesce(lines.charge_id, exported_payments.payment_id)
        when lines.source_category in ('refund', 'payment_refund') then lines.line_id
        when lines.source_category = 'refund_failure' then failed_refunds.gateway_refund_id
        when lines.source_category in ('dispute', 'dispute_reversal') then disputes.dispute_id
    end as source_id,
    cast(null as varchar) as line_status,
    case when lines.order_reference is not null then 'Order ' || lines.order_reference end as description,
    lines.currency_code,
    lines.gross_amount,
    lines.fee_amount,
    lines.net_amount,
    lines.exchange_rate,
    true as is_clearing,
    lines.booked_at,
    lines.booked_at as available_at,
    lines.payload_sha256,
    lines.loaded_at
from {{ ref('stg_woopayments__transactions') }} as lines
left join {{ ref('stg_woopayments__exported_payments') }} as exported_payments
    on lines.gateway_id = exported_payments.gateway_id and lines.order_reference = exported_payments.order_reference
left join failed_refunds
    on lines.gateway_id = failed_refunds.gateway_id and lines.line_id = failed_refunds.failure_line_id
left join disputes
    on
        lines.gateway_id = disputes.gateway_id
        and coalesce(lines.charge_id, exported_payments.payment_id) = disputes.payment_id

union all
select
    settlement_key as settlement_line_key,
    gateway_id,
    'woopayments' as gateway_system,
    source_table,
    line_id,
    'payout' as source_category,
    cast(null as varchar) as source_type,
    payout_id as source_id,
    payout_status as line_status,
    cast(null as varchar) as description,
    currency_code,
    cast(-payout_amount as decimal(18, 4)) as gross_amount,
    fee_amount,
    cast(-payout_amount - fee_amount as decimal(18, 4)) as net_amount,
    cast(null as decimal(28, 12)) as exchange_rate,
    true as is_clearing,
    created_at as booked_at,
    created_at as available_at,
    payload_sha256,
    loaded_at
from payouts

union all
select
    gateway_id || ':' || failure_line_id as settlement_line_key,
    gateway_id,
    'woopayments' as gateway_system,
    source_table,
    failure_line_id as line_id,
    'payout_reversal' as source_category,
    cast(null as varchar) as source_type,
    payout_id as source_id,
    payout_status as line_status,
    cast(null as varchar) as description,
    currency_code,
    payout_amount as gross_amount,
    cast(-fee_amount as decimal(18, 4)) as fee_amount,
    cast(payout_amount + fee_amount as decimal(18, 4)) as net_amount,
    cast(null as decimal(28, 12)) as exchange_rate,
    true as is_clearing,
    created_at as booked_at,
    created_at as available_at,
    payload_sha256,
    loaded_at
from payouts
where failure_line_id is not null
