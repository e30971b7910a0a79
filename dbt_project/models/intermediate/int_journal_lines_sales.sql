{{ config(materialized='view') }}

-- Sale: receivables, and what the shop owed for gift cards, against revenue, tips, shipping and tax. Signed amounts:
-- debit positive, credit negative.
with sales as (
    select
        'sale/' || order_key as entry_id,
        order_key,
        currency_code,
        currency_digits,
        base_digits,
        exchange_rate,
        receivable_amount,
        revenue_amount,
        tips_amount,
        shipping_amount,
        gift_card_amount
    from {{ ref('int_sales_recognised') }}
    where exchange_rate is not null
),

lines as (
    select
        entry_id,
        1 as line_order,
        'receivables' as account_role,
        cast(null as varchar) as tax_jurisdiction,
        receivable_amount as amount,
        currency_code,
        base_digits,
        exchange_rate
    from sales
    union all
    select
        entry_id,
        2 as line_order,
        'revenue' as account_role,
        cast(null as varchar) as tax_jurisdiction,
        -revenue_amount as amount,
        currency_code,
        base_digits,
        exchange_rate
    from sales
    union all
    select
        entry_id,
        3 as line_order,
        'shipping_income' as account_role,
        cast(null as varchar) as tax_jurisdiction,
        -shipping_amount as amount,
        currency_code,
        base_digits,
        exchange_rate
    from sales
    where shipping_amount <> 0
    union all
    select
        sales.entry_id,
        4 as line_order,
        'tax_payable' as account_role,
        taxes.tax_jurisdiction,
        -{{ round_money('taxes.tax_amount', 'sales.currency_digits') }} as amount,
        sales.currency_code,
        sales.base_digits,
        sales.exchange_rate
    from sales
    inner join {{ ref('int_tax_split_by_jurisdiction') }} as taxes
        on sales.order_key = taxes.subject_key and taxes.subject = 'order'
    union all
    select
        entry_id,
        5 as line_order,
        'gift_card_liability' as account_role,
        cast(null as varchar) as tax_jurisdiction,
        gift_card_amount as amount,
        currency_code,
        base_digits,
        exchange_rate
    from sales
    where gift_card_amount <> 0
    union all
    select
        entry_id,
        6 as line_order,
        'tips_payable' as account_role,
        cast(null as varchar) as tax_jurisdiction,
        -tips_amount as amount,
        currency_code,
        base_digits,
        exchange_rate
    from sales
    where tips_amount <> 0
)

select
    entry_id,
    line_order,
    account_role,
    cast(null as varchar) as gateway_id,
    tax_jurisdiction,
    amount,
    currency_code,
    exchange_rate,
    {{ convert_money('amount', 'exchange_rate', 'base_digits') }} as base_amount
from lines
