select
    store_id || ':' || cast(order_id as varchar) || ':' || cast(id as varchar) as order_coupon_key,
    store_id || ':' || cast(order_id as varchar) as order_key,
    store_id,
    order_id,
    id as line_id,
    code as coupon_code,
    cast(coalesce(discount, 0) as decimal(18, 4)) as discount_amount,
    cast(coalesce(discount_tax, 0) as decimal(18, 4)) as discount_tax_amount
from {{ source('woocommerce', 'order_coupon_lines') }}
