-- Documents of the tax engines by jurisdiction, with the order each is about. The order is looked up by what the
-- engine's reference is configured to be, its id or its number; two orders that fit are none.
with engines as (
    select
        tax_engine_id,
        tax_engine_system,
        entity_code,
        order_reference
    from {{ ref('stg_ops__tax_engines') }}
),

documents as (
    select
        documents.*,
        engines.entity_code
    from {{ ref('stg_tax__documents') }} as documents
    inner join engines on documents.tax_engine_id = engines.tax_engine_id
),

-- Orders under the reference that the engine of their store knows them by.
referenced_orders as (
    select
        engine_stores.tax_engine_id,
        orders.order_key,
        case engines.order_reference
            when 'id' then cast(orders.order_id as varchar)
            else orders.order_number
        end as order_reference
    from engines
    inner join {{ ref('stg_ops__tax_engine_stores') }} as engine_stores
        on engines.tax_engine_id = engine_stores.tax_engine_id
    inner join {{ ref('int_orders_enriched') }} as orders on engine_stores.store_id = orders.store_id
),

found as (
    select
        tax_engine_id,
        order_reference,
        min(order_key) as order_key
    from referenced_orders
    group by tax_engine_id, order_reference
    having count(*) = 1
),

shares as (
    select
        tax_document_key,
        tax_jurisdiction,
        sum(taxable_amount) as taxable_amount,
        sum(tax_amount) as tax_amount
    from {{ ref('stg_tax__document_jurisdictions') }}
    group by tax_document_key, tax_jurisdiction
),

told as (
    select
        tax_document_key,
        sum(tax_amount) as tax_amount
    from shares
    group by tax_document_key
),

-- What the engine does not give to anybody is owed to nobody known; a document without tax stays a document.
split as (
    select
        tax_document_key,
        tax_jurisdiction,
        taxable_amount,
        tax_amount
    from shares
    union all
    select
        documents.tax_document_key,
        'untold' as tax_jurisdiction,
        cast(null as decimal(18, 4)) as taxable_amount,
        documents.tax_amount - coalesce(told.tax_amount, 0) as tax_amount
    from documents
    left join told on documents.tax_document_key = told.tax_document_key
    where told.tax_document_key is null or documents.tax_amount <> told.tax_amount
)

select
    documents.tax_document_key || ':' || split.tax_jurisdiction as tax_document_jurisdiction_key,
    documents.tax_document_key,
    documents.tax_engine_id,
    documents.tax_engine_system,
    documents.entity_code,
    found.order_key,
    documents.document_id,
    documents.document_code,
    documents.document_version,
    documents.document_type,
    documents.document_status,
    documents.document_status = 'committed' and documents.is_current and documents.document_type in ('sale', 'return')
        as is_counted,
    documents.is_locked,
    documents.order_reference,
    documents.refund_reference,
    split.tax_jurisdiction,
    documents.currency_code,
    documents.document_date,
    cast(split.taxable_amount as decimal(18, 4)) as taxable_amount,
    cast(split.tax_amount as decimal(18, 4)) as tax_amount,
    documents.modified_at,
    documents.payload_sha256
from documents
inner join split on documents.tax_document_key = split.tax_document_key
left join found
    on documents.tax_engine_id = found.tax_engine_id and documents.order_reference = found.order_reference
