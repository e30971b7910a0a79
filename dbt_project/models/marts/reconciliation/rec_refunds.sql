select
    refund_key,
    store_refund_key,
    gateway_refund_key,
    match_status,
    match_rule,
    order_key,
    payment_key,
    store_id,
    entity_code,
    gateway_id,
    gateway_status,
    currency_code,
    store_refund_amount,
    gateway_refund_amount,
    case
        when store_refund_key is not null and gateway_refund_key is not null
            then cast(gateway_refund_amount - store_refund_amount as decimal(18, 4))
    end as difference_amount,
    store_refunded_at,
    gateway_refunded_at
from {{ ref('int_refunds_joined') }}
