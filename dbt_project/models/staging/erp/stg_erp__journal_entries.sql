select
    erp_id || ':Journal Entry:' || id as erp_document_key,
    erp_id,
    company,
    coalesce(number, id) as document_number,
    platform_ref as posting_key,
    docstatus,
    cast(coalesce(total_debit, 0) as decimal(18, 4)) as document_amount,
    posting_date,
    modified as erp_modified,
    _payload_sha256 as payload_sha256
from {{ source('erp', 'journal_entries') }} as entries
where
    -- The entry that an invoice made in Odoo or Tryton is told by the invoice.
    entry_type = 'entry'
    and {{ erp_still_has('entries', 'journal_entries') }}
