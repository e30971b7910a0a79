select
    product_key,
    store_id,
    product_key as parent_product_key,
    product_name,
    cast(null as varchar) as variation_name,
    product_type,
    product_status,
    sku,
    tax_class,
    created_at,
    modified_at
from {{ ref('stg_woocommerce__products') }}
union all
select
    variations.product_key,
    variations.store_id,
    variations.parent_product_key,
    products.product_name,
    variations.variation_name,
    'variation' as product_type,
    variations.product_status,
    variations.sku,
    variations.tax_class,
    variations.created_at,
    variations.modified_at
from {{ ref('stg_woocommerce__product_variations') }} as variations
left join {{ ref('stg_woocommerce__products') }} as products on variations.parent_product_key = products.product_key
