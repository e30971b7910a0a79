{{ config(materialized='view') }}

select
    inventory_key,
    store_id,
    entity_code,
    sku,
    inventory_status,
    last_moved_at,
    confirmed_at,
    written_at,
    last_delay_seconds,
    waiting_since,
    waiting_seconds,
    cast(max_delay_minutes as bigint) as max_delay_minutes,
    coalesce(waiting_seconds > 60 * max_delay_minutes, false) as is_late,
    measured_at
from {{ ref('int_inventory_delays') }}
