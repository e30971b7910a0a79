-- Tax of each order, of its sale and of its refunds together, by jurisdiction: what the store charged, what the engine
-- has on record and what the ledger has. Compared order by order, so that nothing is set off against another order and
-- a sale on the last evening of a month is in the same month on all sides.
with covered as (
    select
        engine_stores.store_id,
        min(documents.document_date) as first_document_date
    from {{ ref('stg_ops__tax_engine_stores') }} as engine_stores
    inner join {{ ref('stg_tax__documents') }} as documents on engine_stores.tax_engine_id = documents.tax_engine_id
    group by engine_stores.store_id
),

orders as (
    select
        orders.order_key,
        orders.entity_code,
        orders.currency_code,
        orders.currency_digits,
        orders.is_paid_in_store,
        orders.accounting_date,
        orders.created_at,
        -- Nobody asked the engine about what was sold before its first document.
        coalesce(orders.accounting_date >= covered.first_document_date, false) as has_engine
    from {{ ref('int_orders_enriched') }} as orders
    left join covered on orders.store_id = covered.store_id
),

sides as (
    select
        orders.order_key as tax_subject_key,
        orders.order_key,
        orders.entity_code,
        'sale' as tax_event,
        taxes.tax_jurisdiction,
        orders.currency_code,
        case when orders.has_engine then 1 else 0 end as engine_count,
        {{ round_money('taxes.tax_amount', 'orders.currency_digits') }} as store_tax_amount,
        cast(0 as decimal(18, 4)) as engine_tax_amount,
        cast(0 as decimal(18, 4)) as ledger_tax_amount,
        orders.accounting_date as store_date,
        cast(null as date) as engine_date,
        cast(null as date) as ledger_date,
        orders.created_at as occurred_at
    from {{ ref('int_tax_split_by_jurisdiction') }} as taxes
    inner join orders on taxes.subject_key = orders.order_key and taxes.subject = 'order'
    where orders.is_paid_in_store

    union all
    select
        orders.order_key as tax_subject_key,
        orders.order_key,
        orders.entity_code,
        'return' as tax_event,
        taxes.tax_jurisdiction,
        orders.currency_code,
        case when orders.has_engine then 1 else 0 end as engine_count,
        -{{ round_money('taxes.tax_amount', 'orders.currency_digits') }} as store_tax_amount,
        cast(0 as decimal(18, 4)) as engine_tax_amount,
        cast(0 as decimal(18, 4)) as ledger_tax_amount,
        refunds.accounting_date as store_date,
        cast(null as date) as engine_date,
        cast(null as date) as ledger_date,
        refunds.created_at as occurred_at
    from {{ ref('int_store_refunds_prepared') }} as refunds
    inner join orders on refunds.order_key = orders.order_key
    inner join {{ ref('int_tax_split_by_jurisdiction') }} as taxes
        on
            taxes.subject = case refunds.tax_split when 'named' then 'refund' when 'whole_order' then 'order' end
            and taxes.subject_key
            = case refunds.tax_split when 'named' then refunds.refund_key when 'whole_order' then refunds.order_key end

    union all
    select
        coalesce(documents.order_key, documents.tax_document_key) as tax_subject_key,
        documents.order_key,
        documents.entity_code,
        documents.document_type as tax_event,
        documents.tax_jurisdiction,
        documents.currency_code,
        1 as engine_count,
        cast(0 as decimal(18, 4)) as store_tax_amount,
        documents.tax_amount as engine_tax_amount,
        cast(0 as decimal(18, 4)) as ledger_tax_amount,
        cast(null as date) as store_date,
        documents.document_date as engine_date,
        cast(null as date) as ledger_date,
        cast(documents.document_date as timestamp) as occurred_at
    from {{ ref('int_tax_documents_placed') }} as documents
    where documents.is_counted and documents.tax_amount <> 0

    union all
    select
        orders.order_key as tax_subject_key,
        orders.order_key,
        orders.entity_code,
        'sale' as tax_event,
        lines.tax_jurisdiction,
        lines.currency_code,
        case when orders.has_engine then 1 else 0 end as engine_count,
        cast(0 as decimal(18, 4)) as store_tax_amount,
        cast(0 as decimal(18, 4)) as engine_tax_amount,
        -lines.amount as ledger_tax_amount,
        cast(null as date) as store_date,
        cast(null as date) as engine_date,
        sales.posting_date as ledger_date,
        cast(null as timestamp) as occurred_at
    from {{ ref('int_journal_lines_balanced') }} as lines
    inner join {{ ref('int_sales_recognised') }} as sales on lines.entry_id = 'sale/' || sales.order_key
    inner join orders on sales.order_key = orders.order_key
    where lines.account_role = 'tax_payable'

    union all
    select
        orders.order_key as tax_subject_key,
        orders.order_key,
        orders.entity_code,
        'return' as tax_event,
        lines.tax_jurisdiction,
        lines.currency_code,
        case when orders.has_engine then 1 else 0 end as engine_count,
        cast(0 as decimal(18, 4)) as store_tax_amount,
        cast(0 as decimal(18, 4)) as engine_tax_amount,
        -lines.amount as ledger_tax_amount,
        cast(null as date) as store_date,
        cast(null as date) as engine_date,
        refunds.posting_date as ledger_date,
        cast(null as timestamp) as occurred_at
    from {{ ref('int_journal_lines_balanced') }} as lines
    inner join {{ ref('int_refunds_recognised') }} as refunds on lines.entry_id = 'refund/' || refunds.refund_key
    inner join orders on refunds.order_key = orders.order_key
    where lines.account_role = 'tax_payable'
),

