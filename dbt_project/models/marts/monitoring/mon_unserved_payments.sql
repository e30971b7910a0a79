-- What the store says is paid, by a method that no gateway account serves and without a charge that names the order:
-- nobody reconciles it, and nothing of it is posted.
with unserved as (
    select
        orders.store_id,
        orders.entity_code,
        coalesce(nullif(orders.payment_method, ''), 'none') as payment_method,
        orders.currency_code,
        orders.time_zone,
        orders.total_amount,
        coalesce(orders.paid_at, orders.created_at) as paid_at
    from {{ ref('int_orders_enriched') }} as orders
    inner join {{ ref('int_orders_judged') }} as judged on orders.order_key = judged.order_key
    where
        orders.gateway_id is null
        and judged.payment_key is null
        and orders.total_amount > 0
        and orders.is_paid_in_store
        and orders.store_status not in ('trash', 'deleted', 'checkout-draft', 'auto-draft')
),

dated as (
    select
        store_id,
        entity_code,
        payment_method,
        currency_code,
        cast(date_trunc('month', {{ local_date('paid_at', 'time_zone') }}) as date) as period_month,
        total_amount,
        paid_at
    from unserved
)

select
    store_id,
    entity_code,
    payment_method,
    currency_code,
    period_month,
    count(*) as order_count,
    cast(sum(total_amount) as decimal(18, 4)) as order_amount,
    min(paid_at) as first_paid_at,
    max(paid_at) as last_paid_at
from dated
group by store_id, entity_code, payment_method, currency_code, period_month
