select
    details.bank_id || ':' || details.statement_id || ':' || cast(details.entry_number as varchar) as bank_line_key,
    details.bank_id,
    details.statement_id,
    details.entry_number,
    details.detail_number,
    upper(details.currency) as currency_code,
    cast(details.amount as decimal(18, 4)) as detail_amount,
    details.end_to_end_id,
    details.remittance_text,
    details.counterparty
from {{ source('bank', 'entry_details') }} as details
inner join {{ source('bank', 'statements') }} as statements
    on
        details.bank_id = statements.bank_id
        and details.account_id = statements.account_id
        and details.statement_id = statements.statement_id
        and details.file_sha256 = statements.file_sha256
