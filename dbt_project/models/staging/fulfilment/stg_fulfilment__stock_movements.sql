select
    provider_id || ':' || movement_id as stock_movement_key,
    provider_id,
    movement_id,
    nullif(location, '') as location_code,
    sku,
    movement_type as source_type,
    case
        when lower(movement_type) in ('receipt', 'shipment', 'return', 'transfer', 'adjustment')
            then lower(movement_type)
        else 'unknown'
    end as movement_type,
    cast(quantity as decimal(18, 4)) as quantity,
    {{ utc_timestamp('moved_at') }} as moved_at,
    nullif(order_reference, '') as order_reference,
    nullif(reference, '') as document_reference,
    nullif(reason, '') as reason,
    file_name,
    file_sha256,
    {{ utc_timestamp('_loaded_at') }} as loaded_at
from {{ source('fulfilment', 'stock_movements') }}
