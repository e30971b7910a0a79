{{ config(materialized='view') }}

-- Documents that the ERP no longer holds as they were posted, whatever the month.
select
    'posted_drift' as exception_type,
    posting_key as subject_key,
    entity_code,
    cast(null as varchar) as store_id,
    cast(null as varchar) as gateway_id,
    cast(null as varchar) as order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    amount as amount_at_risk,
    currency_code,
    since as opened_at,
    {{ json_text([
        ("entry", "entry_id"),
        ("erp", "erp_id"),
        ("document", "erp_document"),
        ("state", "state"),
        ("difference", "detail"),
    ]) }} as evidence
from {{ ref('stg_ops__attestations') }}
where state <> 'equal'
