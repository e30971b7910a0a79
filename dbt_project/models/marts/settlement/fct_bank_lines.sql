select
    entries.bank_line_key,
    entries.statement_key,
    entries.bank_id,
    banks.entity_code,
    entries.account_id,
    entries.statement_id,
    cast(entries.entry_number as integer) as entry_number,
    pairs.settlement_key,
    pairs.match_rule,
    entries.bank_reference,
    entries.end_to_end_id,
    entries.remittance_text,
    entries.counterparty,
    entries.is_reversal,
    entries.currency_code,
    entries.bank_amount,
    entries.booking_date,
    entries.value_date,
    entries.payload_sha256
from {{ ref('stg_bank__entries') }} as entries
left join {{ ref('stg_ops__banks') }} as banks on entries.bank_id = banks.bank_id
left join {{ ref('int_payouts_matched_to_bank') }} as pairs on entries.bank_line_key = pairs.bank_line_key
