{{ config(materialized='view') }}

-- Articles of which a store has sold more than it had, though it does not sell beyond its stock: by what it says
-- itself, and by the stock of the ERP where we know which warehouses it sells from. At risk is what paid orders of the
-- books' currency wait for.
with promised_too_much as (
    select
        product_key,
        on_hand_quantity - promised_quantity as available_quantity
    from {{ ref('int_inventory_compared') }}
    where inventory_status = 'oversold'
),

oversold as (
    select
        levels.product_key,
        levels.store_id,
        levels.product_id,
        levels.variation_id,
        levels.sku,
        coalesce(promised_too_much.available_quantity, levels.available_quantity) as available_quantity,
        levels.counted_at,
        stores.entity_code,
        entities.base_currency_code
    from {{ ref('stg_woocommerce__stock_levels') }} as levels
    inner join {{ ref('stg_ops__stores') }} as stores on levels.store_id = stores.store_id
    inner join {{ ref('stg_ops__entities') }} as entities on stores.entity_code = entities.entity_code
    left join promised_too_much on levels.product_key = promised_too_much.product_key
    where
        promised_too_much.product_key is not null
        or (levels.is_stock_managed and not levels.allows_backorders and levels.available_quantity < 0)
),

waiting as (
    select
        oversold.product_key,
        count(distinct orders.order_key) as order_count,
        min(orders.order_key) as example_order_key,
        max(orders.created_at) as last_ordered_at,
        sum(case when orders.currency_code = oversold.base_currency_code then lines.net_amount else 0 end)
            as waiting_amount
    from oversold
    inner join {{ ref('stg_woocommerce__order_lines') }} as lines
        on
            oversold.store_id = lines.store_id
            and oversold.product_id = lines.product_id
            and (oversold.variation_id is null or oversold.variation_id = lines.variation_id)
    inner join {{ ref('int_orders_enriched') }} as orders on lines.order_key = orders.order_key
    where orders.store_status = 'processing'
    group by oversold.product_key
)

select
    'oversold' as exception_type,
    oversold.product_key as subject_key,
    oversold.entity_code,
    oversold.store_id,
    cast(null as varchar) as gateway_id,
    cast(null as varchar) as order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(greatest(coalesce(waiting.waiting_amount, 0), 0) as decimal(18, 4)) as amount_at_risk,
    oversold.base_currency_code as currency_code,
    -- The order that there was nothing left for; when the store last said so is later with each load.
    coalesce(waiting.last_ordered_at, oversold.counted_at) as opened_at,
    {{ json_text([
        ("sku", "oversold.sku"),
        ("available", "cast(oversold.available_quantity as varchar)"),
        ("waiting_orders", "coalesce(waiting.order_count, 0)"),
        ("example_order", "waiting.example_order_key"),
    ]) }} as evidence
from oversold
left join waiting on oversold.product_key = waiting.product_key
