{{ config(materialized='view') }}

-- Pass 0: a customer's transfer is made from its bank line, so the key leads there and no text is read.
select
    lines.settlement_line_key as settlement_key,
    lines.bank_line_key,
    'bank_line_key' as match_rule,
    lines.bank_amount as matched_amount
from {{ ref('stg_bank_transfer__lines') }} as lines
inner join {{ ref('int_bank_payouts') }} as payouts on lines.settlement_line_key = payouts.settlement_key
