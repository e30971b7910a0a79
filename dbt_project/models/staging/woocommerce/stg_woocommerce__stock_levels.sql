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
    articles.store_id || ':' || cast(coalesce(articles.variation_id, articles.product_id) as varchar) as product_key,
    articles.store_id,
    articles.product_id,
    articles.variation_id,
    nullif(articles.sku, '') as sku,
    coalesce(articles.manage_stock, false) as is_stock_managed,
    cast(articles.stock_quantity as decimal(18, 4)) as available_quantity,
    articles.stock_status,
    coalesce(articles.backorders, 'no') <> 'no' as allows_backorders,
    cast(articles.low_stock_amount as decimal(18, 4)) as low_stock_quantity,
    {{ utc_timestamp('articles._loaded_at') }} as counted_at
from articles
left join {{ source('woocommerce', 'deletions') }} as tombstones
    on
        articles.store_id = tombstones.store_id
        and articles.product_id = tombstones.id
        and tombstones.resource = 'products'
-- Of a deleted product the store says nothing any more.
where not {{ woo_has_tombstone('articles', 'tombstones') }}
