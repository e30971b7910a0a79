{{ config(materialized='view') }}

select
    refund_key,
    store_refund_key,
    gateway_refund_key,
    order_key,
    payment_key,
    store_id,
    entity_code,
    gateway_id,
    match_status,
    match_rule,
    gateway_status,
    store_reason as reason,
    currency_code,
    store_refund_amount,
    store_tax_amount,
    tax_split,
    gateway_refund_amount,
    accounting_date,
    store_refunded_at,
    gateway_refunded_at,
    store_payload_sha256,
    gateway_payload_sha256
from {{ ref('int_refunds_joined') }}
