{{ config(materialized='view') }}

-- Sales that cost another fee than the contract says: one exception for each account, rule, currency and month. What
-- was charged too much and what too little are not set off against each other.
with variances as (
    select
        entity_code,
        gateway_id,
        fee_rule_id,
        currency_code,
        substring(cast(accounting_date as varchar) from 1 for 7) as fee_month,
        count(*) as line_count,
        sum(case when difference_amount > 0 then difference_amount else 0 end) as overcharged_amount,
        sum(case when difference_amount < 0 then -difference_amount else 0 end) as undercharged_amount,
        min(settlement_line_key) as first_line_key,
        min(booked_at) as first_booked_at
    from {{ ref('int_fees_expected') }}
    where fee_status = 'fee_variance'
    group by
        entity_code, gateway_id, fee_rule_id, currency_code, substring(cast(accounting_date as varchar) from 1 for 7)
)

select
    'fee_variance' as exception_type,
    gateway_id || ':' || fee_rule_id || ':' || currency_code || ':' || fee_month as subject_key,
    entity_code,
    cast(null as varchar) as store_id,
    gateway_id,
    cast(null as varchar) as order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(overcharged_amount + undercharged_amount as decimal(18, 4)) as amount_at_risk,
    currency_code,
    first_booked_at as opened_at,
    {{ json_text([
        ("rule", "fee_rule_id"),
        ("month", "fee_month"),
        ("lines", "line_count"),
        ("overcharged", "cast(cast(overcharged_amount as decimal(18, 4)) as varchar)"),
        ("undercharged", "cast(cast(undercharged_amount as decimal(18, 4)) as varchar)"),
        ("first_line", "first_line_key"),
    ]) }} as evidence
from variances
