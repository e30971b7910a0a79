{{ config(materialized='view') }}

-- Orders that were captured in several parts, each with an id of its own (split shipments): charges that claim this
-- order and no other, and together are its total exactly. Two full payments of one order never are.
with shared_orders as (
    select order_key
    from {{ ref('int_payment_pairs') }}
    group by order_key
    having count(*) > 1
),

claims as (
    select
        pairs.payment_key,
        pairs.order_key
    from {{ ref('int_payment_pairs') }} as pairs
    inner join shared_orders on pairs.order_key = shared_orders.order_key
),

-- A charge that another order claims as well keeps all of its orders out.
torn_payments as (
    select payment_key
    from {{ ref('int_payment_pairs') }}
    where verdict = 'ambiguous'
    group by payment_key
    having count(*) > 1
),

parts as (
    select
        claims.payment_key,
        claims.order_key,
        payments.captured_amount,
        payments.currency_code = orders.currency_code as is_same_currency,
        torn_payments.payment_key is null as is_of_one_order,
        {{ round_money('orders.total_amount', 'payments.currency_digits') }} as total_amount,
        row_number() over (
            partition by claims.order_key order by payments.captured_at desc, claims.payment_key desc
        ) as parts_from_last
    from claims
    inner join {{ ref('int_payments_prepared') }} as payments on claims.payment_key = payments.payment_key
    inner join {{ ref('int_orders_enriched') }} as orders on claims.order_key = orders.order_key
    left join torn_payments on claims.payment_key = torn_payments.payment_key
),

complete as (
    select
        order_key,
        sum(captured_amount) as captured_amount
    from parts
    group by order_key
    having
        count(*) = count(case when is_same_currency and is_of_one_order then 1 end)
        and sum(captured_amount) = min(total_amount)
)

select
    parts.payment_key,
    parts.order_key,
    cast(complete.captured_amount as decimal(18, 4)) as order_captured_amount,
    parts.parts_from_last > 1 as is_earlier_part
from parts
inner join complete on parts.order_key = complete.order_key
