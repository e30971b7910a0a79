select
    store_id || ':' || cast(refund_id as varchar) as refund_key,
    store_id,
    refund_id,
    id as line_id,
    rate_code,
    rate_id,
    cast(tax_total as decimal(18, 4)) as line_tax_amount,
    cast(shipping_tax_total as decimal(18, 4)) as shipping_tax_amount
from {{ source('woocommerce', 'refund_tax_lines') }}
