{{ config(materialized='view') }}

select
    settlement_line_key,
    settlement_key,
    gateway_id,
    gateway_system,
    entity_code,
    line_id,
    line_type,
    source_category,
    source_type,
    source_id,
    payment_key,
    gateway_refund_key,
    dispute_key,
    line_status,
    description,
    currency_code,
    gross_amount,
    fee_amount,
    net_amount,
    exchange_rate,
    is_clearing,
    accounting_date,
    booked_at,
    available_at,
    payload_sha256
from {{ ref('int_settlement_lines_judged') }}
