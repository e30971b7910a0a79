select
    store_id || ':' || cast(refund_id as varchar) as refund_key,
    store_id,
    refund_id,
    id as line_id,
    nullif(product_id, 0) as product_id,
    nullif(variation_id, 0) as variation_id,
    nullif(sku, '') as sku,
    quantity,
    cast(total as decimal(18, 4)) as net_amount,
    cast(coalesce(total_tax, 0) as decimal(18, 4)) as tax_amount
from {{ source('woocommerce', 'refund_lines') }}
