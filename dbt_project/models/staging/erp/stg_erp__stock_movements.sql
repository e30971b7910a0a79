select
    erp_id || ':' || id as erp_stock_movement_key,
    erp_id,
    company,
    nullif(trim(sku), '') as sku,
    product as product_name,
    cast(quantity as decimal(18, 4)) as quantity,
    unit as unit_name,
    from_location as from_location_name,
    to_location as to_location_name,
    voucher_type,
    voucher_id,
    docstatus,
    status as document_status,
    cast(substr(moved_on, 1, 10) as date) as moved_on,
    moved_on as erp_moved_at,
    modified as erp_modified,
    _payload_sha256 as payload_sha256
from {{ source('erp', 'stock_movements') }} as movements
where {{ erp_still_has('movements', 'stock_movements') }}
