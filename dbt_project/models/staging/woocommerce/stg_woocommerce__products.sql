select
    products.store_id || ':' || cast(products.id as varchar) as product_key,
    products.store_id,
    products.id as product_id,
    products.name as product_name,
    products.type as product_type,
    products.status as product_status,
    {{ woo_has_tombstone('products', 'tombstones') }} as is_deleted,
    nullif(products.sku, '') as sku,
    products.tax_class,
    {{ utc_timestamp('products.date_created_gmt') }} as created_at,
    {{ utc_timestamp('products.date_modified_gmt') }} as modified_at
from {{ source('woocommerce', 'products') }} as products
left join {{ source('woocommerce', 'deletions') }} as tombstones
    on products.store_id = tombstones.store_id and products.id = tombstones.id and tombstones.resource = 'products'
