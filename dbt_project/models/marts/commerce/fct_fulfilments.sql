{{ config(materialized='view') }}

select
    fulfilment_line_key,
    shipment_key,
    reported_by,
    source_id,
    order_key,
    order_line_key,
    match_status,
    store_id,
    entity_code,
    order_reference,
    sku,
    quantity,
    location_code,
    carrier,
    tracking_number,
    source_status,
    is_shipped,
    shipped_at,
    shipped_on,
    delivered_at
from {{ ref('int_fulfilments_correlated') }}
