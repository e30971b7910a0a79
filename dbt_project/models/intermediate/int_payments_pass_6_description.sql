-- Pass 6: the free text says "Order <number>".
with {{ pass_input(6) }}

candidates as (
    select
        payments.payment_key,
        orders.order_key
    from open_payments as payments
    inner join {{ ref('int_orders_matchable') }} as orders
        on
            payments.gateway_id = orders.gateway_id
            and payments.described_reference = orders.order_number
            and coalesce(payments.normalised_site_url, orders.normalised_site_url) = orders.normalised_site_url
),

{{ pass_output('description') }}
