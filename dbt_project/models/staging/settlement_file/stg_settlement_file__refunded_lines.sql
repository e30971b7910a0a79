-- Refund lines with the payment they give back: the one they name, else the only one of the same order.
with only_payments as (
    select
        gateway_id,
        coalesce(order_reference, merchant_reference) as reference,
        min(payment_id) as payment_id
    from {{ ref('stg_settlement_file__lines') }}
    where source_category = 'charge' and coalesce(order_reference, merchant_reference) is not null
    group by gateway_id, coalesce(order_reference, merchant_reference)
    having count(distinct payment_id) = 1
)

select
    lines.gateway_id,
    lines.line_id,
    lines.refund_id,
    lines.source_category,
    coalesce(lines.payment_id, only_payments.payment_id) as payment_id,
    lines.presentment_currency_code,
    lines.presentment_amount,
    lines.booked_at,
    lines.description,
    lines.file_sha256,
    lines.loaded_at
from {{ ref('stg_settlement_file__lines') }} as lines
left join only_payments
    on
        lines.gateway_id = only_payments.gateway_id
        and coalesce(lines.order_reference, lines.merchant_reference) = only_payments.reference
where lines.source_category in ('refund', 'refund_failure')
