-- What tax engines have on record, in one shape. Revisions and cancelled documents are kept and marked: what an engine
-- counts is committed and current.
with avatax as (
    select
        tax_engine_id || ':' || cast(id as varchar) as tax_document_key,
        tax_engine_id,
        'avatax' as tax_engine_system,
        'avatax_transactions' as source_table,
        cast(id as varchar) as document_id,
        code as document_code,
        version as document_version,
        document_type as source_type,
        case
            when document_type = 'SalesInvoice' then 'sale'
            when document_type = 'ReturnInvoice' then 'return'
            when document_type in ('PurchaseInvoice', 'ReverseChargeInvoice') then 'purchase'
            when document_type = 'InventoryTransferInvoice' then 'inventory_transfer'
            when document_type like '%Order' then 'estimate'
            else 'unknown'
        end as document_type,
        status as source_status,
        case
            when status in ('Temporary', 'Saved', 'Posted', 'PendingApproval') then 'uncommitted'
            when status in ('Committed', 'Cancelled', 'Adjusted') then lower(status)
            else 'unknown'
        end as document_status,
        -- An adjustment makes a new revision under the same code; some lists no longer hold the older one.
        row_number() over (
            partition by tax_engine_id, code, document_type order by coalesce(version, 0) desc, id desc
        ) = 1 as is_current,
        coalesce(locked, false) as is_locked,
        nullif(trim(order_reference), '') as order_reference,
        nullif(trim(refund_reference), '') as refund_reference,
        cast(null as varchar) as payment_reference,
        upper(currency_code) as currency_code,
        document_date,
        cast(total_amount as decimal(18, 4)) as document_amount,
        cast(total_taxable as decimal(18, 4)) as taxable_amount,
        cast(total_exempt as decimal(18, 4)) as exempt_amount,
        cast(total_tax as decimal(18, 4)) as tax_amount,
        cast(replace(modified_date, 'Z', '') as timestamp) as modified_at,
        _payload_sha256 as payload_sha256,
        {{ utc_timestamp('_loaded_at') }} as loaded_at
    from {{ source('tax', 'avatax_transactions') }}
),

listed as (
    select distinct
        tax_engine_id,
        kind,
        transaction_id
    from {{ source('tax', 'taxjar_listings') }}
),

taxjar as (
    select
        source.tax_engine_id || ':' || source.kind || ':' || source.transaction_id as tax_document_key,
        source.tax_engine_id,
        'taxjar' as tax_engine_system,
        'taxjar_transactions' as source_table,
        source.transaction_id as document_id,
        source.transaction_id as document_code,
        cast(null as bigint) as document_version,
        source.kind as source_type,
        case source.kind when 'order' then 'sale' when 'refund' then 'return' else 'unknown' end as document_type,
        case when listed.transaction_id is null then 'deleted' else 'listed' end as source_status,
        case when listed.transaction_id is null then 'deleted' else 'committed' end as document_status,
        true as is_current,
        false as is_locked,
        case
            when source.kind = 'refund' then nullif(trim(source.transaction_reference_id), '')
            else source.transaction_id
        end as order_reference,
        case when source.kind = 'refund' then source.transaction_id end as refund_reference,
        cast(null as varchar) as payment_reference,
        upper(source.currency) as currency_code,
        cast({{ utc_timestamp('source.transaction_date') }} as date) as document_date,
        -- Older integrations send refunds without a sign, newer ones with it; TaxJar takes off both.
        case
            when source.kind = 'refund' then -abs(cast(source.amount as decimal(18, 4)))
            else cast(source.amount as decimal(18, 4))
        end as document_amount,
        cast(null as decimal(18, 4)) as taxable_amount,
        cast(null as decimal(18, 4)) as exempt_amount,
        case
            when source.kind = 'refund' then -abs(cast(source.sales_tax as decimal(18, 4)))
            else cast(source.sales_tax as decimal(18, 4))
        end as tax_amount,
        cast(null as timestamp) as modified_at,
        source._payload_sha256 as payload_sha256,
        {{ utc_timestamp('source._loaded_at') }} as loaded_at
    from {{ source('tax', 'taxjar_transactions') }} as source
    left join listed
        on
            source.tax_engine_id = listed.tax_engine_id
            and source.kind = listed.kind
            and source.transaction_id = listed.transaction_id
),

-- The report repeats a line item for each jurisdiction; its amount counts once, its taxed part where it is largest.
stripe_rows as (
    select
        *,
        row_number() over (
            partition by tax_engine_id, id, line_item_id
            order by
                abs(coalesce(taxable_amount, 0)) desc, jurisdiction_level asc, jurisdiction_name asc, tax_name asc,
                occurrence asc
        ) = 1 as stands_for_line
    from {{ source('tax', 'stripe_tax_rows') }}
),

stripe_tax as (
    select
        tax_engine_id || ':' || id as tax_document_key,
        tax_engine_id,
        'stripe_tax' as tax_engine_system,
        'stripe_tax_rows' as source_table,
        id as document_id,
        id as document_code,
        cast(null as bigint) as document_version,
        min(type) as source_type,
        case when min(type) in ('refund', 'credit_note') then 'return' else 'sale' end as document_type,
        'committed' as source_status,
        'committed' as document_status,
        true as is_current,
        false as is_locked,
        nullif(max(order_reference), '') as order_reference,
        case when min(type) in ('refund', 'credit_note') then id end as refund_reference,
        id as payment_reference,
        upper(min(currency)) as currency_code,
        cast(substring(min(transaction_date) from 1 for 10) as date) as document_date,
        cast(sum(case when stands_for_line then subtotal else 0 end) as decimal(18, 4)) as document_amount,
        cast(sum(case when stands_for_line then coalesce(taxable_amount, 0) else 0 end) as decimal(18, 4))
            as taxable_amount,
        cast(sum(case when stands_for_line then coalesce(non_taxable_amount, 0) else 0 end) as decimal(18, 4))
            as exempt_amount,
        cast(sum(tax_amount) as decimal(18, 4)) as tax_amount,
        cast(null as timestamp) as modified_at,
        max(file_sha256) as payload_sha256,
        {{ utc_timestamp('max(_loaded_at)') }} as loaded_at
    from stripe_rows
    group by tax_engine_id, id
)

select * from avatax
union all
select * from taxjar
union all
select * from stripe_tax
