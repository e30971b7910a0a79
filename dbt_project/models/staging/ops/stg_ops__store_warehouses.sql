select
    store_id,
    warehouse as warehouse_name
from {{ source('ops', 'store_warehouses') }}
