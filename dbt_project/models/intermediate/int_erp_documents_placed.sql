-- Documents at the ERPs with the order that each names. A number that two orders of an entity share names none.
with orders as (
    select
        entity_code,
        order_number,
        min(order_key) as order_key
    from {{ ref('int_orders_enriched') }}
    group by entity_code, order_number
    having count(*) = 1
),

documents as (
    select
        erp_document_key,
        erp_id,
        company,
        case when is_credit_note then 'credit_note' else 'sales_invoice' end as document_type,
        document_number,
        docstatus,
        posting_date,
        currency_code,
        document_amount,
        outstanding_amount,
        order_number,
        cast(null as varchar) as posting_key,
        payload_sha256
    from {{ ref('stg_erp__sales_invoices') }}
    union all
    select
        erp_document_key,
        erp_id,
        company,
        'journal_entry' as document_type,
        document_number,
        docstatus,
        posting_date,
        cast(null as varchar) as currency_code,
        document_amount,
        cast(0 as decimal(18, 4)) as outstanding_amount,
        cast(null as varchar) as order_number,
        posting_key,
        payload_sha256
    from {{ ref('stg_erp__journal_entries') }}
    union all
    select
        erp_document_key,
        erp_id,
        company,
        'payment' as document_type,
        document_number,
        docstatus,
        posting_date,
        currency_code,
        cast(case when payment_direction = 'out' then -payment_amount else payment_amount end as decimal(18, 4))
            as document_amount,
        cast(0 as decimal(18, 4)) as outstanding_amount,
        cast(null as varchar) as order_number,
        cast(null as varchar) as posting_key,
        payload_sha256
    from {{ ref('stg_erp__payments') }}
)

select
    documents.erp_document_key,
    documents.erp_id,
    companies.entity_code,
    documents.document_type,
    documents.document_number,
    case documents.docstatus when 0 then 'draft' when 1 then 'submitted' else 'cancelled' end as document_status,
    orders.order_key,
    documents.order_number,
    documents.posting_key,
    coalesce(documents.currency_code, entities.base_currency_code) as currency_code,
    documents.document_amount,
    documents.outstanding_amount,
    documents.posting_date,
    documents.payload_sha256
from documents
inner join {{ ref('stg_ops__erps') }} as companies
    on documents.erp_id = companies.erp_id and documents.company = companies.company
inner join {{ ref('stg_ops__entities') }} as entities on companies.entity_code = entities.entity_code
left join orders on companies.entity_code = orders.entity_code and documents.order_number = orders.order_number
