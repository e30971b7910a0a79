{{ config(materialized='view') }}

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
    description
from {{ ref('int_journal_lines_balanced') }}
