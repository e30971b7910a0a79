select
    store_id || ':' || cast(order_id as varchar) || ':' || cast(id as varchar) as order_line_key,
    store_id || ':' || cast(order_id as varchar) as order_key,
    store_id,
    order_id,
    id as line_id,
    coalesce(method_title, method_id) as line_name,
    cast(total as decimal(18, 4)) as net_amount,
    cast(coalesce(total_tax, 0) as decimal(18, 4)) as tax_amount
from {{ source('woocommerce', 'order_shipping_lines') }}
