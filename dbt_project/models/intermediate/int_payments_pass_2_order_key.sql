-- Pass 2: the charge carries the store's random order key. A cloned site copies keys, so its address must agree.
with {{ pass_input(2) }}

candidates as (
    select
        payments.payment_key,
        orders.order_key
    from open_payments as payments
    inner join {{ ref('int_orders_matchable') }} as orders
        on
            payments.gateway_id = orders.gateway_id
            and payments.store_order_key = orders.store_order_key
            and coalesce(payments.normalised_site_url, orders.normalised_site_url) = orders.normalised_site_url
),

{{ pass_output('order_key') }}
