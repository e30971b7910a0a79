{%- set so_far = "partition by order_key order by happened_on, position, refund_key" %}
-- How each customer deposit is used up: what a delivery makes revenue, and what a refund takes out of it. A refund
-- comes out of the deposit as far as what it is for was not delivered; the rest of it is a return. Once everything is
-- delivered or given back, nothing stays. In base currency at the rate of the deposit, which it keeps.
with deferred as (
    select
        order_key,
        cast(revenue_amount + shipping_amount as decimal(18, 4)) as deposit_amount,
        shipping_amount,
        currency_digits,
        base_digits,
        exchange_rate
    from {{ ref('int_sales_recognised') }}
    where revenue_recognition <> 'capture' and exchange_rate is not null
),

order_weights as (
    select
        order_key,
        max(order_weight) as order_weight
    from {{ ref('int_goods_delivered') }}
    group by order_key
),

deliveries as (
    select
        order_key,
        delivered_on,
        sum(delivered_weight) as delivered_weight
    from {{ ref('int_goods_delivered') }}
    where delivered_on is not null
    group by order_key, delivered_on
),

refunds as (
    select
        refunds.refund_key,
        refunds.order_key,
        refunds.tax_split,
        refunds.posting_date,
        refunds.currency_digits,
        refunds.receivable_amount - refunds.tips_amount - refunds.gift_cards_sold_amount as before_tax_amount
    from deferred
    inner join {{ ref('int_refunds_recognised') }} as refunds on deferred.order_key = refunds.order_key
),

refunded_taxes as (
    select
        refunds.refund_key,
        sum({{ round_money('split.tax_amount', 'refunds.currency_digits') }}) as tax_amount
    from refunds
    inner join {{ ref('int_tax_split_by_jurisdiction') }} as split
        on
            split.subject = case refunds.tax_split when 'named' then 'refund' when 'whole_order' then 'order' end
            and split.subject_key
            = case refunds.tax_split when 'named' then refunds.refund_key when 'whole_order' then refunds.order_key end
    group by refunds.refund_key
),

refunded_articles as (
    select
        refunds.refund_key,
        refunds.order_key,
        refunds.posting_date,
        {{ article_of('lines') }} as article,
        -sum(lines.net_amount) as refunded_amount
    from refunds
    inner join {{ ref('stg_woocommerce__refund_lines') }} as lines on refunds.refund_key = lines.refund_key
    group by refunds.refund_key, refunds.order_key, refunds.posting_date, {{ article_of('lines') }}
),

-- What of a refunded article was still to be delivered that day.
undelivered as (
    select
        articles.refund_key,
        articles.article,
        min(articles.refunded_amount) as refunded_amount,
        max(goods.article_weight)
        - sum(case when goods.delivered_on <= articles.posting_date then goods.delivered_weight else 0 end)
            as undelivered_weight
    from refunded_articles as articles
    inner join {{ ref('int_goods_delivered') }} as goods
        on articles.order_key = goods.order_key and articles.article = goods.article
    group by articles.refund_key, articles.article
),

refunded_goods as (
    select
        refund_key,
        sum(least(refunded_amount, undelivered_weight)) as undelivered_amount,
        sum(greatest(refunded_amount - undelivered_weight, 0)) as delivered_amount
    from undelivered
    group by refund_key
),

events as (
    select
        order_key,
        delivered_on as happened_on,
        0 as position,
        cast(null as varchar) as refund_key,
        delivered_weight,
        cast(0 as decimal(18, 4)) as refunded_amount,
        cast(0 as decimal(18, 4)) as returned_weight
    from deliveries
    union all
    select
        refunds.order_key,
        refunds.posting_date as happened_on,
        1 as position,
        refunds.refund_key,
        cast(0 as decimal(18, 4)) as delivered_weight,
        cast(
            refunds.before_tax_amount - coalesce(refunded_taxes.tax_amount, 0)
            - coalesce(refunded_goods.delivered_amount, 0) as decimal(18, 4)
        ) as refunded_amount,
        cast(
            case refunds.tax_split
                when 'whole_order' then order_weights.order_weight
                else coalesce(refunded_goods.undelivered_amount, 0)
            end as decimal(18, 4)
        ) as returned_weight
    from refunds
    left join refunded_taxes on refunds.refund_key = refunded_taxes.refund_key
    left join refunded_goods on refunds.refund_key = refunded_goods.refund_key
    left join order_weights on refunds.order_key = order_weights.order_key
),

