{%- set so_far = "partition by entry_id order by product_class" %}
-- How much of an entry's revenue falls to which class of goods. Each class is what it and those before it come to, less
-- those before it, so that cents neither come nor go; what is of no class (fees, goods without one) is left over. Of a
-- sale the lines say it. Of revenue after a delivery it is the goods of that day; where nobody knows what they were
-- (the order was completed, or a refund closed it), the goods of the order.
with sold as (
    select
        order_key,
        product_class,
        sum(net_amount) as net_amount,
        sum(greatest(net_amount, 0)) as weight
    from {{ ref('int_order_lines_classed') }}
    group by order_key, product_class
),

captured as (
    select
        'sale/' || sales.order_key as entry_id,
        sold.product_class,
        sales.currency_digits,
        sales.base_digits,
        sales.exchange_rate,
        {{ round_money(
            'sum(sold.net_amount) over (partition by sold.order_key order by sold.product_class)', 'sales.currency_digits'
        ) }} as amount_so_far
    from sold
    inner join {{ ref('int_sales_recognised') }} as sales on sold.order_key = sales.order_key
    where sales.revenue_recognition = 'capture' and sales.exchange_rate is not null
),

captured_so_far as (
    select
        entry_id,
        product_class,
        amount_so_far,
        {{ convert_money('amount_so_far', 'exchange_rate', 'base_digits') }} as base_amount_so_far
    from captured
),

gift_cards as (
    select distinct lines.order_line_key
    from {{ ref('stg_woocommerce__order_lines') }} as lines
    inner join {{ ref('stg_ops__gift_card_products') }} as products on {{ is_gift_card('lines', 'products') }}
),

classed_orders as (
    select distinct order_key
    from sold
),

-- What the goods of an order cost, gift cards apart.
order_goods as (
    select
        lines.order_key,
        sum(lines.net_amount) as net_amount,
        sum(greatest(lines.net_amount, 0)) as weight
    from {{ ref('stg_woocommerce__order_lines') }} as lines
    inner join classed_orders on lines.order_key = classed_orders.order_key
    left join gift_cards on lines.order_line_key = gift_cards.order_line_key
    where gift_cards.order_line_key is null
    group by lines.order_key
),

classed_articles as (
    select distinct
        order_key,
        article,
        product_class
    from {{ ref('int_order_lines_classed') }}
),

delivered as (
    select
        goods.order_key,
        goods.delivered_on,
        articles.product_class,
        sum(goods.delivered_weight) as weight
    from {{ ref('int_goods_delivered') }} as goods
    left join classed_articles as articles
        on goods.order_key = articles.order_key and goods.article = articles.article
    where goods.delivered_on is not null and goods.article is not null
    group by goods.order_key, goods.delivered_on, articles.product_class
),

delivery_days as (
    select
        order_key,
        delivered_on,
        sum(weight) as weight
    from delivered
    group by order_key, delivered_on
),

weights as (
    select
        revenue.entry_id,
        revenue.order_key,
        coalesce(delivered.product_class, sold.product_class) as product_class,
        case when days.weight > 0 then delivered.weight else sold.weight end as weight,
        case when days.weight > 0 then days.weight else goods.weight end as whole_weight,
        revenue.revenue_amount,
        revenue.base_revenue_amount,
        sales.revenue_amount as order_revenue_amount,
        least(greatest({{ round_money('goods.net_amount', 'sales.currency_digits') }}, 0), sales.revenue_amount)
            as order_goods_amount,
        sales.currency_digits,
        sales.base_digits
    from {{ ref('int_revenue_recognised') }} as revenue
    inner join {{ ref('int_sales_recognised') }} as sales on revenue.order_key = sales.order_key
    inner join order_goods as goods on revenue.order_key = goods.order_key
    left join delivery_days as days on revenue.order_key = days.order_key and revenue.posting_date = days.delivered_on
    left join delivered
        on
            days.weight > 0
            and revenue.order_key = delivered.order_key
            and revenue.posting_date = delivered.delivered_on
            and delivered.product_class is not null
    left join sold on coalesce(days.weight, 0) <= 0 and revenue.order_key = sold.order_key
),

cumulated as (
    select
        *,
        sum(weight) over ({{ so_far }}) as weight_so_far
    from weights
    where product_class is not null and weight > 0 and order_revenue_amount > 0
),

of_goods as (
    select
        *,
        {{ proportion('revenue_amount', 'order_goods_amount', 'order_revenue_amount') }} as goods_amount,
        {{ proportion('base_revenue_amount', 'order_goods_amount', 'order_revenue_amount') }} as base_goods_amount
    from cumulated
),

amounts_so_far as (
    select
        entry_id,
        product_class,
        amount_so_far,
        base_amount_so_far
    from captured_so_far
    union all
    select
        entry_id,
        product_class,
        {{ round_money(
            proportion('goods_amount', 'least(weight_so_far, whole_weight)', 'whole_weight'), 'currency_digits'
        ) }} as amount_so_far,
        {{ round_money(
            proportion('base_goods_amount', 'least(weight_so_far, whole_weight)', 'whole_weight'), 'base_digits'
        ) }} as base_amount_so_far
    from of_goods
)

select
    entry_id,
    product_class,
    cast(amount_so_far - lag(amount_so_far, 1, 0) over ({{ so_far }}) as decimal(18, 4)) as amount,
    cast(base_amount_so_far - lag(base_amount_so_far, 1, 0) over ({{ so_far }}) as decimal(18, 4)) as base_amount
from amounts_so_far
