{{ config(materialized='view') }}

-- Days of a bank account that no file speaks for. Balances that chain prove that nothing is missing, whatever days the
-- files name; an export without balances is believed about its days only if the bank wrote them into it.
with unproved as (
    select
        bank_id,
        account_id,
        covers_from,
        min(currency_code) as currency_code,
        min(created_at) as created_at
    from {{ ref('stg_bank__statements') }}
    where opening_balance_amount is null and created_at is not null and covers_from is not null
    group by bank_id, account_id, covers_from
)

select
    'completeness_gap' as exception_type,
    gaps.bank_id || ':' || gaps.account_id || ':' || cast(gaps.covered_again_from as varchar) as subject_key,
    banks.entity_code,
    cast(null as varchar) as store_id,
    cast(null as varchar) as gateway_id,
    cast(null as varchar) as order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(0 as decimal(18, 4)) as amount_at_risk,
    unproved.currency_code,
    unproved.created_at as opened_at,
    {{ json_text([
        ("bank", "gaps.bank_id"),
        ("account", "gaps.account_id"),
        ("covered_until", "cast(gaps.covered_until as varchar)"),
        ("covered_again_from", "cast(gaps.covered_again_from as varchar)"),
        ("missing_days", "gaps.missing_days"),
    ]) }} as evidence
from {{ ref('stg_bank__coverage_gaps') }} as gaps
inner join unproved
    on
        gaps.bank_id = unproved.bank_id
        and gaps.account_id = unproved.account_id
        and gaps.covered_again_from = unproved.covers_from
left join {{ ref('stg_ops__banks') }} as banks on gaps.bank_id = banks.bank_id
