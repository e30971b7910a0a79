-- What becomes revenue after its capture, once per order and day, with what justifies it.
with shipments as (
    select
        order_key,
        delivered_on,
        {{ sorted_list("'\"shipment:' || shipment_key || '\"'", separator=",") }} as justified_by
    from {{ ref('int_goods_delivered') }}
    where shipment_key is not null
    group by order_key, delivered_on
),

days as (
    select
        order_key,
        happened_on,
        {{ sorted_list("'\"refund:' || refund_key || '\"'", separator=",") }} as refunds,
        sum(released_amount) as released_amount,
        sum(base_released_amount) as base_released_amount,
        sum(revenue_amount) as revenue_amount,
        sum(base_revenue_amount) as base_revenue_amount,
        sum(shipping_amount) as shipping_amount,
        sum(base_shipping_amount) as base_shipping_amount
    from {{ ref('int_deposits_moved') }}
    where released_amount <> 0 or shipping_amount <> 0
    group by order_key, happened_on
)

select
    'revenue/' || days.order_key || '/' || cast(days.happened_on as varchar) as entry_id,
    case sales.revenue_recognition when 'completion' then 'order_completed' else 'goods_shipped' end as event_type,
    sales.order_key,
    sales.store_id,
    sales.entity_code,
    sales.order_number,
    sales.payment_key,
    sales.gateway_id,
    sales.currency_code,
    sales.base_currency_code,
    sales.exchange_rate,
    cast(days.released_amount as decimal(18, 4)) as released_amount,
    cast(days.base_released_amount as decimal(18, 4)) as base_released_amount,
    cast(days.revenue_amount as decimal(18, 4)) as revenue_amount,
    cast(days.base_revenue_amount as decimal(18, 4)) as base_revenue_amount,
    cast(days.shipping_amount as decimal(18, 4)) as shipping_amount,
    cast(days.base_shipping_amount as decimal(18, 4)) as base_shipping_amount,
    days.happened_on as posting_date,
    '["order:' || sales.order_key || '"'
    || coalesce(',"capture:' || sales.payment_key || '"', '')
    || case when sales.revenue_recognition = 'completion' then ',"completion:' || sales.order_key || '"' else '' end
    || coalesce(',' || shipments.justified_by, '')
    || coalesce(',' || days.refunds, '') || ']' as justified_by,
    sales.order_payload_sha256
from days
inner join {{ ref('int_sales_recognised') }} as sales on days.order_key = sales.order_key
left join shipments on days.order_key = shipments.order_key and days.happened_on = shipments.delivered_on
