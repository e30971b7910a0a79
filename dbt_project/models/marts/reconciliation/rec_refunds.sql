{{ config(materialized='view') }}

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
    difference_amount,
    credited_amount,
    credit_note_key,
    store_refunded_at,
    gateway_refunded_at,
    credited_on,
    credit_delay_days
from {{ ref('int_refunds_credited') }}
