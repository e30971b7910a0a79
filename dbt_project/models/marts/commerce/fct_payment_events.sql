with attempts as (
    -- What was never captured is tied to its order by the order's random key alone: it moves no money.
    select
        prepared.payment_key,
        orders.order_key,
        count(*) over (partition by prepared.payment_key) as order_count
    from {{ ref('int_payments_prepared') }} as prepared
    inner join {{ ref('int_orders_matchable') }} as orders
        on prepared.gateway_id = orders.gateway_id and prepared.store_order_key = orders.store_order_key
    where not prepared.is_payment
),

payments as (
    select
        correlated.*,
        coalesce(correlated.order_key, attempts.order_key) as any_order_key
    from {{ ref('int_payments_correlated') }} as correlated
    left join attempts on correlated.payment_key = attempts.payment_key and attempts.order_count = 1
),

events as (
    select
        payment_key,
        'failure' as event_type,
        authorised_amount as event_amount,
        created_at as occurred_at
    from payments
    where payment_status = 'failed'
    union all
    select
        payment_key,
        'authorisation' as event_type,
        authorised_amount as event_amount,
        created_at as occurred_at
    from payments
    where payment_status <> 'failed' and (not is_captured or captured_at > created_at)
    union all
    select
        payment_key,
        'capture' as event_type,
        captured_amount as event_amount,
        captured_at as occurred_at
    from payments
    where payment_status = 'succeeded' and is_captured
    union all
    -- The gateway does not say when it released the authorisation; the event stands at the time it was given.
    select
        payment_key,
        'void' as event_type,
        authorised_amount as event_amount,
        created_at as occurred_at
    from payments
    where
        (payment_status = 'succeeded' and not is_captured and refunded_amount = authorised_amount)
        or payment_status in ('canceled', 'expired')
)

select
    events.payment_key || ':' || events.event_type as payment_event_key,
    events.payment_key,
    events.event_type,
    payments.gateway_id,
    payments.entity_code,
    payments.any_order_key as order_key,
    payments.match_status,
    payments.match_rule,
    payments.intent_id,
    payments.payment_method_type,
    payments.card_brand,
    payments.card_country as card_country_code,
    payments.failure_code,
    payments.is_live,
    payments.currency_code,
    events.event_amount,
    events.occurred_at,
    payments.payload_sha256
from events
inner join payments on events.payment_key = payments.payment_key
