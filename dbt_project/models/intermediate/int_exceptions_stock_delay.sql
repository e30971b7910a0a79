{{ config(materialized='view') }}

-- Articles that the store has shown wrongly for longer than the retailer allows.
select
    'stock_sync_delay' as exception_type,
    delays.product_key as subject_key,
    delays.entity_code,
    delays.store_id,
    cast(null as varchar) as gateway_id,
    cast(null as varchar) as order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(0 as decimal(18, 4)) as amount_at_risk,
    entities.base_currency_code as currency_code,
    delays.waiting_since as opened_at,
    {{ json_text([
        ("sku", "delays.sku"),
        ("shown", "cast(delays.store_quantity as varchar)"),
        ("to_promise", "cast(delays.to_promise_quantity as varchar)"),
        ("waiting_since", "cast(delays.waiting_since as varchar)"),
        ("max_delay_minutes", "delays.max_delay_minutes"),
    ]) }} as evidence
from {{ ref('int_inventory_delays') }} as delays
inner join {{ ref('stg_ops__entities') }} as entities on delays.entity_code = entities.entity_code
where delays.waiting_seconds > 60 * delays.max_delay_minutes
