-- A transfer back to the customer, with the payment of the same order if there is only one.
with only_payments as (
    select
        gateway_id,
        order_reference,
        min(line_id) as payment_id
    from {{ ref('stg_bank_transfer__lines') }}
    where source_category = 'credit'
    group by gateway_id, order_reference
    having count(*) = 1
)

select
    lines.settlement_line_key as gateway_refund_key,
    lines.gateway_id,
    'bank_transfer' as gateway_system,
    lines.line_id as gateway_refund_id,
    only_payments.payment_id,
    cast(null as varchar) as intent_id,
    lines.line_id,
    cast(null as varchar) as failure_line_id,
    'succeeded' as refund_status,
    lines.description as reason,
    cast(null as varchar) as failure_reason,
    lines.currency_code,
    cast(-lines.bank_amount as decimal(18, 4)) as refund_amount,
    lines.booked_at as created_at,
    lines.payload_sha256,
    lines.loaded_at
from {{ ref('stg_bank_transfer__lines') }} as lines
left join only_payments
    on lines.gateway_id = only_payments.gateway_id and lines.order_reference = only_payments.order_reference
where lines.source_category = 'debit'
