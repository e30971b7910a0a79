{{ config(materialized='view') }}

-- A customer's deposit becomes revenue, by class of goods, and shipping income. Signed amounts: debit positive, credit
-- negative.
with {{ revenue_classes('revenue') }},

entries as (
    select
        revenue.entry_id,
        revenue.entity_code,
        revenue.store_id,
        revenue.gateway_id,
        {{ entry_description('revenue') }} as description,
        revenue.currency_code,
        revenue.base_currency_code,
        revenue.exchange_rate,
        revenue.released_amount as deposit_amount,
        revenue.base_released_amount as base_deposit_amount,
        -revenue.revenue_amount - coalesce(class_totals.class_amount, 0) as revenue_amount,
        -revenue.base_revenue_amount - coalesce(class_totals.base_class_amount, 0) as base_revenue_amount,
        -revenue.shipping_amount as shipping_amount,
        -revenue.base_shipping_amount as base_shipping_amount,
        class_totals.class_lines,
        class_totals.class_amount,
        class_totals.base_class_amount
    from {{ ref('int_revenue_recognised') }} as revenue
    left join class_totals on revenue.entry_id = class_totals.entry_id
),

{{ entry_lines([
    {"name": "deposit", "role": "'customer_deposits'"},
    {"name": "revenue", "role": "'revenue'"},
    {"name": "class", "role": "'revenue'"},
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
    product_class,
    amount,
    currency_code,
    exchange_rate,
    base_amount,
    base_currency_code,
    description
from lines
