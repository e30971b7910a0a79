-- What a lost dispute leaves among the receivables: a loss. Gateways do not say when the bank decided; the day in the
-- books is that of the dispute's last movement.
with lines as (
    select
        dispute_key,
        settlement_line_key,
        gateway_id,
        entity_code,
        order_key,
        payment_key,
        currency_code,
        base_currency_code,
        base_exchange_rate,
        other_amount,
        {{ convert_money('other_amount', 'base_exchange_rate', 'base_digits') }} as base_other_amount,
        booked_at,
        accounting_date
    from {{ ref('int_settlement_lines_booked') }}
    where other_role = 'disputes_receivable' and base_exchange_rate is not null
),

summed as (
    select
        lines.dispute_key,
        lines.currency_code,
        min(lines.gateway_id) as gateway_id,
        min(lines.entity_code) as entity_code,
        min(lines.order_key) as order_key,
        min(lines.payment_key) as payment_key,
        max(lines.settlement_line_key) as settlement_line_key,
        min(lines.base_currency_code) as base_currency_code,
        max(lines.base_exchange_rate) as exchange_rate,
        -sum(lines.other_amount) as lost_amount,
        -sum(lines.base_other_amount) as base_lost_amount,
        max(lines.booked_at) as lost_at,
        max(lines.accounting_date) as posting_date
    from lines
    inner join {{ ref('int_disputes_unioned') }} as disputes on lines.dispute_key = disputes.dispute_key
    where disputes.dispute_status = 'lost'
    group by lines.dispute_key, lines.currency_code
)

select
    'dispute/' || dispute_key as entry_id,
    dispute_key,
    gateway_id,
    entity_code,
    order_key,
    payment_key,
    settlement_line_key,
    currency_code,
    base_currency_code,
    exchange_rate,
    cast(lost_amount as decimal(18, 4)) as lost_amount,
    cast(base_lost_amount as decimal(18, 4)) as base_lost_amount,
    lost_at,
    posting_date
from summed
where lost_amount <> 0
