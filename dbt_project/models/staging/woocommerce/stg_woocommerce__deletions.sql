select
    store_id || ':' || resource || ':' || cast(id as varchar) as deletion_key,
    store_id || ':' || cast(nullif(order_id, 0) as varchar) as order_key,
    store_id,
    resource as record_kind,
    id as record_id,
    nullif(order_id, 0) as order_id,
    cause as deletion_cause,
    last_status,
    is_deleted,
    {{ utc_timestamp('noticed_at') }} as noticed_at
from {{ source('woocommerce', 'deletions') }}
