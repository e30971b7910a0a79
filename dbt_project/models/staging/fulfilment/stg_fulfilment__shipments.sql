select
    provider_id || ':' || shipment_id || ':' || order_reference || ':' || sku || ':' || line_id || ':'
    || cast(occurrence as varchar) as shipment_line_key,
    provider_id || ':' || shipment_id as shipment_key,
    provider_id,
    shipment_id,
    nullif(line_id, '') as shipment_line_id,
    nullif(order_reference, '') as order_reference,
    sku,
    cast(quantity as decimal(18, 4)) as quantity,
    nullif(status, '') as source_status,
    nullif(warehouse, '') as location_code,
    nullif(carrier, '') as carrier,
    nullif(tracking_number, '') as tracking_number,
    {{ utc_timestamp('shipped_at') }} as shipped_at,
    {{ utc_timestamp('delivered_at') }} as delivered_at,
    file_name,
    file_sha256,
    {{ utc_timestamp('_loaded_at') }} as loaded_at
from {{ source('fulfilment', 'shipments') }}
