select
    erp_id || ':Sales Invoice:' || name as erp_document_key,
    erp_id,
    company,
    name as document_number,
    coalesce(is_return, 0) = 1 as is_credit_note,
    return_against,
    nullif(trim(po_no), '') as order_number,
    docstatus,
    status as document_status,
    upper(currency) as currency_code,
    cast(grand_total as decimal(18, 4)) as document_amount,
    cast(coalesce(outstanding_amount, 0) as decimal(18, 4)) as outstanding_amount,
    posting_date,
    modified as erp_modified,
    _payload_sha256 as payload_sha256
from {{ source('erp', 'sales_invoices') }}
