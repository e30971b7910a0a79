{{ config(materialized='view') }}

select
    inventory_key,
    product_key,
    store_id,
    entity_code,
    product_id,
    variation_id,
    sku,
    inventory_status,
    is_comparable,
    warehouse_count,
    on_hand_quantity,
    reserved_quantity,
    open_order_quantity,
    open_order_count,
    promised_quantity,
    returning_quantity,
    safety_quantity,
    to_promise_quantity,
    store_quantity,
    difference_quantity,
    erp_counted_at,
    store_counted_at
from {{ ref('int_inventory_compared') }}
