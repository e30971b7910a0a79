-- One row per refund, whichever side knows it.
with orders_paid_by_gateway as (
    select
        order_key,
        min(payment_key) as payment_key
    from {{ ref('int_payments_correlated') }}
    where is_matched
    group by order_key
),

joined as (
    select
        pairs.match_rule,
        store.refund_key as store_refund_key,
        gateway.gateway_refund_key,
        coalesce(store.order_key, gateway.order_key) as order_key,
        coalesce(store.store_id, gateway.store_id) as store_id,
        coalesce(store.entity_code, gateway.entity_code) as entity_code,
        coalesce(store.currency_code, gateway.currency_code) as currency_code,
        coalesce(store.currency_digits, gateway.currency_digits) as currency_digits,
        store.refund_amount as store_refund_amount,
        gateway.refund_amount as gateway_refund_amount,
        store.tax_amount as store_tax_amount,
        store.tips_amount as store_tips_amount,
        store.gift_cards_sold_amount as store_gift_cards_sold_amount,
        store.tax_split,
        store.reason as store_reason,
        gateway.gateway_id,
        gateway.payment_key,
        gateway.payment_match_status,
        coalesce(gateway.is_payment_matched, false) as is_payment_matched,
        gateway.refund_status as gateway_status,
        gateway.failure_reason,
        coalesce(gateway.is_failed, false) as is_failed,
        coalesce(store.is_recent, gateway.is_recent) as is_recent,
        store.created_at as store_refunded_at,
        gateway.created_at as gateway_refunded_at,
        store.accounting_date,
        store.payload_sha256 as store_payload_sha256,
        gateway.payload_sha256 as gateway_payload_sha256
    from {{ ref('int_store_refunds_prepared') }} as store
    left join {{ ref('int_refunds_matched') }} as pairs on store.refund_key = pairs.refund_key
    full outer join {{ ref('int_gateway_refunds_prepared') }} as gateway
        on pairs.gateway_refund_key = gateway.gateway_refund_key
)

select
    coalesce(joined.store_refund_key, joined.gateway_refund_key) as refund_key,
    joined.store_refund_key,
    joined.gateway_refund_key,
    joined.match_rule,
    case
        when joined.store_refund_key is null
            then
                case
                    when not joined.is_payment_matched then coalesce(joined.payment_match_status, 'needs_review')
                    when joined.is_failed then 'needs_review'
                    when joined.is_recent then 'timing'
                    else 'missing_in_store'
                end
        when joined.gateway_refund_key is null
            then
                case
                    when joined.store_refund_amount = 0 then 'matched'
                    when orders.payment_key is null then 'non_order'
                    when joined.is_recent then 'timing'
                    else 'missing_in_gateway'
                end
        when joined.is_failed then 'needs_review'
        when joined.gateway_refund_amount <> {{ round_money('joined.store_refund_amount', 'joined.currency_digits') }}
            then 'amount_diff'
        else 'matched'
    end as match_status,
    joined.order_key,
    joined.store_id,
    joined.entity_code,
    joined.gateway_id,
    coalesce(joined.payment_key, orders.payment_key) as payment_key,
    joined.currency_code,
    joined.currency_digits,
    joined.store_refund_amount,
    joined.store_tax_amount,
    joined.store_tips_amount,
    joined.store_gift_cards_sold_amount,
    joined.tax_split,
    joined.gateway_refund_amount,
    joined.gateway_status,
    joined.failure_reason,
    joined.is_failed,
    joined.is_payment_matched,
    joined.store_reason,
    joined.store_refunded_at,
    joined.gateway_refunded_at,
    joined.accounting_date,
    joined.store_payload_sha256,
    joined.gateway_payload_sha256
from joined
left join orders_paid_by_gateway as orders on joined.order_key = orders.order_key
