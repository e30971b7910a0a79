-- The plugin's API does not name the refund, only its transaction, whose id the store keeps with its own refund
-- (_wcpay_refund_transaction_id). A refund failed when a transaction of the same charge and amount brought it back and
-- no other refund can be meant.
with refunds as (
    select
        *,
        count(*) over (partition by gateway_id, charge_id, presentment_amount) as alike
    from {{ ref('stg_woopayments__transactions') }}
    where source_category in ('refund', 'payment_refund')
),

failures as (
    select
        gateway_id,
        charge_id,
        presentment_amount,
        max(line_id) as line_id
    from {{ ref('stg_woopayments__transactions') }}
    where source_category = 'refund_failure' and charge_id is not null
    group by gateway_id, charge_id, presentment_amount
)

select
    refunds.gateway_id || ':' || refunds.line_id as gateway_refund_key,
    refunds.gateway_id,
    'woopayments' as gateway_system,
    refunds.line_id as gateway_refund_id,
    coalesce(refunds.charge_id, payments.payment_id) as payment_id,
    refunds.intent_id,
    refunds.line_id,
    failures.line_id as failure_line_id,
    case when failures.line_id is null then 'succeeded' else 'failed' end as refund_status,
    cast(null as varchar) as reason,
    cast(null as varchar) as failure_reason,
    refunds.presentment_currency_code as currency_code,
    refunds.presentment_amount as refund_amount,
    refunds.booked_at as created_at,
    refunds.payload_sha256,
    refunds.loaded_at
from refunds
left join failures
    on
        refunds.gateway_id = failures.gateway_id
        and refunds.charge_id = failures.charge_id
        and refunds.presentment_amount = failures.presentment_amount
        and refunds.alike = 1
left join {{ ref('stg_woopayments__exported_payments') }} as payments
    on refunds.gateway_id = payments.gateway_id and refunds.order_reference = payments.order_reference