summed as (
    select
        *,
        sum(delivered_weight) over ({{ so_far }}) as weight_so_far,
        sum(returned_weight) over ({{ so_far }}) as returned_so_far,
        sum(refunded_amount) over ({{ so_far }}) as refunded_so_far
    from events
),

earned as (
    select
        summed.order_key,
        summed.happened_on,
        summed.position,
        summed.refund_key,
        summed.refunded_so_far,
        deferred.deposit_amount,
        deferred.shipping_amount,
        deferred.base_digits,
        deferred.exchange_rate,
        case
            when order_weights.order_weight > 0
                then {{ round_money(
                    proportion(
                        'deferred.deposit_amount', 'least(summed.weight_so_far, order_weights.order_weight)',
                        'order_weights.order_weight'
                    ),
                    'deferred.currency_digits'
                ) }}
            else 0
        end as earned_amount,
        case
            when order_weights.order_weight > 0
                then {{ round_money(
                    proportion(
                        'deferred.shipping_amount', 'least(summed.weight_so_far, order_weights.order_weight)',
                        'order_weights.order_weight'
                    ),
                    'deferred.currency_digits'
                ) }}
            else 0
        end as earned_shipping_amount,
        coalesce(summed.weight_so_far + summed.returned_so_far >= order_weights.order_weight, false) as is_finished
    from summed
    inner join deferred on summed.order_key = deferred.order_key
    left join order_weights on summed.order_key = order_weights.order_key
),

refunded as (
    select
        *,
        -- More than was left of the deposit that day no refund can take; later deliveries take nothing back.
        greatest(max(least(refunded_so_far, deposit_amount - earned_amount)) over ({{ so_far }}), 0)
            as returned_amount
    from earned
),

released as (
    select
        *,
        least(
            case when is_finished then deposit_amount else earned_amount end, deposit_amount - returned_amount
        ) as released_amount
    from refunded
),

split as (
    select
        *,
        least(
            released_amount,
            greatest(
                earned_shipping_amount,
                least(shipping_amount, released_amount - (earned_amount - earned_shipping_amount))
            )
        ) as released_shipping_amount
    from released
),

stepped as (
    select
        *,
        lag(returned_amount, 1, 0) over ({{ so_far }}) as earlier_returned_amount,
        lag(released_amount, 1, 0) over ({{ so_far }}) as earlier_released_amount,
        lag(released_shipping_amount, 1, 0) over ({{ so_far }}) as earlier_shipping_amount
    from split
),

-- Each use of the deposit in base currency is what all of them together come to, less the earlier ones: so in the end
-- nothing is left of it there either.
based as (
    select
        *,
        {{ convert_money(
            'earlier_returned_amount + earlier_released_amount', 'exchange_rate', 'base_digits'
        ) }} as base_before_amount,
        {{ convert_money('returned_amount + earlier_released_amount', 'exchange_rate', 'base_digits') }}
            as base_between_amount,
        {{ convert_money('returned_amount + released_amount', 'exchange_rate', 'base_digits') }} as base_after_amount,
        {{ convert_money('released_amount - released_shipping_amount', 'exchange_rate', 'base_digits') }}
        - {{ convert_money('earlier_released_amount - earlier_shipping_amount', 'exchange_rate', 'base_digits') }}
            as base_revenue_amount,
        {{ convert_money('released_shipping_amount', 'exchange_rate', 'base_digits') }}
        - {{ convert_money('earlier_shipping_amount', 'exchange_rate', 'base_digits') }} as base_shipping_amount
    from stepped
)

select
    order_key,
    happened_on,
    refund_key,
    cast(returned_amount - earlier_returned_amount as decimal(18, 4)) as returned_amount,
    cast(base_between_amount - base_before_amount as decimal(18, 4)) as base_returned_amount,
    cast(released_amount - earlier_released_amount as decimal(18, 4)) as released_amount,
    cast(base_after_amount - base_between_amount as decimal(18, 4)) as base_released_amount,
    cast(
        released_amount - released_shipping_amount - earlier_released_amount + earlier_shipping_amount
        as decimal(18, 4)
    ) as revenue_amount,
    cast(base_revenue_amount as decimal(18, 4)) as base_revenue_amount,
    cast(released_shipping_amount - earlier_shipping_amount as decimal(18, 4)) as shipping_amount,
    cast(base_shipping_amount as decimal(18, 4)) as base_shipping_amount
from based
