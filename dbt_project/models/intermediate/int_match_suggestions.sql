-- The last pass: for payments of which no other pass knows the order, the likeliest of the orders of which none knows
-- the payment. Nothing is matched or posted by it.
with pairs as (
    select
        payment_key,
        order_key
    from {{ ref('int_payment_pairs') }}
),

payments as (
    select
        open_payments.payment_key,
        open_payments.gateway_id,
        open_payments.currency_code,
        open_payments.captured_amount,
        open_payments.created_at
    from {{ ref('int_payments_prepared') }} as open_payments
    left join pairs on open_payments.payment_key = pairs.payment_key
    where pairs.payment_key is null and open_payments.is_payment and open_payments.is_live
),

orders as (
    select
        open_orders.order_key,
        open_orders.currency_code,
        open_orders.currency_digits,
        open_orders.total_amount,
        open_orders.billing_email,
        open_orders.created_at
    from {{ ref('int_orders_enriched') }} as open_orders
    left join pairs on open_orders.order_key = pairs.order_key
    where pairs.order_key is null and open_orders.total_amount > 0 and not open_orders.is_trashed
),

{{ suggested_orders() }}

select
    payment_key,
    order_key,
    seconds_apart,
    payer_evidence,
    time_evidence,
    candidate_evidence,
    candidate_count,
    evidence_class
from suggested
