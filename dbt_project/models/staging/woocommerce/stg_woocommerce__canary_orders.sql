-- Synthetic orders of ours. Nothing of accounting may read this model, which a test holds.
select
    canaries.token as canary_id,
    orders.store_id || ':' || cast(orders.id as varchar) as canary_order_key,
    orders.store_id,
    orders.id as order_id,
    orders.status as store_status,
    {{ utc_timestamp('orders.date_created_gmt') }} as created_at,
    {{ utc_timestamp('orders._loaded_at') }} as loaded_at
from {{ source('woocommerce', 'orders') }} as orders
inner join {{ source('ops', 'canaries') }} as canaries
    on {{ joins_canary('orders', 'canaries') }}
