{{ config(materialized='view') }}

-- The payments of each order: a charge for several orders stands at each of them with its part.
select
    order_key,
    payment_key,
    gateway_id,
    gateway_system,
    source_table,
    match_rule,
    match_status,
    currency_code,
    captured_amount,
    refunded_amount,
    is_matched,
    is_bounced,
    is_earlier_part,
    created_at,
    captured_at,
    accounting_date,
    payload_sha256
from {{ ref('int_payments_correlated') }}
where order_key is not null

union all
select
    parts.order_key,
    payments.payment_key,
    payments.gateway_id,
    payments.gateway_system,
    payments.source_table,
    payments.match_rule,
    payments.match_status,
    payments.currency_code,
    parts.part_amount as captured_amount,
    cast(0 as decimal(18, 4)) as refunded_amount,
    payments.is_matched,
    payments.is_bounced,
    payments.is_earlier_part,
    payments.created_at,
    payments.captured_at,
    payments.accounting_date,
    payments.payload_sha256
from {{ ref('int_payments_combined') }} as parts
inner join {{ ref('int_payments_correlated') }} as payments on parts.payment_key = payments.payment_key
