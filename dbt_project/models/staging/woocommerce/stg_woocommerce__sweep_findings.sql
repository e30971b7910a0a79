select
    store_id || ':' || finding_id as finding_key,
    store_id || ':' || cast(order_id as varchar) as order_key,
    store_id || ':' || cast(refund_id as varchar) as refund_key,
    store_id,
    kind as finding_kind,
    order_id,
    refund_id,
    known_status,
    found_status,
    cast(known_total as decimal(18, 4)) as known_total_amount,
    cast(found_total as decimal(18, 4)) as found_total_amount,
    {{ utc_timestamp('known_modified_gmt') }} as known_modified_at,
    {{ utc_timestamp('found_modified_gmt') }} as found_modified_at,
    {{ utc_timestamp('swept_at') }} as swept_at
from {{ source('woocommerce', 'sweep_findings') }}
