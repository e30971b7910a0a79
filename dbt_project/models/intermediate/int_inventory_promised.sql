-- What open orders of a store still take from the shelf: ordered, less what was refunded and what the ERP has shipped.
-- An order that the store holds for a transfer counts too: the store has taken its pieces off what it shows.
with open_orders as (
    select
        orders.order_key,
        orders.store_id
    from {{ ref('stg_woocommerce__orders') }} as orders
    inner join {{ ref('stg_ops__store_stock') }} as offers on orders.store_id = offers.store_id
    where orders.store_status in ('processing', 'on-hold')
),

ordered as (
    select
        open_orders.store_id,
        open_orders.order_key,
        lines.sku,
        sum(lines.quantity) as quantity
    from open_orders
    inner join {{ ref('stg_woocommerce__order_lines') }} as lines on open_orders.order_key = lines.order_key
    where lines.sku is not null
    group by open_orders.store_id, open_orders.order_key, lines.sku
),

refunded as (
    select
        refunds.order_key,
        lines.sku,
        sum(-lines.quantity) as quantity
    from {{ ref('stg_woocommerce__refund_lines') }} as lines
    inner join {{ ref('stg_woocommerce__refunds') }} as refunds on lines.refund_key = refunds.refund_key
    inner join open_orders on refunds.order_key = open_orders.order_key
    where lines.sku is not null
    group by refunds.order_key, lines.sku
),

shipped as (
    select
        shipments.order_key,
        shipments.sku,
        sum(shipments.quantity) as quantity
    from {{ ref('int_fulfilments_correlated') }} as shipments
    inner join open_orders on shipments.order_key = open_orders.order_key
    where shipments.reported_by = 'erp' and shipments.is_shipped and shipments.sku is not null
    group by shipments.order_key, shipments.sku
),

owed as (
    select
        ordered.store_id,
        ordered.order_key,
        ordered.sku,
        ordered.quantity - coalesce(refunded.quantity, 0) - coalesce(shipped.quantity, 0) as quantity
    from ordered
    left join refunded on ordered.order_key = refunded.order_key and ordered.sku = refunded.sku
    left join shipped on ordered.order_key = shipped.order_key and ordered.sku = shipped.sku
)

select
    store_id,
    sku,
    cast(sum(quantity) as decimal(18, 4)) as promised_quantity,
    count(*) as order_count,
    min(order_key) as example_order_key
from owed
where quantity > 0
group by store_id, sku
