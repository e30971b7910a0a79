-- Payments, captures, refunds and chargebacks are in the settlement that lists them. What Mollie lists nowhere (fees,
-- reserves, corrections, reversals) is in the first settlement that was sent after it was booked.
with lines as (
    select
        lines.gateway_id,
        lines.line_id,
        lines.booked_at,
        case
            when source.type = 'payment' then 'payment'
            when source.type = 'capture' then 'capture'
            when source.type = 'refund' then 'refund'
            when source.type = 'chargeback' then 'chargeback'
        end as kind,
        case
            when source.type = 'payment' then source.payment_id
            when source.type = 'capture' then source.capture_id
            when source.type = 'refund' then source.refund_id
            when source.type = 'chargeback' then source.chargeback_id
        end as item_id
    from {{ ref('stg_mollie__settlement_lines') }} as lines
    inner join {{ source('mollie', 'balance_transactions') }} as source
        on lines.gateway_id = source.gateway_id and lines.line_id = source.id
    where source.type not in ('outgoing-transfer', 'outgoing-custom-amount-transfer')
),

listed as (
    select
        lines.gateway_id,
        lines.line_id,
        items.settlement_id
    from lines
    inner join {{ source('mollie', 'settlement_items') }} as items
        on lines.gateway_id = items.gateway_id and lines.kind = items.kind and lines.item_id = items.id
),

followed as (
    select
        lines.gateway_id,
        lines.line_id,
        payouts.payout_id as settlement_id,
        row_number() over (
            partition by lines.gateway_id, lines.line_id order by payouts.created_at, payouts.payout_id
        ) as preference
    from lines
    inner join {{ ref('stg_mollie__payouts') }} as payouts
        on lines.gateway_id = payouts.gateway_id and lines.booked_at <= payouts.created_at
    where lines.kind is null and payouts.line_id is not null
)

select
    gateway_id || ':' || settlement_id as settlement_key,
    gateway_id || ':' || line_id as settlement_line_key,
    gateway_id
from listed
union all
select
    gateway_id || ':' || settlement_id as settlement_key,
    gateway_id || ':' || line_id as settlement_line_key,
    gateway_id
from followed
where preference = 1
