select
    store_id,
    sku,
    cast(quantity as decimal(18, 4)) as confirmed_quantity,
    {{ utc_timestamp('confirmed_at') }} as confirmed_at
from {{ source('ops', 'stock_confirmations') }}
