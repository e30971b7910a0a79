{{ config(materialized='view') }}

{#- Customers who press the button twice do so within minutes. -#}
{%- set seconds_apart = 600 %}
-- Two paid orders of one customer with the same lines and the same total, made in the shop within minutes: the customer
-- may want one. A renewal, an import, or an order that somebody has taken back already is none; nor is one that is not
-- paid, which is but a second try.
with orders as (
    select
        orders.order_key,
        orders.store_id,
        orders.entity_code,
        orders.order_number,
        case
            when orders.customer_id > 0 then 'customer ' || cast(orders.customer_id as varchar)
            else lower(trim(orders.billing_email))
        end as customer,
        orders.currency_code,
        orders.total_amount,
        orders.created_at
    from {{ ref('int_orders_enriched') }} as orders
    where
        orders.is_paid_in_store
        and not orders.is_trashed
        and orders.store_status not in ('cancelled', 'failed', 'refunded')
        and orders.total_amount > 0
        and coalesce(orders.created_via, 'checkout') in ('checkout', 'store-api')
),

repeated as (
    select
        store_id,
        customer,
        currency_code,
        total_amount
    from orders
    where customer <> ''
    group by store_id, customer, currency_code, total_amount
    having count(*) > 1
),

candidates as (
    select orders.*
    from orders
    inner join repeated
        on
            orders.store_id = repeated.store_id
            and orders.customer = repeated.customer
            and orders.currency_code = repeated.currency_code
            and orders.total_amount = repeated.total_amount
),

contents as (
    select
        candidates.order_key,
        {{ sorted_list(
            "coalesce(cast(lines.product_id as varchar), lines.line_name, '') || '/'"
            ~ " || coalesce(cast(lines.variation_id as varchar), '') || '/' || cast(lines.quantity as varchar)"
            ~ " || '/' || cast(lines.net_amount as varchar)"
        ) }} as order_lines,
        count(*) as line_count
    from candidates
    inner join {{ ref('stg_woocommerce__order_lines') }} as lines on candidates.order_key = lines.order_key
    group by candidates.order_key
),

pairs as (
    select
        candidates.*,
        lag(candidates.order_key) over (
            partition by
                candidates.store_id, candidates.customer, candidates.currency_code, candidates.total_amount,
                contents.order_lines, contents.line_count
            order by candidates.created_at, candidates.order_key
        ) as first_order_key,
        lag(candidates.created_at) over (
            partition by
                candidates.store_id, candidates.customer, candidates.currency_code, candidates.total_amount,
                contents.order_lines, contents.line_count
            order by candidates.created_at, candidates.order_key
        ) as first_created_at
    from candidates
    inner join contents on candidates.order_key = contents.order_key
),

-- Money that went back on either of them says that somebody has seen it.
refunded as (
    select distinct order_key
    from {{ ref('int_refunds_joined') }}
    where coalesce(store_refund_amount, gateway_refund_amount) > 0 and not is_failed
)

select
    'duplicate_order' as exception_type,
    pairs.order_key as subject_key,
    pairs.entity_code,
    pairs.store_id,
    cast(null as varchar) as gateway_id,
    pairs.order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(pairs.total_amount as decimal(18, 4)) as amount_at_risk,
    pairs.currency_code,
    pairs.created_at as opened_at,
    {{ json_text([
        ("order_number", "pairs.order_number"),
        ("first_order", "pairs.first_order_key"),
        ("seconds_between", seconds_between("pairs.first_created_at", "pairs.created_at")),
        ("order_total", "cast(pairs.total_amount as varchar)"),
    ]) }} as evidence
from pairs
left join refunded on pairs.order_key = refunded.order_key
left join refunded as first_refunded on pairs.first_order_key = first_refunded.order_key
where
    {{ seconds_between('pairs.first_created_at', 'pairs.created_at') }} <= {{ seconds_apart }}
    and refunded.order_key is null
    and first_refunded.order_key is null
