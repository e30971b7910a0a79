{{ config(materialized='view') }}

-- Tax on which the store, the engine and the ledger do not agree: one exception for each jurisdiction and month. Where
-- the ledger has what the store charged, one cause is told once, as the store's.
with differences as (
    select
        entity_code,
        tax_jurisdiction,
        currency_code,
        period_month,
        tax_subject_key,
        tax_date,
        case when store_status = 'amount_diff' then 'tax_store_vs_engine' else 'tax_engine_vs_ledger' end
            as exception_type,
        store_tax_amount,
        engine_tax_amount,
        ledger_tax_amount,
        case when store_status = 'amount_diff' then store_difference_amount else ledger_difference_amount end
            as difference_amount
    from {{ ref('int_tax_compared') }}
    where store_status = 'amount_diff' or (ledger_status = 'amount_diff' and not ledger_is_store)
),

summed as (
    select
        exception_type,
        entity_code,
        tax_jurisdiction,
        currency_code,
        substring(cast(period_month as varchar) from 1 for 7) as tax_month,
        count(*) as difference_count,
        sum(store_tax_amount) as store_tax_amount,
        sum(engine_tax_amount) as engine_tax_amount,
        sum(ledger_tax_amount) as ledger_tax_amount,
        sum(abs(difference_amount)) as amount_at_risk,
        min(tax_subject_key) as first_subject_key,
        min(tax_date) as first_date
    from differences
    group by
        exception_type, entity_code, tax_jurisdiction, currency_code,
        substring(cast(period_month as varchar) from 1 for 7)
)

select
    exception_type,
    entity_code || ':' || tax_jurisdiction || ':' || currency_code || ':' || tax_month as subject_key,
    entity_code,
    cast(null as varchar) as store_id,
    cast(null as varchar) as gateway_id,
    cast(null as varchar) as order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(amount_at_risk as decimal(18, 4)) as amount_at_risk,
    currency_code,
    cast(first_date as timestamp) as opened_at,
    {{ json_text([
        ("jurisdiction", "tax_jurisdiction"),
        ("month", "tax_month"),
        ("differences", "difference_count"),
        ("store_tax", "cast(cast(store_tax_amount as decimal(18, 4)) as varchar)"),
        ("engine_tax", "cast(cast(engine_tax_amount as decimal(18, 4)) as varchar)"),
        ("ledger_tax", "cast(cast(ledger_tax_amount as decimal(18, 4)) as varchar)"),
        ("first", "first_subject_key"),
    ]) }} as evidence
from summed
