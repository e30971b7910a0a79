select
    store_id,
    reservations,
    cast(safety_quantity as decimal(18, 4)) as safety_quantity,
    max_delay_minutes,
    time_zone
from {{ source('ops', 'store_stock') }}
