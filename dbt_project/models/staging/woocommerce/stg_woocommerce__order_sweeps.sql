select
    store_id || ':' || cast({{ utc_timestamp('swept_at') }} as varchar) as sweep_key,
    store_id,
    kind as sweep_kind,
    storage as order_storage,
    orders_listed as listed_count,
    orders_unreadable as unreadable_count,
    findings as finding_count,
    is_complete,
    {{ utc_timestamp('swept_at') }} as swept_at
from {{ source('woocommerce', 'order_sweeps') }}
