-- Pairs of a store's and a gateway's refund, from certain to suggestive; each step sees what the earlier ones left.
with store_refunds as (
    select
        refund_key,
        order_key,
        gateway_refund_id,
        last_gateway_refund_id,
        {{ round_money('refund_amount', 'currency_digits') }} as refund_amount,
        currency_code,
        created_at
    from {{ ref('int_store_refunds_prepared') }}
    where refund_amount > 0
),

gateway_refunds as (
    select
        gateway_refund_key,
        gateway_refund_id,
        order_key,
        refund_amount,
        currency_code,
        is_failed,
        created_at
    from {{ ref('int_gateway_refunds_prepared') }}
    where is_payment_matched
),

-- 1: the store's refund names the gateway's. An id that two refunds name is left to the later steps.
named as (
    select
        store_refunds.refund_key,
        gateway_refunds.gateway_refund_key,
        count(*) over (partition by gateway_refunds.gateway_refund_key) as rivals
    from store_refunds
    inner join gateway_refunds
        on
            store_refunds.order_key = gateway_refunds.order_key
            and store_refunds.gateway_refund_id = gateway_refunds.gateway_refund_id
),

pairs_1 as (
    select
        refund_key,
        gateway_refund_key
    from named
    where rivals = 1
),

-- 2: the order names the gateway's latest refund; older plugins note it nowhere else. It is the order's latest refund
-- of that amount.
noted as (
    select
        store_refunds.refund_key,
        gateway_refunds.gateway_refund_key,
        row_number() over (
            partition by gateway_refunds.gateway_refund_key
            order by store_refunds.created_at desc, store_refunds.refund_key
        ) as preference
    from store_refunds
    inner join gateway_refunds
        on
            store_refunds.order_key = gateway_refunds.order_key
            and store_refunds.last_gateway_refund_id = gateway_refunds.gateway_refund_id
            and store_refunds.refund_amount = gateway_refunds.refund_amount
            and store_refunds.currency_code = gateway_refunds.currency_code
    left join pairs_1 as store_taken on store_refunds.refund_key = store_taken.refund_key
    left join pairs_1 as gateway_taken on gateway_refunds.gateway_refund_key = gateway_taken.gateway_refund_key
    where store_taken.refund_key is null and gateway_taken.gateway_refund_key is null
),

pairs_2 as (
    select
        refund_key,
        gateway_refund_key
    from noted
    where preference = 1
),

earlier_pairs as (
    select
        refund_key,
        gateway_refund_key
    from pairs_1
    union all
    select
        refund_key,
        gateway_refund_key
    from pairs_2
),

-- 3: same order, same amount, in order of time, those that failed last: a refund that was tried again is the one that
-- came through. Which of several equal refunds pairs with which changes no figure.
store_sequence as (
    select
        store_refunds.refund_key,
        store_refunds.order_key,
        store_refunds.refund_amount,
        store_refunds.currency_code,
        row_number() over (
            partition by store_refunds.order_key, store_refunds.refund_amount, store_refunds.currency_code
            order by store_refunds.created_at, store_refunds.refund_key
        ) as position
    from store_refunds
    left join earlier_pairs on store_refunds.refund_key = earlier_pairs.refund_key
    where earlier_pairs.refund_key is null
),

gateway_sequence as (
    select
        gateway_refunds.gateway_refund_key,
        gateway_refunds.order_key,
        gateway_refunds.refund_amount,
        gateway_refunds.currency_code,
        row_number() over (
            partition by gateway_refunds.order_key, gateway_refunds.refund_amount, gateway_refunds.currency_code
            order by
                case when gateway_refunds.is_failed then 1 else 0 end, gateway_refunds.created_at,
                gateway_refunds.gateway_refund_key
        ) as position
    from gateway_refunds
    left join earlier_pairs on gateway_refunds.gateway_refund_key = earlier_pairs.gateway_refund_key
    where earlier_pairs.gateway_refund_key is null
)

select
    refund_key,
    gateway_refund_key,
    'gateway_refund_id' as match_rule
from pairs_1
union all
select
    refund_key,
    gateway_refund_key,
    'order_refund_id' as match_rule
from pairs_2
union all
select
    store_sequence.refund_key,
    gateway_sequence.gateway_refund_key,
    'amount_in_order' as match_rule
from store_sequence
inner join gateway_sequence
    on
        store_sequence.order_key = gateway_sequence.order_key
        and store_sequence.refund_amount = gateway_sequence.refund_amount
        and store_sequence.currency_code = gateway_sequence.currency_code
        and store_sequence.position = gateway_sequence.position
