{{ config(materialized='view') }}

-- A person said which bank line a payout became: after what the bank's text decides, before what only the amount says.
-- Both must be of one account, currency and amount.
with taken as (
    select
        settlement_key,
        bank_line_key
    from {{ ref('int_bank_pass_0_key') }}
    union all
    select
        settlement_key,
        bank_line_key
    from {{ ref('int_bank_pass_1_reference') }}
)

select
    payouts.settlement_key,
    entries.bank_line_key,
    'manual' as match_rule,
    entries.bank_amount as matched_amount
from {{ ref('stg_ops__manual_links') }} as links
inner join {{ ref('int_bank_payouts') }} as payouts on links.left_key = payouts.settlement_key
inner join {{ ref('stg_bank__entries') }} as entries
    on
        links.right_key = entries.bank_line_key
        and payouts.bank_id = entries.bank_id
        and payouts.currency_code = entries.currency_code
        and payouts.payout_amount = entries.bank_amount
where
    links.kind = 'payout_bank'
    and links.state = 'effective'
    and not exists (
        select 1
        from taken
        where taken.settlement_key = payouts.settlement_key or taken.bank_line_key = entries.bank_line_key
    )
