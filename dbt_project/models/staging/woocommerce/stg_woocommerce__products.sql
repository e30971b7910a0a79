select
    store_id || ':' || cast(id as varchar) as product_key,
    store_id,
    id as product_id,
    name as product_name,
    type as product_type,
    status as product_status,
    nullif(sku, '') as sku,
    tax_class,
    {{ utc_timestamp('date_created_gmt') }} as created_at,
    {{ utc_timestamp('date_modified_gmt') }} as modified_at
from {{ source('woocommerce', 'products') }}
