-- Each article of a store whose stock is configured: what its warehouses have, what of it is promised, what may be
-- offered, and what the store shows.
with in_erp as (
    select
        warehouses.store_id,
        levels.sku,
        sum(levels.on_hand_quantity) as on_hand_quantity,
        sum(levels.reserved_quantity) as reserved_quantity,
        count(distinct warehouses.warehouse_name) as warehouse_count,
        max(levels.seen_at) as erp_counted_at
    from {{ ref('int_inventory_warehouses') }} as warehouses
    inner join {{ ref('stg_erp__stock_levels') }} as levels
        on
            warehouses.erp_id = levels.erp_id
            and warehouses.company = levels.company
            and warehouses.warehouse_name = levels.location_name
    where levels.sku is not null
    group by warehouses.store_id, levels.sku
),

-- Stores that share a warehouse share what is promised.
sharing as (
    select distinct
        ours.store_id,
        theirs.store_id as selling_store_id
    from {{ ref('int_inventory_warehouses') }} as ours
    inner join {{ ref('int_inventory_warehouses') }} as theirs
        on
            ours.erp_id = theirs.erp_id
            and ours.company = theirs.company
            and ours.warehouse_name = theirs.warehouse_name
),

promised as (
    select
        sharing.store_id,
        orders.sku,
        sum(orders.promised_quantity) as promised_quantity,
        sum(orders.order_count) as order_count,
        min(orders.example_order_key) as example_order_key
    from sharing
    inner join {{ ref('int_inventory_promised') }} as orders on sharing.selling_store_id = orders.store_id
    group by sharing.store_id, orders.sku
),

-- What we read back after a write may be newer than the last load.
read_back as (
    select
        product_key,
        read_back_quantity,
        settled_at,
        row_number() over (partition by product_key order by settled_at desc, write_id desc) as newest
    from {{ ref('stg_ops__stock_writes') }}
    where read_back_quantity is not null
),

in_store as (
    select
        levels.product_key,
        levels.store_id,
        levels.product_id,
        levels.variation_id,
        levels.sku,
        levels.is_stock_managed,
        levels.allows_backorders,
        case
            when read_back.settled_at >= levels.counted_at then read_back.read_back_quantity
            else levels.available_quantity
        end as available_quantity,
        greatest(levels.counted_at, coalesce(read_back.settled_at, levels.counted_at)) as counted_at,
        count(*) over (partition by levels.store_id, levels.sku) as sku_count
    from {{ ref('stg_woocommerce__stock_levels') }} as levels
    inner join {{ ref('stg_ops__store_stock') }} as offers on levels.store_id = offers.store_id
    left join read_back on levels.product_key = read_back.product_key and read_back.newest = 1
),

joined as (
    select
        in_store.product_key,
        coalesce(in_store.store_id, in_erp.store_id) as store_id,
        in_store.product_id,
        in_store.variation_id,
        coalesce(in_store.sku, in_erp.sku) as sku,
        in_store.product_key is not null as is_in_store,
        in_erp.sku is not null as is_in_erp,
        coalesce(in_store.is_stock_managed, false) as is_stock_managed,
        coalesce(in_store.allows_backorders, false) as allows_backorders,
        in_store.sku_count,
        in_store.available_quantity as store_quantity,
        in_store.counted_at as store_counted_at,
        coalesce(in_erp.on_hand_quantity, 0) as on_hand_quantity,
        coalesce(in_erp.reserved_quantity, 0) as reserved_quantity,
        coalesce(in_erp.warehouse_count, 0) as warehouse_count,
        in_erp.erp_counted_at
    from in_store
    full outer join in_erp on in_store.store_id = in_erp.store_id and in_store.sku = in_erp.sku
),

reckoned as (
    select
        joined.*,
        stores.entity_code,
        coalesce(promised.promised_quantity, 0) as open_order_quantity,
        coalesce(promised.order_count, 0) as open_order_count,
        promised.example_order_key,
        coalesce(coming_back.returning_quantity, 0) as returning_quantity,
        offers.safety_quantity,
        -- What the ERP reserves may hold the open orders, or those of them that have arrived there.
        case
            when offers.reservations = 'include_orders'
                then greatest(joined.reserved_quantity, coalesce(promised.promised_quantity, 0))
            else joined.reserved_quantity + coalesce(promised.promised_quantity, 0)
        end as promised_quantity
    from joined
    inner join {{ ref('stg_ops__store_stock') }} as offers on joined.store_id = offers.store_id
    inner join {{ ref('stg_ops__stores') }} as stores on joined.store_id = stores.store_id
    left join promised on joined.store_id = promised.store_id and joined.sku = promised.sku
    left join {{ ref('int_inventory_returning') }} as coming_back
        on joined.store_id = coming_back.store_id and joined.sku = coming_back.sku
),

offered as (
    select
        *,
        -- Shops count whole pieces.
        case when is_in_erp then greatest(floor(on_hand_quantity - promised_quantity - safety_quantity), 0) end
            as to_promise_quantity,
        is_in_store and is_in_erp and is_stock_managed and sku_count = 1 as is_comparable
    from reckoned
)

select
    coalesce(product_key, store_id || ':sku:' || sku) as inventory_key,
    product_key,
    store_id,
    entity_code,
    product_id,
    variation_id,
    sku,
    case
        when not is_in_store then 'not_in_store'
        when sku is null then 'no_sku'
        when sku_count > 1 then 'ambiguous_sku'
        when not is_in_erp then 'not_in_erp'
        when not is_stock_managed then 'not_managed'
        when on_hand_quantity < promised_quantity and not allows_backorders then 'oversold'
        when store_quantity > to_promise_quantity then 'shows_too_much'
        when store_quantity < to_promise_quantity then 'shows_too_little'
        else 'in_step'
    end as inventory_status,
    is_comparable,
    warehouse_count,
    cast(on_hand_quantity as decimal(18, 4)) as on_hand_quantity,
    cast(reserved_quantity as decimal(18, 4)) as reserved_quantity,
    cast(open_order_quantity as decimal(18, 4)) as open_order_quantity,
    cast(open_order_count as bigint) as open_order_count,
    example_order_key,
    cast(promised_quantity as decimal(18, 4)) as promised_quantity,
    cast(returning_quantity as decimal(18, 4)) as returning_quantity,
    cast(safety_quantity as decimal(18, 4)) as safety_quantity,
    cast(to_promise_quantity as decimal(18, 4)) as to_promise_quantity,
    cast(store_quantity as decimal(18, 4)) as store_quantity,
    cast(case when is_comparable then store_quantity - to_promise_quantity end as decimal(18, 4))
        as difference_quantity,
    erp_counted_at,
    store_counted_at
from offered
