{{ config(materialized='view') }}

select
    erp_document_key,
    erp_id,
    entity_code,
    document_type,
    document_number,
    document_status,
    order_key,
    order_number,
    posting_key,
    currency_code,
    document_amount,
    outstanding_amount,
    posting_date,
    payload_sha256
from {{ ref('int_erp_documents_placed') }}
