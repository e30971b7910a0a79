select
    pairs.settlement_key,
    pairs.bank_line_key,
    payouts.bank_id,
    pairs.match_rule,
    entries.currency_code,
    cast(pairs.matched_amount as decimal(18, 4)) as matched_amount,
    entries.value_date
from {{ ref('int_payouts_matched_to_bank') }} as pairs
inner join {{ ref('int_bank_payouts') }} as payouts on pairs.settlement_key = payouts.settlement_key
inner join {{ ref('stg_bank__entries') }} as entries on pairs.bank_line_key = entries.bank_line_key
