-- How much of an order left. Systems repeat each other's shipments: of an article counts what the system says that
-- knows of most.
with reported as (
    select
        order_key,
        reported_by,
        coalesce(sku, order_line_key) as item,
        sum(quantity) as quantity
    from {{ ref('int_fulfilments_correlated') }}
    where order_key is not null and is_shipped and coalesce(sku, order_line_key) is not null
    group by order_key, reported_by, coalesce(sku, order_line_key)
),

shipped_items as (
    select
        order_key,
        item,
        max(quantity) as shipped_quantity
    from reported
    group by order_key, item
),

milestones as (
    select
        order_key,
        min(shipment_key) as shipment_key,
        count(distinct shipment_key) as shipment_count,
        min(shipped_at) as first_shipped_at,
        max(shipped_at) as last_shipped_at,
        min(shipped_on) as first_shipped_on,
        max(shipped_on) as last_shipped_on,
        case when count(*) = count(delivered_at) then max(delivered_at) end as delivered_at,
        count(case when coalesce(sku, order_line_key) is null then 1 end) as unknown_count
    from {{ ref('int_fulfilments_correlated') }}
    where order_key is not null and is_shipped
    group by order_key
),

ordered_items as (
    select
        lines.order_key,
        coalesce(lines.sku, lines.order_line_key) as item,
        sum(lines.quantity) as ordered_quantity,
        sum(lines.net_amount + lines.tax_amount) as gross_amount
    from {{ ref('stg_woocommerce__order_lines') }} as lines
    inner join milestones on lines.order_key = milestones.order_key
    group by lines.order_key, coalesce(lines.sku, lines.order_line_key)
),

compared as (
    select
        coalesce(ordered_items.order_key, shipped_items.order_key) as order_key,
        coalesce(ordered_items.ordered_quantity, 0) as ordered_quantity,
        coalesce(shipped_items.shipped_quantity, 0) as shipped_quantity,
        coalesce(ordered_items.gross_amount, 0) as gross_amount
    from ordered_items
    full outer join shipped_items
        on ordered_items.order_key = shipped_items.order_key and ordered_items.item = shipped_items.item
),

summed as (
    select
        order_key,
        sum(ordered_quantity) as ordered_quantity,
        sum(shipped_quantity) as shipped_quantity,
        sum(case when shipped_quantity >= ordered_quantity then gross_amount else 0 end) as shipped_amount,
        count(case when shipped_quantity > ordered_quantity then 1 end) as excess_count,
        count(case when shipped_quantity < ordered_quantity then 1 end) as short_count
    from compared
    group by order_key
)

select
    milestones.order_key,
    case
        when summed.excess_count > 0 then 'over_shipped'
        when summed.short_count = 0 then 'shipped'
        when milestones.unknown_count > 0 then 'contents_unknown'
        else 'partly_shipped'
    end as fulfilment_status,
    cast(coalesce(summed.ordered_quantity, 0) as decimal(18, 4)) as ordered_quantity,
    cast(coalesce(summed.shipped_quantity, 0) as decimal(18, 4)) as shipped_quantity,
    cast(coalesce(summed.shipped_amount, 0) as decimal(18, 4)) as shipped_amount,
    milestones.shipment_key,
    milestones.shipment_count,
    milestones.first_shipped_at,
    milestones.last_shipped_at,
    milestones.first_shipped_on,
    milestones.last_shipped_on,
    milestones.delivered_at
from milestones
left join summed on milestones.order_key = summed.order_key
