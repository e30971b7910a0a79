{{ config(materialized='view') }}

-- Sale: receivables, and what the shop owed for gift cards, against revenue (or the customer's deposit), tips,
-- shipping, tax and the cards that it sells; revenue by class of goods. Signed amounts: debit positive, credit
-- negative.
with sales as (
    select
        'sale/' || order_key as entry_id,
        order_key,
        entity_code,
        store_id,
        gateway_id,
        {{ entry_description('sale') }} as description,
        currency_code,
        currency_digits,
        base_currency_code,
        base_digits,
        exchange_rate,
        receivable_amount,
        -- Where revenue waits for another event, what will be revenue and shipping is owed to the customer until then.
        case when revenue_recognition <> 'capture' then 'customer_deposits' else 'revenue' end as revenue_role,
        -case when revenue_recognition <> 'capture' then revenue_amount + shipping_amount else revenue_amount end
            as whole_revenue_amount,
        -tips_amount as tips_amount,
        -case when revenue_recognition <> 'capture' then 0 else shipping_amount end as shipping_amount,
        gift_card_amount,
        -gift_cards_sold_amount as gift_cards_sold_amount
    from {{ ref('int_sales_recognised') }}
    where exchange_rate is not null
),

rounded_taxes as (
    select
        sales.entry_id,
        sales.base_digits,
        sales.exchange_rate,
        split.tax_jurisdiction,
        -{{ round_money('split.tax_amount', 'sales.currency_digits') }} as amount
    from sales
    inner join {{ ref('int_tax_split_by_jurisdiction') }} as split
        on sales.order_key = split.subject_key and split.subject = 'order'
),

converted_taxes as (
    select
        entry_id,
        tax_jurisdiction,
        amount,
        {{ convert_money('amount', 'exchange_rate', 'base_digits') }} as base_amount
    from rounded_taxes
),

taxes as (
    select
        *,
        count(case when base_amount <> 0 then 1 end) over (
            partition by entry_id order by tax_jurisdiction
        ) as tax_number
    from converted_taxes
),

tax_totals as (
    select
        entry_id,
        count(case when base_amount <> 0 then 1 end) as tax_lines,
        sum(case when base_amount <> 0 then amount else 0 end) as tax_amount,
        sum(base_amount) as base_tax_amount
    from converted_taxes
    group by entry_id
),

{{ revenue_classes('sale') }},

entries as (
    select
        sales.*,
        sales.whole_revenue_amount - coalesce(class_totals.class_amount, 0) as revenue_amount,
        {{ convert_money('sales.receivable_amount', 'sales.exchange_rate', 'sales.base_digits') }}
            as base_receivable_amount,
        {{ convert_money('sales.whole_revenue_amount', 'sales.exchange_rate', 'sales.base_digits') }}
        - coalesce(class_totals.base_class_amount, 0) as base_revenue_amount,
        {{ convert_money('sales.shipping_amount', 'sales.exchange_rate', 'sales.base_digits') }}
            as base_shipping_amount,
        {{ convert_money('sales.gift_card_amount', 'sales.exchange_rate', 'sales.base_digits') }}
            as base_gift_card_amount,
        {{ convert_money('sales.tips_amount', 'sales.exchange_rate', 'sales.base_digits') }} as base_tips_amount,
        {{ convert_money('sales.gift_cards_sold_amount', 'sales.exchange_rate', 'sales.base_digits') }}
            as base_gift_cards_sold_amount,
        tax_totals.tax_lines,
        tax_totals.tax_amount,
        tax_totals.base_tax_amount,
        class_totals.class_lines,
        class_totals.class_amount,
        class_totals.base_class_amount
    from sales
    left join tax_totals on sales.entry_id = tax_totals.entry_id
    left join class_totals on sales.entry_id = class_totals.entry_id
),

{{ entry_lines([
    {"name": "receivable", "role": "'receivables'"},
    {"name": "revenue", "role": "revenue_role"},
    {"name": "class", "role": "revenue_role"},
    {"name": "shipping", "role": "'shipping_income'", "when": "shipping_amount <> 0"},
    {"name": "tax", "role": "'tax_payable'"},
    {"name": "gift_card", "role": "'gift_card_liability'", "when": "gift_card_amount <> 0"},
    {"name": "tips", "role": "'tips_payable'", "when": "tips_amount <> 0"},
    {"name": "gift_cards_sold", "role": "'gift_card_liability'", "when": "gift_cards_sold_amount <> 0"},
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
