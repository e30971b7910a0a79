select
    erp_id || ':' || id as erp_stock_level_key,
    erp_id,
    company,
    location as location_name,
    nullif(trim(sku), '') as sku,
    product as product_name,
    lot as lot_name,
    cast(on_hand as decimal(18, 4)) as on_hand_quantity,
    cast(reserved as decimal(18, 4)) as reserved_quantity,
    cast(on_hand - reserved as decimal(18, 4)) as available_quantity,
    unit as unit_name,
    {{ utc_timestamp('_loaded_at') }} as seen_at
from {{ source('erp', 'stock_levels') }} as levels
where {{ erp_still_has('levels', 'stock_levels') }}
