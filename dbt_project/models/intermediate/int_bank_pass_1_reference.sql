{{ config(materialized='view') }}

-- Pass 1: the bank's text names the payout. A payout that came back is named twice, by the credit and by the debit: the
-- line with its own amount is the one. Several payouts of one line, or several lines of one payout, must sum exactly.
select
    settlement_key,
    bank_line_key,
    'payout_reference' as match_rule,
    case when payouts_of_line = 1 then bank_amount else payout_amount end as matched_amount
from {{ ref('int_bank_named') }}
where
    (payouts_of_line = 1 and (lines_of_payout = 1 or (is_equal and equal_lines_of_payout = 1)))
    or (
        payouts_of_line > 1
        and most_lines_of_a_payout = 1
        and is_same_currency
        and payouts_amount = bank_amount
    )
    or (
        lines_of_payout > 1
        and most_payouts_of_a_line = 1
        and equal_lines_of_payout = 0
        and is_same_currency
        and lines_amount = payout_amount
    )
