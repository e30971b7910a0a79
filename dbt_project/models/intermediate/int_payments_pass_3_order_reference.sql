-- Pass 3: the charge carries the order number or the order id; the gateway's setting says which of the two.
with {{ pass_input(3) }}

candidates as (
    select
        payments.payment_key,
        orders.order_key
    from open_payments as payments
    inner join {{ ref('int_orders_matchable') }} as orders
        on
            payments.gateway_id = orders.gateway_id
            and payments.order_reference = orders.order_reference
            and coalesce(payments.normalised_site_url, orders.normalised_site_url) = orders.normalised_site_url
),

{{ pass_output('order_reference') }}
