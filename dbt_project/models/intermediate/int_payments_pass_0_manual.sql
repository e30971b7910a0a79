-- Pass 0: a person said so. Where an id of the gateway names another order for the charge, or another charge for the
-- order, that is certain, and what was said is void: the two show as what they were without it.
with links as (
    select
        left_key as payment_key,
        right_key as order_key
    from {{ ref('stg_ops__manual_links') }}
    where kind = 'payment_order' and state = 'effective'
),

linked as (
    select
        links.payment_key,
        links.order_key,
        payments.gateway_id,
        payments.payment_id,
        payments.intent_id,
        orders.transaction_id,
        orders.intent_id as order_intent_id,
        payments.payment_id in (orders.transaction_id, orders.intent_id)
        or payments.intent_id in (orders.transaction_id, orders.intent_id) as is_named
    from links
    inner join {{ ref('int_payments_prepared') }} as payments on links.payment_key = payments.payment_key
    inner join {{ ref('int_orders_matchable') }} as orders
        on links.order_key = orders.order_key and payments.gateway_id = orders.gateway_id
    inner join {{ ref('int_orders_enriched') }} as owed on orders.order_key = owed.order_key
    where payments.is_payment and payments.is_live and payments.currency_code = owed.currency_code
),

names as (
    select
        payment_key,
        order_key,
        gateway_id,
        payment_id as name
    from linked
    union all
    select
        payment_key,
        order_key,
        gateway_id,
        intent_id as name
    from linked
),

wanted as (
    select
        payment_key,
        order_key,
        gateway_id,
        transaction_id as name
    from linked
    union all
    select
        payment_key,
        order_key,
        gateway_id,
        order_intent_id as name
    from linked
),

contradicted as (
    select
        names.payment_key,
        names.order_key
    from names
    inner join {{ ref('int_orders_matchable') }} as others
        on names.gateway_id = others.gateway_id and names.name = others.transaction_id
    where others.order_key <> names.order_key
    union all
    select
        names.payment_key,
        names.order_key
    from names
    inner join {{ ref('int_orders_matchable') }} as others
        on names.gateway_id = others.gateway_id and names.name = others.intent_id
    where others.order_key <> names.order_key
    union all
    select
        wanted.payment_key,
        wanted.order_key
    from wanted
    inner join {{ ref('int_payments_prepared') }} as others
        on wanted.gateway_id = others.gateway_id and wanted.name = others.payment_id
    where others.payment_key <> wanted.payment_key and others.is_payment and others.is_live
    union all
    select
        wanted.payment_key,
        wanted.order_key
    from wanted
    inner join {{ ref('int_payments_prepared') }} as others
        on wanted.gateway_id = others.gateway_id and wanted.name = others.intent_id
    where others.payment_key <> wanted.payment_key and others.is_payment and others.is_live
)

select
    payment_key,
    order_key,
    'manual' as match_rule,
    'matched' as verdict
from linked
where
    coalesce(is_named, false)
    or not exists (
        select 1
        from contradicted
        where linked.payment_key = contradicted.payment_key and linked.order_key = contradicted.order_key
    )
