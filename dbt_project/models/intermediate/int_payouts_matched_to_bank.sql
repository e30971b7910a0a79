-- Which bank line a payout became: by key, by its id or trace in the bank's text, by hand, by exact amount within its
-- window, and by the only exact composition. A payout may be in several lines and a line may hold several payouts.
select
    settlement_key,
    bank_line_key,
    match_rule,
    matched_amount
from {{ ref('int_bank_pass_0_key') }}
union all
select
    settlement_key,
    bank_line_key,
    match_rule,
    matched_amount
from {{ ref('int_bank_pass_1_reference') }}
union all
select
    settlement_key,
    bank_line_key,
    match_rule,
    matched_amount
from {{ ref('int_bank_pass_manual') }}
union all
select
    settlement_key,
    bank_line_key,
    match_rule,
    matched_amount
from {{ ref('int_bank_pass_2_amount') }}
union all
select
    settlement_key,
    bank_line_key,
    'composition' as match_rule,
    matched_amount
from {{ ref('int_bank_compositions') }}
where is_decided
