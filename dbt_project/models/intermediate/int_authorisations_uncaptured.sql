-- Orders whose payment was authorised and never captured, by the gateway's id or the order's random key alone.
with authorisations as (
    select
        payment_key,
        gateway_id,
        payment_id,
        intent_id,
        store_order_key,
        authorised_amount,
        created_at,
        -- A released authorisation counts as given back (Stripe before 2025-03-31.basil) or as cancelled.
        payment_status in ('canceled', 'cancelled', 'expired') or refunded_amount >= authorised_amount as is_released
    from {{ ref('int_payments_prepared') }}
    where not is_payment and is_live and not is_captured and payment_status <> 'failed' and authorised_amount > 0
),

pairs as (
    select
        authorisations.payment_key,
        orders.order_key
    from authorisations
    inner join {{ ref('int_orders_matchable') }} as orders
        on authorisations.gateway_id = orders.gateway_id and authorisations.payment_id = orders.transaction_id
    union
    select
        authorisations.payment_key,
        orders.order_key
    from authorisations
    inner join {{ ref('int_orders_matchable') }} as orders
        on authorisations.gateway_id = orders.gateway_id and authorisations.intent_id = orders.intent_id
    union
    select
        authorisations.payment_key,
        orders.order_key
    from authorisations
    inner join {{ ref('int_orders_matchable') }} as orders
        on authorisations.gateway_id = orders.gateway_id and authorisations.store_order_key = orders.store_order_key
)

select
    pairs.order_key,
    min(authorisations.payment_key) as payment_key,
    max(authorisations.authorised_amount) as authorised_amount,
    min(authorisations.created_at) as authorised_at,
    count(case when not authorisations.is_released then 1 end) = 0 as is_released
from pairs
inner join authorisations on pairs.payment_key = authorisations.payment_key
group by pairs.order_key
