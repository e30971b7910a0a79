{{ config(materialized='view') }}

-- What is given up: out of suspense, into the account of what is written off. Signed amounts: debit positive, credit
-- negative.
with entries as (
    select
        entry_id,
        entity_code,
        cast(null as varchar) as store_id,
        gateway_id,
        {{ entry_description('write_off') }} as description,
        currency_code,
        base_currency_code,
        exchange_rate,
        suspense_amount,
        base_suspense_amount,
        -suspense_amount as loss_amount,
        -base_suspense_amount as base_loss_amount
    from {{ ref('int_exceptions_written_off') }}
),

{{ entry_lines([
    {"name": "suspense", "role": "'suspense'"},
    {"name": "loss", "role": "'write_offs'"},
]) }}

select
    entry_id,
    cast(line_no as integer) as line_no,
    entity_code,
    account_role,
    store_id,
    gateway_id,
    tax_jurisdiction,
    amount,
    currency_code,
    exchange_rate,
    base_amount,
    base_currency_code,
    description
from lines
