{%- set days_to_wait = 'entities.settlement_grace_days + coalesce(orders.reports_after_days, 0)' %}
-- How much of a store's refund is goods and how much is tax. Only tax that the store itself named comes off the tax
-- payable; a bare amount names none, unless it gives the whole order back and so all of its tax.
with net_lines as (
    select
        refund_key,
        sum(net_amount) as net_amount
    from (
        select
            refund_key,
            net_amount
        from {{ ref('stg_woocommerce__refund_lines') }}
        union all
        select
            refund_key,
            net_amount
        from {{ ref('stg_woocommerce__refund_shipping_lines') }}
        union all
        select
            refund_key,
            net_amount
        from {{ ref('stg_woocommerce__refund_fee_lines') }}
    ) as all_lines
    group by refund_key
),

tax_lines as (
    select
        refund_key,
        sum(line_tax_amount + shipping_tax_amount) as tax_amount
    from {{ ref('stg_woocommerce__refund_tax_lines') }}
    group by refund_key
),

-- Tips given back are no longer owed to staff.
tips as (
    select
        fees.refund_key,
        sum({{ owed_tip('fees', 'entities') }}) as tips_amount
    from {{ ref('stg_woocommerce__refund_fee_lines') }} as fees
    inner join {{ ref('stg_ops__stores') }} as stores on fees.store_id = stores.store_id
    inner join {{ ref('stg_ops__entities') }} as entities on stores.entity_code = entities.entity_code
    group by fees.refund_key
),

-- A card whose price is given back can no longer be spent.
gift_cards_sold as (
    select
        subject_key as refund_key,
        gift_cards_sold_amount
    from {{ ref('int_gift_cards_sold') }}
    where subject = 'refund'
),

split as (
    select
        refunds.refund_key,
        refunds.order_key,
        refunds.store_id,
        orders.entity_code,
        orders.currency_code,
        orders.currency_digits,
        orders.time_zone,
        orders.last_gateway_refund_id,
        refunds.refund_id,
        refunds.reason,
        refunds.is_paid_by_gateway,
        refunds.gateway_refund_id,
        refunds.refund_amount,
        case
            when -(coalesce(net_lines.net_amount, 0) + coalesce(tax_lines.tax_amount, 0)) = refunds.refund_amount
                then 'named'
            when net_lines.refund_key is null and refunds.refund_amount = orders.total_amount then 'whole_order'
            else 'none'
        end as tax_split,
        cast(-coalesce(tax_lines.tax_amount, 0) as decimal(18, 4)) as named_tax_amount,
        cast(-coalesce(tips.tips_amount, 0) as decimal(18, 4)) as named_tips_amount,
        coalesce(gift_cards_sold.gift_cards_sold_amount, 0) as named_gift_cards_amount,
        orders.tax_amount as order_tax_amount,
        orders.tips_amount as order_tips_amount,
        orders.gift_cards_sold_amount as order_gift_cards_amount,
        refunds.created_at,
        refunds.created_at > {{ add_days('clock.as_of', '-(' ~ days_to_wait ~ ')') }} as is_recent,
        refunds.payload_sha256
    from {{ ref('stg_woocommerce__refunds') }} as refunds
    inner join {{ ref('int_orders_enriched') }} as orders on refunds.order_key = orders.order_key
    inner join {{ ref('stg_ops__entities') }} as entities on orders.entity_code = entities.entity_code
    cross join {{ ref('stg_ops__clock') }} as clock
    left join net_lines on refunds.refund_key = net_lines.refund_key
    left join tax_lines on refunds.refund_key = tax_lines.refund_key
    left join tips on refunds.refund_key = tips.refund_key
    left join gift_cards_sold on refunds.refund_key = gift_cards_sold.refund_key
)

select
    refund_key,
    order_key,
    store_id,
    entity_code,
    refund_id,
    reason,
    is_paid_by_gateway,
    gateway_refund_id,
    last_gateway_refund_id,
    currency_code,
    currency_digits,
    refund_amount,
    tax_split,
    case tax_split
        when 'named' then named_tax_amount
        when 'whole_order' then order_tax_amount
        else cast(0 as decimal(18, 4))
    end as tax_amount,
    case tax_split
        when 'named' then named_tips_amount
        when 'whole_order' then order_tips_amount
        else cast(0 as decimal(18, 4))
    end as tips_amount,
    case tax_split
        when 'named' then named_gift_cards_amount
        when 'whole_order' then order_gift_cards_amount
        else cast(0 as decimal(18, 4))
    end as gift_cards_sold_amount,
    is_recent,
    created_at,
    {{ local_date('created_at', 'time_zone') }} as accounting_date,
    payload_sha256
from split
