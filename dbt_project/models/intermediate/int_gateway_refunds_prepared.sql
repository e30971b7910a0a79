-- Refunds of captured money only: the reversal of a capture that was too large, and the release of an authorisation,
-- are refund objects at some gateways but give no money back.
with reversals as (
    select distinct
        gateway_id,
        source_id as gateway_refund_id
    from {{ ref('int_settlement_lines_unioned') }}
    where line_type = 'partial_capture_reversal'
),

-- A gateway that reports only what it has paid out may take a refund off before it shows the payment: then the one
-- order that notes the payment is the refund's.
ahead_of_payment as (
    select
        refunds.gateway_refund_key,
        min(orders.order_key) as order_key,
        min(orders.store_id) as store_id
    from {{ ref('int_gateway_refunds_unioned') }} as refunds
    left join {{ ref('int_payments_correlated') }} as payments
        on refunds.gateway_id = payments.gateway_id and refunds.payment_id = payments.payment_id
    inner join {{ ref('int_orders_matchable') }} as orders
        on refunds.gateway_id = orders.gateway_id and refunds.payment_id = orders.transaction_id
    where payments.payment_key is null
    group by refunds.gateway_refund_key
    having count(*) = 1
),

-- Of a charge for several orders, the store's refund says by its id which of them it is about.
of_several as (
    select
        refunds.gateway_refund_key,
        min(store_refunds.order_key) as order_key
    from {{ ref('int_gateway_refunds_unioned') }} as refunds
    inner join {{ ref('int_payments_combined') }} as parts
        on refunds.gateway_id || ':' || refunds.payment_id = parts.payment_key
    inner join {{ ref('int_store_refunds_prepared') }} as store_refunds
        on
            parts.order_key = store_refunds.order_key
            and refunds.gateway_refund_id
            = coalesce(store_refunds.gateway_refund_id, store_refunds.last_gateway_refund_id)
    group by refunds.gateway_refund_key
    having count(distinct store_refunds.order_key) = 1
)

select
    refunds.gateway_refund_key,
    refunds.gateway_id,
    refunds.gateway_refund_id,
    refunds.gateway_id || ':' || refunds.payment_id as payment_key,
    case when ahead_of_payment.order_key is null then payments.entity_code else gateways.entity_code end as entity_code,
    coalesce(payments.store_id, ahead_of_payment.store_id) as store_id,
    coalesce(payments.order_key, of_several.order_key, ahead_of_payment.order_key) as order_key,
    payments.match_status as payment_match_status,
    coalesce(payments.is_matched, ahead_of_payment.order_key is not null) as is_payment_matched,
    refunds.refund_status,
    refunds.reason,
    refunds.failure_reason,
    refunds.currency_code,
    payments.currency_digits,
    refunds.refund_amount,
    refunds.refund_status in ('failed', 'canceled') as is_failed,
    refunds.created_at,
    refunds.created_at > {{ add_days('clock.as_of', '-entities.settlement_grace_days') }} as is_recent,
    refunds.payload_sha256
from {{ ref('int_gateway_refunds_unioned') }} as refunds
inner join {{ ref('stg_ops__gateways') }} as gateways on refunds.gateway_id = gateways.gateway_id
inner join {{ ref('stg_ops__entities') }} as entities on gateways.entity_code = entities.entity_code
cross join {{ ref('stg_ops__clock') }} as clock
left join {{ ref('int_payments_correlated') }} as payments
    on refunds.gateway_id = payments.gateway_id and refunds.payment_id = payments.payment_id
left join ahead_of_payment on refunds.gateway_refund_key = ahead_of_payment.gateway_refund_key
left join of_several on refunds.gateway_refund_key = of_several.gateway_refund_key
left join reversals
    on refunds.gateway_id = reversals.gateway_id and refunds.gateway_refund_id = reversals.gateway_refund_id
where
    reversals.gateway_refund_id is null
    and coalesce(refunds.reason, '') <> 'expired_uncaptured_charge'
    and coalesce(payments.is_captured, true)
