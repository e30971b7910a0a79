{{ config(materialized='view') }}

select
    tax_document_jurisdiction_key,
    tax_document_key,
    tax_engine_id,
    tax_engine_system,
    entity_code,
    order_key,
    document_id,
    document_code,
    document_version,
    document_type,
    document_status,
    is_counted,
    is_locked,
    order_reference,
    refund_reference,
    tax_jurisdiction,
    currency_code,
    document_date,
    taxable_amount,
    tax_amount,
    modified_at,
    payload_sha256
from {{ ref('int_tax_documents_placed') }}
