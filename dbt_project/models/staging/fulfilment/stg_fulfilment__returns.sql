select
    provider_id || ':' || return_id || ':' || order_reference || ':' || sku || ':' || line_id || ':'
    || cast(occurrence as varchar) as return_line_key,
    provider_id || ':' || return_id as return_key,
    provider_id,
    return_id,
    nullif(line_id, '') as return_line_id,
    nullif(order_reference, '') as order_reference,
    sku,
    cast(quantity as decimal(18, 4)) as quantity,
    nullif(condition, '') as return_condition,
    nullif(reason, '') as reason,
    nullif(warehouse, '') as location_code,
    {{ utc_timestamp('received_at') }} as received_at,
    file_name,
    file_sha256,
    {{ utc_timestamp('_loaded_at') }} as loaded_at
from {{ source('fulfilment', 'returns') }}
