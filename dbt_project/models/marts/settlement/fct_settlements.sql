{{ config(materialized='view') }}

select
    settlement_key,
    gateway_id,
    gateway_system,
    entity_code,
    payout_id,
    payout_status,
    payout_method,
    trace_id,
    failure_code,
    is_automatic,
    is_itemised,
    currency_code,
    net_amount as payout_amount,
    returned_amount,
    line_count,
    accounting_date,
    arrival_date,
    created_at,
    payload_sha256
from {{ ref('int_settlements_footed') }}
