select
    bank_id || ':' || statement_id as statement_key,
    bank_id,
    account_id,
    statement_id,
    sequence_number,
    upper(currency) as currency_code,
    cast(opening_balance as decimal(18, 4)) as opening_balance_amount,
    cast(closing_balance as decimal(18, 4)) as closing_balance_amount,
    entry_count,
    file_name,
    opening_date,
    closing_date,
    {{ utc_timestamp('created_at') }} as created_at,
    covers_from,
    covers_to,
    file_sha256,
    {{ utc_timestamp('_loaded_at') }} as loaded_at
from {{ source('bank', 'statements') }}
