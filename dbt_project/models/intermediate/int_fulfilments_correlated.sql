-- Shipments with their order and order line. A reference that fits several orders names none, and so does an article
-- that stands in several lines of an order.
with shipments as (
    select * from {{ ref('int_fulfilments_unioned') }}
),

provider_references as (
    select distinct
        source_id as provider_id,
        order_reference,
        ltrim(order_reference, '#') as bare_reference
    from shipments
    where reported_by = 'provider' and order_reference is not null
),

erp_references as (
    select distinct
        source_id as entity_code,
        order_reference
    from shipments
    where reported_by = 'erp' and order_reference is not null
),

-- What a provider was told: the order's number, or else its id.
numbers_at_providers as (
    select
        told.provider_id,
        told.order_reference,
        min(orders.order_key) as order_key,
        count(*) as order_count
    from provider_references as told
    inner join {{ ref('stg_ops__fulfilment_stores') }} as served on told.provider_id = served.provider_id
    inner join {{ ref('int_orders_enriched') }} as orders
        on served.store_id = orders.store_id and told.bare_reference = orders.order_number
    group by told.provider_id, told.order_reference
),

ids_at_providers as (
    select
        told.provider_id,
        told.order_reference,
        min(orders.order_key) as order_key,
        count(*) as order_count
    from provider_references as told
    inner join {{ ref('stg_ops__fulfilment_stores') }} as served on told.provider_id = served.provider_id
    inner join {{ ref('int_orders_enriched') }} as orders
        on served.store_id = orders.store_id and told.bare_reference = cast(orders.order_id as varchar)
    group by told.provider_id, told.order_reference
),

numbers_at_erps as (
    select
        told.entity_code,
        told.order_reference,
        min(orders.order_key) as order_key,
        count(*) as order_count
    from erp_references as told
    inner join {{ ref('int_orders_enriched') }} as orders
        on told.entity_code = orders.entity_code and told.order_reference = orders.order_number
    group by told.entity_code, told.order_reference
),

found_orders as (
    select
        'provider' as reported_by,
        told.provider_id as source_id,
        told.order_reference,
        coalesce(numbers.order_key, ids.order_key) as order_key,
        coalesce(numbers.order_count, ids.order_count) as order_count
    from provider_references as told
    left join numbers_at_providers as numbers
        on told.provider_id = numbers.provider_id and told.order_reference = numbers.order_reference
    left join ids_at_providers as ids
        on told.provider_id = ids.provider_id and told.order_reference = ids.order_reference
    union all
    select
        'erp' as reported_by,
        entity_code as source_id,
        order_reference,
        order_key,
        order_count
    from numbers_at_erps
),

with_order as (
    select
        shipments.*,
        coalesce(shipments.order_key, case when found_orders.order_count = 1 then found_orders.order_key end)
            as found_order_key,
        coalesce(found_orders.order_count, 0) > 1 as is_ambiguous
    from shipments
    left join found_orders
        on
            shipments.reported_by = found_orders.reported_by
            and shipments.source_id = found_orders.source_id
            and shipments.order_reference = found_orders.order_reference
),

shipped_orders as (
    select distinct found_order_key as order_key
    from with_order
    where found_order_key is not null
),

order_lines as (
    select
        lines.order_line_key,
        lines.order_key,
        lines.sku
    from {{ ref('stg_woocommerce__order_lines') }} as lines
    inner join shipped_orders on lines.order_key = shipped_orders.order_key
),

lines_by_sku as (
    select
        order_key,
        sku,
        min(order_line_key) as order_line_key
    from order_lines
    where sku is not null
    group by order_key, sku
    having count(*) = 1
)

select
    with_order.fulfilment_line_key,
    with_order.shipment_key,
    with_order.reported_by,
    with_order.source_id,
    orders.order_key,
    coalesce(lines_by_id.order_line_key, lines_by_sku.order_line_key) as order_line_key,
    case
        when orders.order_key is not null then 'matched'
        when with_order.is_ambiguous then 'ambiguous'
        else 'missing_in_store'
    end as match_status,
    orders.store_id,
    coalesce(orders.entity_code, case when with_order.reported_by = 'erp' then with_order.source_id end) as entity_code,
    with_order.order_reference,
    coalesce(with_order.sku, lines_by_id.sku) as sku,
    cast(with_order.quantity as decimal(18, 4)) as quantity,
    with_order.location_code,
    with_order.carrier,
    with_order.tracking_number,
    with_order.source_status,
    with_order.is_shipped,
    with_order.shipped_at,
    coalesce(
        with_order.shipped_on, {{ local_date('with_order.shipped_at', "coalesce(orders.time_zone, 'UTC')") }}
    ) as shipped_on,
    with_order.delivered_at
from with_order
left join {{ ref('int_orders_enriched') }} as orders on with_order.found_order_key = orders.order_key
left join order_lines as lines_by_id
    on lines_by_id.order_line_key = with_order.found_order_key || ':' || with_order.line_id
left join lines_by_sku
    on
        with_order.line_id is null
        and with_order.found_order_key = lines_by_sku.order_key
        and with_order.sku = lines_by_sku.sku
