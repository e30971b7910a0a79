-- What each store says it has of an article; what it reserves for open checkouts, WooCommerce does not tell.
with articles as (
    select
        store_id,
        id as product_id,
        cast(null as bigint) as variation_id,
        sku,
        manage_stock,
        stock_quantity,
        stock_status,
        backorders,
        low_stock_amount,
        _loaded_at
    from {{ source('woocommerce', 'products') }}
    where type <> 'variable' or manage_stock
    union all
    select
        store_id,
        parent_id as product_id,
        id as variation_id,
        sku,
        stock_quantity is not null as manage_stock,
        stock_quantity,
        stock_status,
        backorders,
        low_stock_amount,
        _loaded_at
    from {{ source('woocommerce', 'product_variations') }}
)

select
    store_id || ':' || cast(coalesce(variation_id, product_id) as varchar) as product_key,
    store_id,
    product_id,
    variation_id,
    nullif(sku, '') as sku,
    coalesce(manage_stock, false) as is_stock_managed,
    cast(stock_quantity as decimal(18, 4)) as available_quantity,
    stock_status,
    coalesce(backorders, 'no') <> 'no' as allows_backorders,
    cast(low_stock_amount as decimal(18, 4)) as low_stock_quantity,
    {{ utc_timestamp('_loaded_at') }} as counted_at
from articles
