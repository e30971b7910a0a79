{{ config(materialized='view') }}

-- How far each synthetic order came, and how long each part of the way took.
with travelled as (
    select
        canaries.canary_id,
        canaries.store_id,
        stores.entity_code,
        canaries.canary_state,
        orders.canary_order_key,
        canaries.placed_at,
        canaries.answered_at,
        coalesce(canaries.loaded_at, orders.loaded_at) as loaded_at,
        canaries.seen_at,
        canaries.late_after_minutes,
        clock.as_of as measured_at
    from {{ ref('stg_ops__canaries') }} as canaries
    inner join {{ ref('stg_ops__stores') }} as stores on canaries.store_id = stores.store_id
    cross join {{ ref('stg_ops__clock') }} as clock
    left join {{ ref('stg_woocommerce__canary_orders') }} as orders on canaries.canary_id = orders.canary_id
),

timed as (
    select
        *,
        {{ seconds_between('placed_at', 'answered_at') }} as store_seconds,
        {{ seconds_between('answered_at', 'loaded_at') }} as load_seconds,
        {{ seconds_between('loaded_at', 'seen_at') }} as mart_seconds,
        {{ seconds_between('placed_at', 'coalesce(seen_at, measured_at)') }} as total_seconds
    from travelled
)

select
    canary_id,
    store_id,
    entity_code,
    canary_order_key,
    case
        when loaded_at is not null then 'arrived'
        when canary_state = 'refused' then 'refused'
        when total_seconds > 86400 then 'lost'
        when total_seconds > 60 * late_after_minutes then 'late'
        else 'under_way'
    end as canary_status,
    placed_at,
    answered_at,
    loaded_at,
    seen_at,
    store_seconds,
    load_seconds,
    mart_seconds,
    total_seconds,
    total_seconds > 60 * late_after_minutes as is_late,
    cast(late_after_minutes as bigint) as late_after_minutes,
    measured_at
from timed
