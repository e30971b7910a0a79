{{ config(materialized='view') }}

-- A customer's deposit becomes revenue and shipping income. Signed amounts: debit positive, credit negative.
with entries as (
    select
        entry_id,
        entity_code,
        store_id,
        gateway_id,
        {{ entry_description('revenue') }} as description,
        currency_code,
        base_currency_code,
        exchange_rate,
        released_amount as deposit_amount,
        base_released_amount as base_deposit_amount,
        -revenue_amount as revenue_amount,
        -base_revenue_amount as base_revenue_amount,
        -shipping_amount as shipping_amount,
        -base_shipping_amount as base_shipping_amount
    from {{ ref('int_revenue_recognised') }}
),

{{ entry_lines([
    {"name": "deposit", "role": "'customer_deposits'"},
    {"name": "revenue", "role": "'revenue'"},
    {"name": "shipping", "role": "'shipping_income'", "when": "shipping_amount <> 0"},
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
