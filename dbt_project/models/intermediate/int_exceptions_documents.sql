{{ config(materialized='view') }}

-- Invoices and credit notes that the ERP should have, of entities that say so (policy invoices), from the first invoice
-- on that names one of their orders.
with expecting as (
    select
        entities.entity_code,
        entities.settlement_grace_days,
        entities.tolerance_minor_units,
        min(documents.posting_date) as first_invoiced_on
    from {{ ref('stg_ops__entities') }} as entities
    inner join {{ ref('int_erp_documents_placed') }} as documents on entities.entity_code = documents.entity_code
    where
        entities.invoices = 'erp'
        and documents.document_type = 'sales_invoice'
        and documents.document_status = 'submitted'
        and documents.order_key is not null
    group by entities.entity_code, entities.settlement_grace_days, entities.tolerance_minor_units
),

-- A number that two orders share is no order's: whose invoice is missing nobody can say.
numbers as (
    select
        orders.entity_code,
        orders.order_number
    from {{ ref('int_orders_enriched') }} as orders
    inner join expecting on orders.entity_code = expecting.entity_code
    group by orders.entity_code, orders.order_number
    having count(*) = 1
),

documents as (
    select
        order_key,
        max(currency_code) as currency_code,
        count(distinct currency_code) as currency_count,
        count(case when document_type = 'sales_invoice' and document_status = 'submitted' then 1 end) as invoice_count,
        sum(
            case
                when document_type = 'sales_invoice' and document_status = 'submitted' then document_amount else 0
            end
        ) as invoiced_amount,
        -sum(
            case when document_type = 'credit_note' and document_status = 'submitted' then document_amount else 0 end
        ) as credited_amount,
        max(case when document_type = 'sales_invoice' and document_status = 'submitted' then posting_date end)
            as last_invoiced_on,
        min(case when document_status = 'draft' then document_number end) as draft_number
    from {{ ref('int_erp_documents_placed') }}
    where order_key is not null
    group by order_key
),

orders as (
    select
        judged.order_key,
        judged.store_id,
        judged.entity_code,
        judged.gateway_id,
        judged.order_number,
        judged.store_status,
        judged.order_status,
        judged.currency_code,
        judged.total_amount,
        judged.store_refunded_amount,
        judged.captured_at,
        enriched.gift_card_amount,
        judged.is_edited_after_payment,
        coalesce(documents.invoice_count, 0) as invoice_count,
        documents.currency_count,
        documents.currency_code as document_currency_code,
        documents.invoiced_amount,
        coalesce(documents.credited_amount, 0) as credited_amount,
        documents.last_invoiced_on,
        documents.draft_number,
        enriched.accounting_date >= expecting.first_invoiced_on as is_covered,
        judged.captured_at
        <= {{ add_days('clock.as_of', '-expecting.settlement_grace_days') }} as is_due,
        {{ minor_units('expecting.tolerance_minor_units', 'enriched.currency_digits') }} as tolerance_amount
    from {{ ref('int_orders_judged') }} as judged
    inner join expecting on judged.entity_code = expecting.entity_code
    inner join numbers on judged.entity_code = numbers.entity_code and judged.order_number = numbers.order_number
    inner join {{ ref('int_orders_enriched') }} as enriched on judged.order_key = enriched.order_key
    cross join {{ ref('stg_ops__clock') }} as clock
    left join documents on judged.order_key = documents.order_key
    where judged.order_status in ('captured', 'settled', 'refunded', 'disputed', 'duplicate_payment')
),

-- Where the notes of an order cover its refunds together, none is missing.
refunds as (
    select
        credited.refund_key,
        credited.store_id,
        credited.entity_code,
        credited.gateway_id,
        credited.order_key,
        credited.currency_code,
        credited.store_refund_amount,
        credited.store_refunded_at,
        orders.order_number,
        orders.invoiced_amount,
        orders.credited_amount
    from {{ ref('int_refunds_credited') }} as credited
    inner join orders on credited.order_key = orders.order_key
    inner join expecting on orders.entity_code = expecting.entity_code
    cross join {{ ref('stg_ops__clock') }} as clock
    where
        credited.store_refund_key is not null
        and credited.store_refund_amount > 0
        and not credited.is_failed
        and credited.credit_note_key is null
        and credited.store_refunded_at <= {{ add_days('clock.as_of', '-expecting.settlement_grace_days') }}
        and orders.invoice_count > 0
        and orders.credited_amount + orders.tolerance_amount < orders.store_refunded_amount
)

select
    'invoice_missing' as exception_type,
    order_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(total_amount as decimal(18, 4)) as amount_at_risk,
    currency_code,
    captured_at as opened_at,
    {{ json_text([
        ("order_number", "order_number"),
        ("store_status", "store_status"),
        ("order_total", "cast(total_amount as varchar)"),
        ("draft", "draft_number"),
    ]) }} as evidence
from orders
-- What was given back before it was invoiced needs no invoice.
where is_covered and is_due and invoice_count = 0 and order_status <> 'refunded'

union all
select
    'invoice_mismatch' as exception_type,
    order_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(abs(invoiced_amount - total_amount) as decimal(18, 4)) as amount_at_risk,
    currency_code,
    cast(last_invoiced_on as timestamp) as opened_at,
    {{ json_text([
        ("order_number", "order_number"),
        ("store_status", "store_status"),
        ("order_total", "cast(total_amount as varchar)"),
        ("gift_cards", "cast(gift_card_amount as varchar)"),
        ("invoiced", "cast(cast(invoiced_amount as decimal(18, 4)) as varchar)"),
        ("invoices", "invoice_count"),
    ]) }} as evidence
from orders
where
    invoice_count > 0
    and currency_count = 1
    and document_currency_code = currency_code
    and not is_edited_after_payment
    -- The invoice may name what was left to pay or what was bought.
    and abs(invoiced_amount - total_amount) > tolerance_amount
    and abs(invoiced_amount - total_amount - gift_card_amount) > tolerance_amount
    -- Of an order that is still being shipped, the rest may come.
    and (store_status = 'completed' or invoiced_amount > total_amount + gift_card_amount)

union all
select
    'refund_not_in_erp' as exception_type,
    refund_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(store_refund_amount as decimal(18, 4)) as amount_at_risk,
    currency_code,
    store_refunded_at as opened_at,
    {{ json_text([
        ("order_number", "order_number"),
        ("refund", "cast(store_refund_amount as varchar)"),
        ("invoiced", "cast(cast(invoiced_amount as decimal(18, 4)) as varchar)"),
        ("credited", "cast(cast(credited_amount as decimal(18, 4)) as varchar)"),
    ]) }} as evidence
from refunds
