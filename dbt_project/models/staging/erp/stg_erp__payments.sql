select
    erp_id || ':Payment Entry:' || id as erp_document_key,
    erp_id,
    company,
    coalesce(number, id) as document_number,
    direction as payment_direction,
    party as party_name,
    journal as journal_name,
    nullif(trim(reference), '') as bank_reference,
    invoice_ids,
    docstatus,
    status as document_status,
    upper(currency) as currency_code,
    cast(amount as decimal(18, 4)) as payment_amount,
    posting_date,
    modified as erp_modified,
    _payload_sha256 as payload_sha256
from {{ source('erp', 'payments') }} as payments
where {{ erp_still_has('payments', 'payments') }}
