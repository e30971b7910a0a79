select
    store_id || ':' || cast(order_id as varchar) as order_key,
    store_id,
    order_id,
    id as line_id,
    rate_code,
    rate_id,
    label,
    cast(tax_total as decimal(18, 4)) as line_tax_amount,
    cast(shipping_tax_total as decimal(18, 4)) as shipping_tax_amount
from {{ source('woocommerce', 'order_tax_lines') }}
