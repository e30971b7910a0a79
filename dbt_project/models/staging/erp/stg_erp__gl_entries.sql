select
    erp_id || ':' || id as erp_ledger_line_key,
    erp_id,
    company,
    account_id as erp_account,
    posting_date,
    voucher_type,
    voucher_id,
    voucher_number,
    cast(coalesce(debit, 0) as decimal(18, 4)) as debit_amount,
    cast(coalesce(credit, 0) as decimal(18, 4)) as credit_amount,
    docstatus,
    _payload_sha256 as payload_sha256
from {{ source('erp', 'gl_entries') }} as lines
where {{ erp_still_has('lines', 'gl_entries') }}
