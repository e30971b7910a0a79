{{ config(materialized='view') }}

-- The lines of what is to be posted: of entries by themselves, and of summaries.
with summarised as (
    select entry_id
    from {{ ref('int_journal_entries_judged') }}
    where summary_id is not null
),

signed as (
    select
        lines.entry_id,
        lines.line_no,
        lines.entity_code,
        lines.account_code,
        lines.account_role,
        lines.store_id,
        lines.gateway_id,
        lines.product_class,
        lines.cost_centre,
        lines.amount,
        lines.currency_code,
        lines.base_amount,
        lines.base_currency_code,
        lines.exchange_rate,
        lines.description
    from {{ ref('int_journal_lines_balanced') }} as lines
    left join summarised on lines.entry_id = summarised.entry_id
    where summarised.entry_id is null
    union all
    select
        entry_id,
        line_no,
        entity_code,
        account_code,
        account_role,
        store_id,
        gateway_id,
        product_class,
        cost_centre,
        amount,
        currency_code,
        base_amount,
        base_currency_code,
        exchange_rate,
        description
    from {{ ref('int_journal_lines_summarised') }}
)

select
    entry_id,
    line_no,
    entity_code,
    account_code,
    account_role,
    cast(greatest(amount, 0) as decimal(18, 4)) as debit_amount,
    cast(greatest(-amount, 0) as decimal(18, 4)) as credit_amount,
    currency_code,
    cast(greatest(base_amount, 0) as decimal(18, 4)) as base_debit_amount,
    cast(greatest(-base_amount, 0) as decimal(18, 4)) as base_credit_amount,
    base_currency_code,
    exchange_rate,
    store_id,
    gateway_id,
    product_class,
    cost_centre,
    description
from signed
