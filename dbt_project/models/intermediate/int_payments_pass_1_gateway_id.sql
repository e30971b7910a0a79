-- Pass 1: the order names the charge, or the payment intent, as its transaction or in its plugin data.
with {{ pass_input(1) }}

candidates as (
    select
        payments.payment_key,
        orders.order_key
    from open_payments as payments
    inner join {{ ref('int_orders_matchable') }} as orders
        on payments.gateway_id = orders.gateway_id and payments.payment_id = orders.transaction_id
    union
    select
        payments.payment_key,
        orders.order_key
    from open_payments as payments
    inner join {{ ref('int_orders_matchable') }} as orders
        on payments.gateway_id = orders.gateway_id and payments.intent_id = orders.transaction_id
    union
    select
        payments.payment_key,
        orders.order_key
    from open_payments as payments
    inner join {{ ref('int_orders_matchable') }} as orders
        on payments.gateway_id = orders.gateway_id and payments.intent_id = orders.intent_id
),

{{ pass_output('gateway_id') }}
