{{ config(materialized='view') }}

select
    settlement_line_key,
    settlement_key,
    gateway_id,
    entity_code,
    store_id,
    line_type,
    match_status,
    match_rule,
    order_key,
    payment_key,
    refund_key,
    dispute_key,
    rival_order_keys,
    currency_code,
    gross_amount,
    fee_amount,
    net_amount,
    presentment_currency_code,
    case when line_type = 'charge' then payment_difference_amount end as difference_amount,
    is_clearing,
    accounting_date,
    booked_at
from {{ ref('int_settlement_lines_judged') }}
