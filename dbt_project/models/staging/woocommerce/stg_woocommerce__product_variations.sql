select
    store_id || ':' || cast(id as varchar) as product_key,
    store_id || ':' || cast(parent_id as varchar) as parent_product_key,
    store_id,
    id as variation_id,
    parent_id as product_id,
    name as variation_name,
    status as product_status,
    nullif(sku, '') as sku,
    tax_class,
    {{ utc_timestamp('date_created_gmt') }} as created_at,
    {{ utc_timestamp('date_modified_gmt') }} as modified_at
from {{ source('woocommerce', 'product_variations') }}
