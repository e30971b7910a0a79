select
    erp_id || ':Journal Entry:' || name as erp_document_key,
    erp_id,
    company,
    name as document_number,
    platform_ref as posting_key,
    docstatus,
    cast(coalesce(total_debit, 0) as decimal(18, 4)) as document_amount,
    posting_date,
    modified as erp_modified,
    _payload_sha256 as payload_sha256
from {{ source('erp', 'journal_entries') }}
