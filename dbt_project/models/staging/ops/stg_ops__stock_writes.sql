select
    write_id,
    store_id,
    store_id || ':' || cast(coalesce(variation_id, product_id) as varchar) as product_key,
    sku,
    run_id,
    cast(before_quantity as decimal(18, 4)) as before_quantity,
    cast(target_quantity as decimal(18, 4)) as target_quantity,
    cast(read_back_quantity as decimal(18, 4)) as read_back_quantity,
    state as write_state,
    {{ utc_timestamp('sent_at') }} as sent_at,
    {{ utc_timestamp('settled_at') }} as settled_at
from {{ source('ops', 'stock_writes') }}
