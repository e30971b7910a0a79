-- How long movements in the ERP take until the store shows them. A movement waits until the article is seen to be right
-- in the store; a day without a time counts as its end.
with ends as (
    select
        erp_stock_movement_key,
        erp_id,
        company,
        sku,
        from_location_name as location_name,
        erp_moved_at
    from {{ ref('stg_erp__stock_movements') }}
    where docstatus = 1 and sku is not null
    union
    select
        erp_stock_movement_key,
        erp_id,
        company,
        sku,
        to_location_name as location_name,
        erp_moved_at
    from {{ ref('stg_erp__stock_movements') }}
    where docstatus = 1 and sku is not null
),

dated as (
    select
        warehouses.store_id,
        ends.sku,
        offers.time_zone,
        cast(substr(ends.erp_moved_at, 1, 10) as date) as moved_on,
        nullif(trim(substr(ends.erp_moved_at, 11)), '') as clock_text
    from ends
    inner join {{ ref('int_inventory_warehouses') }} as warehouses
        on
            ends.erp_id = warehouses.erp_id
            and ends.company = warehouses.company
            and ends.location_name = warehouses.warehouse_name
    inner join {{ ref('stg_ops__store_stock') }} as offers on warehouses.store_id = offers.store_id
    where ends.erp_moved_at is not null
),

timed as (
    select
        store_id,
        sku,
        time_zone,
        case
            when clock_text is null then cast({{ add_days('moved_on', 1) }} as timestamp)
            else cast(
                cast(moved_on as varchar) || ' '
                || case when strpos(clock_text, ':') = 2 then '0' || clock_text else clock_text end as timestamp
            )
        end as moved_at_erp
    from dated
),

movements as (
    select
        store_id,
        sku,
        {{ utc_timestamp('timezone(time_zone, moved_at_erp)') }} as moved_at
    from timed
),

waiting as (
    select
        movements.store_id,
        movements.sku,
        max(movements.moved_at) as last_moved_at,
        min(case when movements.moved_at > confirmations.confirmed_at then movements.moved_at end) as first_unseen_at,
        min(confirmations.confirmed_at) as confirmed_at
    from movements
    left join {{ ref('stg_ops__stock_confirmations') }} as confirmations
        on movements.store_id = confirmations.store_id and movements.sku = confirmations.sku
    group by movements.store_id, movements.sku
),

-- The last write that was read back, and the last movement that it brought to the store.
last_writes as (
    select
        store_id,
        sku,
        max(settled_at) as written_at
    from {{ ref('stg_ops__stock_writes') }}
    where write_state = 'confirmed'
    group by store_id, sku
),

brought as (
    select
        last_writes.store_id,
        last_writes.sku,
        last_writes.written_at,
        max(movements.moved_at) as moved_at
    from last_writes
    left join {{ ref('stg_ops__stock_confirmations') }} as confirmations
        on last_writes.store_id = confirmations.store_id and last_writes.sku = confirmations.sku
    left join movements
        on
            last_writes.store_id = movements.store_id
            and last_writes.sku = movements.sku
            and coalesce(least(last_writes.written_at, confirmations.confirmed_at), last_writes.written_at)
            >= movements.moved_at
    group by last_writes.store_id, last_writes.sku, last_writes.written_at
)

select
    stock.inventory_key,
    stock.product_key,
    stock.store_id,
    stock.entity_code,
    stock.sku,
    stock.inventory_status,
    stock.difference_quantity,
    stock.to_promise_quantity,
    stock.store_quantity,
    waiting.last_moved_at,
    waiting.confirmed_at,
    brought.written_at,
    {{ seconds_between('brought.moved_at', 'brought.written_at') }} as last_delay_seconds,
    case
        when stock.difference_quantity <> 0
            then coalesce(waiting.first_unseen_at, waiting.confirmed_at, waiting.last_moved_at)
    end as waiting_since,
    case
        when stock.difference_quantity <> 0
            then greatest(
                {{ seconds_between(
                    'coalesce(waiting.first_unseen_at, waiting.confirmed_at, waiting.last_moved_at)', 'clock.as_of'
                ) }}, 0
            )
    end as waiting_seconds,
    offers.max_delay_minutes,
    clock.as_of as measured_at
from {{ ref('int_inventory_compared') }} as stock
inner join {{ ref('stg_ops__store_stock') }} as offers on stock.store_id = offers.store_id
cross join {{ ref('stg_ops__clock') }} as clock
left join waiting on stock.store_id = waiting.store_id and stock.sku = waiting.sku
left join brought on stock.store_id = brought.store_id and stock.sku = brought.sku
where stock.is_comparable
