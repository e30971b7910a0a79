{{ config(materialized='view') }}

select
    canary_id,
    store_id,
    entity_code,
    canary_order_key,
    canary_status,
    placed_at,
    answered_at,
    loaded_at,
    seen_at,
    store_seconds,
    load_seconds,
    mart_seconds,
    total_seconds,
    is_late,
    late_after_minutes,
    measured_at
from {{ ref('int_canaries_travelled') }}
