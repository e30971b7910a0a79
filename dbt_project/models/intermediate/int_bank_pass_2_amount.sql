-- Pass 2: exact amount, currency and account, from the arrival date on, and nothing else fits on either side.
with named_payouts as (
    select settlement_key
    from {{ ref('int_bank_named') }}
    union
    select settlement_key
    from {{ ref('int_bank_pass_manual') }}
),

taken_lines as (
    select bank_line_key
    from {{ ref('int_bank_named') }}
    union
    select bank_line_key
    from {{ ref('int_bank_pass_0_key') }}
    union
    select bank_line_key
    from {{ ref('int_bank_pass_manual') }}
),

candidates as (
    select
        payouts.settlement_key,
        bank_lines.bank_line_key,
        bank_lines.bank_amount,
        count(*) over (partition by payouts.settlement_key) as lines_of_payout,
        count(*) over (partition by bank_lines.bank_line_key) as payouts_of_line
    from {{ ref('int_bank_payouts') }} as payouts
    inner join {{ ref('stg_bank__entries') }} as bank_lines
        on
            payouts.bank_id = bank_lines.bank_id
            and payouts.currency_code = bank_lines.currency_code
            and payouts.payout_amount = bank_lines.bank_amount
            and payouts.arrival_date <= bank_lines.value_date
            and payouts.expected_until >= bank_lines.value_date
    left join named_payouts on payouts.settlement_key = named_payouts.settlement_key
    left join {{ ref('int_bank_pass_0_key') }} as keyed on payouts.settlement_key = keyed.settlement_key
    left join taken_lines on bank_lines.bank_line_key = taken_lines.bank_line_key
    where
        named_payouts.settlement_key is null
        and keyed.settlement_key is null
        and taken_lines.bank_line_key is null
        and not bank_lines.is_reversal
        and payouts.payout_status not in ('failed', 'canceled')
)

select
    settlement_key,
    bank_line_key,
    'amount_and_date' as match_rule,
    bank_amount as matched_amount
from candidates
where lines_of_payout = 1 and payouts_of_line = 1
