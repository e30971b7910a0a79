{{ config(materialized='view') }}

-- What is wrong between a payout, its lines and the bank.
select
    'payout_residual' as exception_type,
    settlement_key as subject_key,
    entity_code,
    cast(null as varchar) as store_id,
    gateway_id,
    cast(null as varchar) as order_key,
    settlement_key,
    cast(null as varchar) as settlement_line_key,
    bank_line_key,
    cast(abs(residual_amount) as decimal(18, 4)) as amount_at_risk,
    currency_code,
    created_at as opened_at,
    {{ json_text([
        ("payout", "payout_id"),
        ("payout_status", "payout_status"),
        ("payout_amount", "cast(net_amount as varchar)"),
        ("created_at", "cast(created_at as varchar)"),
        ("arrival_date", "cast(arrival_date as varchar)"),
        ("line_count", "line_count"),
        ("residual", "cast(residual_amount as varchar)"),
    ]) }} as evidence
from {{ ref('int_settlements_footed') }}
where settlement_status = 'residual'

union all
select
    'payout_not_in_bank' as exception_type,
    settlement_key as subject_key,
    entity_code,
    cast(null as varchar) as store_id,
    gateway_id,
    cast(null as varchar) as order_key,
    settlement_key,
    cast(null as varchar) as settlement_line_key,
    bank_line_key,
    cast(abs(net_amount) as decimal(18, 4)) as amount_at_risk,
    currency_code,
    cast(arrival_date as timestamp) as opened_at,
    {{ json_text([
        ("payout", "payout_id"),
        ("payout_status", "payout_status"),
        ("payout_amount", "cast(net_amount as varchar)"),
        ("created_at", "cast(created_at as varchar)"),
        ("arrival_date", "cast(arrival_date as varchar)"),
        ("trace", "trace_id"),
        ("bank", "bank_id"),
        ("rivals", "bank_rivals"),
    ]) }} as evidence
from {{ ref('int_settlements_footed') }}
where settlement_status = 'not_in_bank'

union all
select
    'payout_failed' as exception_type,
    settlement_key as subject_key,
    entity_code,
    cast(null as varchar) as store_id,
    gateway_id,
    cast(null as varchar) as order_key,
    settlement_key,
    cast(null as varchar) as settlement_line_key,
    bank_line_key,
    cast(abs(net_amount) as decimal(18, 4)) as amount_at_risk,
    currency_code,
    created_at as opened_at,
    {{ json_text([
        ("payout", "payout_id"),
        ("payout_status", "payout_status"),
        ("payout_amount", "cast(net_amount as varchar)"),
        ("created_at", "cast(created_at as varchar)"),
        ("arrival_date", "cast(arrival_date as varchar)"),
        ("failure", "failure_code"),
        ("returned_to_balance", "cast(returned_amount as varchar)"),
    ]) }} as evidence
from {{ ref('int_settlements_footed') }}
where settlement_status = 'failed'

union all
select
    'bank_amount_mismatch' as exception_type,
    settlement_key as subject_key,
    entity_code,
    cast(null as varchar) as store_id,
    gateway_id,
    cast(null as varchar) as order_key,
    settlement_key,
    cast(null as varchar) as settlement_line_key,
    bank_line_key,
    cast(abs(coalesce(bank_difference_amount, net_amount)) as decimal(18, 4)) as amount_at_risk,
    currency_code,
    cast(bank_value_date as timestamp) as opened_at,
    {{ json_text([
        ("payout", "payout_id"),
        ("payout_status", "payout_status"),
        ("payout_amount", "cast(net_amount as varchar)"),
        ("created_at", "cast(created_at as varchar)"),
        ("arrival_date", "cast(arrival_date as varchar)"),
        ("bank_amount", "cast(bank_amount as varchar)"),
        ("bank_currency", "bank_currency_code"),
        ("bank_line", "bank_line_key"),
    ]) }} as evidence
from {{ ref('int_settlements_footed') }}
where settlement_status = 'bank_amount_mismatch'

union all
select
    'ambiguous_match' as exception_type,
    settlement_key as subject_key,
    entity_code,
    cast(null as varchar) as store_id,
    gateway_id,
    cast(null as varchar) as order_key,
    settlement_key,
    cast(null as varchar) as settlement_line_key,
    bank_line_key,
    cast(abs(net_amount) as decimal(18, 4)) as amount_at_risk,
    currency_code,
    cast(arrival_date as timestamp) as opened_at,
    {{ json_text([
        ("payout", "payout_id"),
        ("payout_status", "payout_status"),
        ("payout_amount", "cast(net_amount as varchar)"),
        ("created_at", "cast(created_at as varchar)"),
        ("arrival_date", "cast(arrival_date as varchar)"),
        ("bank", "bank_id"),
        ("rivals", "bank_rivals"),
    ]) }} as evidence
from {{ ref('int_settlements_footed') }}
where settlement_status = 'bank_ambiguous'
