{#- Who knows best when two systems tell of equally much: whoever handed the goods over. -#}
{%- set precedence = ["provider", "erp", "store_plugin", "store"] %}
-- Of orders whose revenue waits for more than the capture: which part of the goods was delivered on which day, as the
-- entity's policy understands it. Systems repeat each other's shipments, so of each article counts one of them, the one
-- that knows of most. What nobody paid for yet is not delivered before it is paid.
with deferred as (
    select
        order_key,
        revenue_recognition,
        posting_date as captured_on
    from {{ ref('int_sales_recognised') }}
    where revenue_recognition <> 'capture' and exchange_rate is not null
),

completed as (
    select
        deferred.order_key,
        deferred.revenue_recognition,
        deferred.captured_on,
        {{ local_date('orders.completed_at', 'orders.time_zone') }} as completed_on
    from deferred
    inner join {{ ref('int_orders_enriched') }} as orders on deferred.order_key = orders.order_key
),

order_lines as (
    select
        lines.order_line_key,
        lines.order_key,
        lines.store_id,
        lines.sku,
        lines.product_id,
        lines.variation_id,
        coalesce({{ article_of('lines') }}, lines.order_line_key) as article,
        lines.quantity,
        lines.net_amount
    from deferred
    inner join {{ ref('stg_woocommerce__order_lines') }} as lines on deferred.order_key = lines.order_key
    where deferred.revenue_recognition = 'shipment'
),

-- Nobody ships a gift card.
gift_card_lines as (
    select distinct lines.order_line_key
    from order_lines as lines
    inner join {{ ref('stg_ops__gift_card_products') }} as products on {{ is_gift_card('lines', 'products') }}
),

articles as (
    select
        lines.order_key,
        lines.article,
        sum(lines.quantity) as ordered_quantity,
        sum(lines.net_amount) as net_amount
    from order_lines as lines
    left join gift_card_lines on lines.order_line_key = gift_card_lines.order_line_key
    where gift_card_lines.order_line_key is null
    group by lines.order_key, lines.article
    having sum(lines.quantity) > 0
),

order_values as (
    select
        order_key,
        sum(case when net_amount > 0 then net_amount else 0 end) as net_amount,
        sum(ordered_quantity) as ordered_quantity
    from articles
    group by order_key
),

-- A part of an order is what it costs; where all of it is free, how many pieces it has.
weighted as (
    select
        articles.order_key,
        articles.article,
        articles.ordered_quantity,
        cast(
            case
                when order_values.net_amount = 0 then articles.ordered_quantity
                when articles.net_amount > 0 then articles.net_amount
                else 0
            end as decimal(18, 4)
        ) as article_weight,
        cast(
            case when order_values.net_amount = 0 then order_values.ordered_quantity else order_values.net_amount end
            as decimal(18, 4)
        ) as order_weight
    from articles
    inner join order_values on articles.order_key = order_values.order_key
),

-- What left the house, and what was in it as far as its sender says so.
reported as (
    select
        shipments.order_key,
        coalesce(shipments.sku, lines.article) as article,
        shipments.reported_by,
        shipments.fulfilment_line_key,
        shipments.shipment_key,
        shipments.shipped_on,
        shipments.quantity
    from deferred
    inner join {{ ref('int_fulfilments_correlated') }} as shipments on deferred.order_key = shipments.order_key
    left join order_lines as lines on shipments.order_line_key = lines.order_line_key
    where deferred.revenue_recognition = 'shipment' and shipments.is_shipped and shipments.shipped_on is not null
),

told as (
    select
        reported.order_key,
        reported.article,
        reported.reported_by,
        least(sum(reported.quantity), min(weighted.ordered_quantity)) as quantity
    from reported
    inner join weighted on reported.order_key = weighted.order_key and reported.article = weighted.article
    where reported.quantity > 0
    group by reported.order_key, reported.article, reported.reported_by
),

ranked as (
    select
        *,
        row_number() over (
            partition by order_key, article
            order by
                quantity desc,
                case reported_by
                    {% for name in precedence -%}
                    when '{{ name }}' then {{ loop.index }}
                    {% endfor -%}
                end
        ) as preference
    from told
),

counted as (
    select
        reported.order_key,
        reported.article,
        reported.fulfilment_line_key,
        reported.shipment_key,
        reported.shipped_on,
        weighted.ordered_quantity,
        weighted.article_weight,
        reported.quantity,
        sum(reported.quantity) over (
            partition by reported.order_key, reported.article
            order by reported.shipped_on, reported.fulfilment_line_key
        ) as quantity_so_far
    from reported
    inner join ranked
        on
            reported.order_key = ranked.order_key
            and reported.article = ranked.article
            and reported.reported_by = ranked.reported_by
            and ranked.preference = 1
    inner join weighted on reported.order_key = weighted.order_key and reported.article = weighted.article
    where reported.quantity > 0
),

shipped as (
    select
        order_key,
        article,
        fulfilment_line_key,
        shipment_key,
        shipped_on,
        {{ proportion('article_weight', 'least(quantity_so_far, ordered_quantity)', 'ordered_quantity') }}
        - {{ proportion(
            'article_weight', 'least(quantity_so_far - quantity, ordered_quantity)', 'ordered_quantity'
        ) }} as delivered_weight
    from counted
),

-- Of a parcel nobody may say what was in it. Once the store calls such an order completed, the rest of it has left.
parcels as (
    select
        order_key,
        min(fulfilment_line_key) as fulfilment_line_key,
        min(shipment_key) as shipment_key,
        max(shipped_on) as shipped_on
    from reported
    where article is null or quantity is null
    group by order_key
),

shipped_articles as (
    select
        order_key,
        article,
        max(shipped_on) as shipped_on,
        sum(delivered_weight) as delivered_weight
    from shipped
    group by order_key, article
),

rests as (
    select
        weighted.order_key,
        weighted.article,
        parcels.fulfilment_line_key,
        parcels.shipment_key,
        greatest(parcels.shipped_on, completed.completed_on, shipped_articles.shipped_on) as shipped_on,
        weighted.article_weight - coalesce(shipped_articles.delivered_weight, 0) as delivered_weight
    from weighted
    inner join parcels on weighted.order_key = parcels.order_key
    inner join completed on weighted.order_key = completed.order_key and completed.completed_on is not null
    left join shipped_articles
        on weighted.order_key = shipped_articles.order_key and weighted.article = shipped_articles.article
    where weighted.article_weight > coalesce(shipped_articles.delivered_weight, 0)
),

left_the_house as (
    select
        order_key,
        article,
        fulfilment_line_key,
        shipment_key,
        shipped_on,
        delivered_weight
    from shipped
    union all
    select
        order_key,
        article,
        fulfilment_line_key,
        shipment_key,
        shipped_on,
        delivered_weight
    from rests
),

placed as (
    select
        weighted.order_key,
        weighted.article,
        left_the_house.fulfilment_line_key,
        left_the_house.shipment_key,
        greatest(left_the_house.shipped_on, deferred.captured_on) as delivered_on,
        weighted.article_weight,
        weighted.order_weight,
        coalesce(left_the_house.delivered_weight, 0) as delivered_weight
    from weighted
    inner join deferred on weighted.order_key = deferred.order_key
    left join left_the_house
        on weighted.order_key = left_the_house.order_key and weighted.article = left_the_house.article
)

select
    order_key,
    article,
    fulfilment_line_key,
    shipment_key,
    case when fulfilment_line_key is not null then delivered_on end as delivered_on,
    article_weight,
    order_weight,
    cast(delivered_weight as decimal(18, 4)) as delivered_weight
from placed
union all
-- Where completion is what counts, the order is delivered as one.
select
    order_key,
    cast(null as varchar) as article,
    cast(null as varchar) as fulfilment_line_key,
    cast(null as varchar) as shipment_key,
    greatest(completed_on, captured_on) as delivered_on,
    cast(1 as decimal(18, 4)) as article_weight,
    cast(1 as decimal(18, 4)) as order_weight,
    cast(1 as decimal(18, 4)) as delivered_weight
from completed
where revenue_recognition = 'completion' and completed_on is not null
