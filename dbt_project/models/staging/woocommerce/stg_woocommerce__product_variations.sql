-- A variation goes with its product.
select
    variations.store_id || ':' || cast(variations.id as varchar) as product_key,
    variations.store_id || ':' || cast(variations.parent_id as varchar) as parent_product_key,
    variations.store_id,
    variations.id as variation_id,
    variations.parent_id as product_id,
    variations.name as variation_name,
    variations.status as product_status,
    {{ woo_has_tombstone('variations', 'tombstones') }} as is_deleted,
    nullif(variations.sku, '') as sku,
    variations.tax_class,
    {{ utc_timestamp('variations.date_created_gmt') }} as created_at,
    {{ utc_timestamp('variations.date_modified_gmt') }} as modified_at
from {{ source('woocommerce', 'product_variations') }} as variations
left join {{ source('woocommerce', 'deletions') }} as tombstones
    on
        variations.store_id = tombstones.store_id
        and variations.parent_id = tombstones.id
        and tombstones.resource = 'products'
