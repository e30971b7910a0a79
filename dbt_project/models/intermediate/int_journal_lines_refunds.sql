{{ config(materialized='view') }}

-- Credit note: sales returns, what was still a deposit, tips, cards taken back and tax against receivables, or against
-- the cards that paid. Signed amounts: debit positive, credit negative.
with deposits as (
    select
        refund_key,
        returned_amount,
        base_returned_amount
    from {{ ref('int_deposits_moved') }}
    where refund_key is not null
),

refunds as (
    select
        'refund/' || refund_key as entry_id,
        refund_key,
        order_key,
        entity_code,
        store_id,
        gateway_id,
        {{ entry_description('refund') }} as description,
        currency_code,
        currency_digits,
        base_currency_code,
        base_digits,
        exchange_rate,
        tax_split,
        -receivable_amount as receivable_amount,
        tips_amount,
        coalesce(gift_cards_sold_amount, 0) as gift_cards_sold_amount,
        case when is_returned_to_gift_card then 'gift_card_liability' else 'receivables' end as receivable_role
    from {{ ref('int_refunds_recognised') }}
),

rounded_taxes as (
    select
        refunds.entry_id,
        refunds.base_digits,
        refunds.exchange_rate,
        split.tax_jurisdiction,
        {{ round_money('split.tax_amount', 'refunds.currency_digits') }} as amount
    from refunds
    inner join {{ ref('int_tax_split_by_jurisdiction') }} as split
        on
            split.subject = case refunds.tax_split when 'named' then 'refund' when 'whole_order' then 'order' end
            and split.subject_key
            = case refunds.tax_split when 'named' then refunds.refund_key when 'whole_order' then refunds.order_key end
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
        sum(amount) as whole_tax_amount,
        sum(case when base_amount <> 0 then amount else 0 end) as tax_amount,
        sum(base_amount) as base_tax_amount
    from converted_taxes
    group by entry_id
),

returns as (
    select
        refunds.*,
        cast(
            -refunds.receivable_amount - coalesce(tax_totals.whole_tax_amount, 0) - refunds.tips_amount
            - refunds.gift_cards_sold_amount - coalesce(deposits.returned_amount, 0) as decimal(18, 4)
        ) as returns_amount,
        coalesce(deposits.returned_amount, 0) as deposit_amount,
        coalesce(deposits.base_returned_amount, 0) as base_deposit_amount,
        tax_totals.tax_lines,
        tax_totals.tax_amount,
        tax_totals.base_tax_amount
    from refunds
    left join tax_totals on refunds.entry_id = tax_totals.entry_id
    left join deposits on refunds.refund_key = deposits.refund_key
),

entries as (
    select
        *,
        {{ convert_money('returns_amount', 'exchange_rate', 'base_digits') }} as base_returns_amount,
        {{ convert_money('receivable_amount', 'exchange_rate', 'base_digits') }} as base_receivable_amount,
        {{ convert_money('tips_amount', 'exchange_rate', 'base_digits') }} as base_tips_amount,
        {{ convert_money('gift_cards_sold_amount', 'exchange_rate', 'base_digits') }} as base_gift_cards_sold_amount
    from returns
),

{{ entry_lines([
    {"name": "returns", "role": "'sales_returns'"},
    {"name": "tax", "role": "'tax_payable'"},
    {"name": "receivable", "role": "receivable_role"},
    {"name": "tips", "role": "'tips_payable'", "when": "tips_amount <> 0"},
    {"name": "gift_cards_sold", "role": "'gift_card_liability'", "when": "gift_cards_sold_amount <> 0"},
    {"name": "deposit", "role": "'customer_deposits'", "when": "deposit_amount <> 0"},
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
