select
    bank_id || ':' || statement_id || ':' || cast(entry_number as varchar) as bank_line_key,
    bank_id || ':' || statement_id as statement_key,
    bank_id,
    account_id,
    statement_id,
    entry_number,
    bank_reference,
    end_to_end_id,
    remittance_text,
    counterparty,
    upper(currency) as currency_code,
    cast(amount as decimal(18, 4)) as bank_amount,
    coalesce(is_reversal, false) as is_reversal,
    booking_date,
    value_date,
    _payload_sha256 as payload_sha256,
    {{ utc_timestamp('_loaded_at') }} as loaded_at
from {{ source('bank', 'entries') }}