summed as (
    select
        entity_code,
        tax_subject_key,
        min(order_key) as order_key,
        tax_event,
        tax_jurisdiction,
        currency_code,
        max(engine_count) = 1 as has_engine,
        sum(store_tax_amount) as store_tax_amount,
        sum(engine_tax_amount) as engine_tax_amount,
        sum(ledger_tax_amount) as ledger_tax_amount,
        coalesce(min(engine_date), min(store_date), min(ledger_date)) as tax_date,
        max(occurred_at) as last_occurred_at
    from sides
    group by entity_code, tax_subject_key, tax_event, tax_jurisdiction, currency_code
),

differing as (
    select
        summed.*,
        sales.order_key is not null as is_booked,
        summed.engine_tax_amount - summed.store_tax_amount as store_difference_amount,
        summed.engine_tax_amount - summed.ledger_tax_amount as ledger_difference_amount,
        {{ minor_units('entities.tolerance_minor_units', 'digits.exponent') }} as tolerance_amount,
        coalesce(
            summed.last_occurred_at > {{ add_days('clock.as_of', '-entities.settlement_grace_days') }}, false
        ) as is_recent
    from summed
    inner join {{ ref('stg_ops__entities') }} as entities on summed.entity_code = entities.entity_code
    cross join {{ ref('stg_ops__clock') }} as clock
    left join {{ ref('stg_ops__currency_exponents') }} as digits
        on summed.currency_code = digits.currency_code and digits.provider = 'iso'
    left join {{ ref('int_sales_recognised') }} as sales
        on summed.order_key = sales.order_key and sales.exchange_rate is not null
)

select
    entity_code,
    tax_subject_key,
    order_key,
    tax_event,
    tax_jurisdiction,
    currency_code,
    tax_date,
    cast(date_trunc('month', tax_date) as date) as period_month,
    has_engine,
    is_booked,
    cast(store_tax_amount as decimal(18, 4)) as store_tax_amount,
    cast(engine_tax_amount as decimal(18, 4)) as engine_tax_amount,
    cast(ledger_tax_amount as decimal(18, 4)) as ledger_tax_amount,
    cast(store_difference_amount as decimal(18, 4)) as store_difference_amount,
    cast(ledger_difference_amount as decimal(18, 4)) as ledger_difference_amount,
    case
        when not has_engine then 'no_engine'
        when store_difference_amount = 0 then 'matched'
        when abs(store_difference_amount) <= tolerance_amount then 'matched_tolerance'
        when is_recent then 'timing'
        else 'amount_diff'
    end as store_status,
    -- An order without recognised sale is in no ledger; why it is not is told elsewhere.
    case
        when not has_engine then 'no_engine'
        when not is_booked then 'not_booked'
        when ledger_difference_amount = 0 then 'matched'
        when abs(ledger_difference_amount) <= tolerance_amount then 'matched_tolerance'
        when is_recent then 'timing'
        else 'amount_diff'
    end as ledger_status,
    abs(store_tax_amount - ledger_tax_amount) <= tolerance_amount as ledger_is_store
from differing
