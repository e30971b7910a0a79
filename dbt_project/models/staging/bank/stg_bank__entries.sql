-- The entries of the version of a statement that holds. A corrected statement may have fewer, or none: what is left of
-- the version before came in another file.
select
    entries.bank_id || ':' || entries.statement_id || ':' || cast(entries.entry_number as varchar) as bank_line_key,
    entries.bank_id || ':' || entries.statement_id as statement_key,
    entries.bank_id,
    entries.account_id,
    entries.statement_id,
    entries.entry_number,
    entries.bank_reference,
    entries.end_to_end_id,
    entries.remittance_text,
    entries.counterparty,
    upper(entries.currency) as currency_code,
    cast(entries.amount as decimal(18, 4)) as bank_amount,
    coalesce(entries.is_reversal, false) as is_reversal,
    entries.booking_date,
    entries.value_date,
    entries._payload_sha256 as payload_sha256,
    {{ utc_timestamp('entries._loaded_at') }} as loaded_at
from {{ source('bank', 'entries') }} as entries
left join {{ source('bank', 'statements') }} as statements
    on
        entries.bank_id = statements.bank_id
        and entries.account_id = statements.account_id
        and entries.statement_id = statements.statement_id
where
    statements.file_sha256 is null
    or entries.file_sha256 is null
    or entries.file_sha256 = statements.file_sha256
