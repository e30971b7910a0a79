select
    invoices.erp_id || ':Sales Invoice:' || invoices.id as erp_document_key,
    invoices.erp_id,
    invoices.company,
    coalesce(invoices.number, invoices.id) as document_number,
    invoices.is_return as is_credit_note,
    invoices.return_against,
    -- Odoo's credit notes do not carry the reference of the invoice they belong to.
    nullif(trim(coalesce(invoices.order_reference, originals.order_reference)), '') as order_number,
    invoices.docstatus,
    coalesce(invoices.payment_status, invoices.status) as document_status,
    upper(invoices.currency) as currency_code,
    cast(invoices.total_amount as decimal(18, 4)) as document_amount,
    cast(coalesce(invoices.outstanding_amount, 0) as decimal(18, 4)) as outstanding_amount,
    invoices.posting_date,
    invoices.modified as erp_modified,
    invoices._payload_sha256 as payload_sha256
from {{ source('erp', 'sales_invoices') }} as invoices
left join {{ source('erp', 'sales_invoices') }} as originals
    on
        invoices.erp_id = originals.erp_id
        and invoices.return_against = originals.id
where {{ erp_still_has('invoices', 'sales_invoices') }}
