-- Pass 3: the charge carries the order number or the order id; the gateway's setting says which of the two.
with {{ pass_input(2) }}

candidates as (
    select
        payments.payment_key,
        orders.order_key,
        orders.taken_as
    from open_payments as payments
    inner join orders
        on
            payments.gateway_id = orders.gateway_id
            and payments.order_reference
            = case payments.order_reference_kind when 'id' then cast(orders.order_id as varchar) else orders.order_number end
            and coalesce(payments.normalised_site_url, orders.normalised_site_url) = orders.normalised_site_url
),

{{ pass_output('order_reference') }}
