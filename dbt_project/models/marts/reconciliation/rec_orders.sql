{{ config(materialized='view') }}

select
    order_key,
    store_id,
    entity_code,
    gateway_id,
    order_number,
    store_status,
    order_status,
    match_status,
    match_rule,
    payment_key,
    rival_payment_keys,
    currency_code,
    expected_amount,
    captured_amount,
    difference_amount,
    store_refunded_amount,
    refunded_amount,
    disputed_amount,
    duplicate_amount,
    invoiced_amount,
    credited_amount,
    fulfilment_status,
    shipped_quantity,
    shipped_amount,
    settled_amount,
    -- What the customer still owes (positive) or is owed (negative), as the store sees it.
    case
        when expected_amount = 0 then cast(0 as decimal(18, 4))
        when payment_currency_code is null or payment_currency_code = currency_code
            then cast(expected_amount - store_refunded_amount - captured_amount + refunded_amount as decimal(18, 4))
    end as open_amount,
    is_payment_expected,
    is_trashed,
    created_at,
    paid_at,
    captured_at
from {{ ref('int_orders_judged') }}
