{{ config(materialized='view') }}

-- Credit note: sales returns, tips and tax against receivables. Signed amounts: debit positive, credit negative.
with taxes as (
    select
        refunds.refund_key,
        split.tax_jurisdiction,
        {{ round_money('split.tax_amount', 'refunds.currency_digits') }} as tax_amount
    from {{ ref('int_refunds_recognised') }} as refunds
    inner join {{ ref('int_tax_split_by_jurisdiction') }} as split
        on
            split.subject = case refunds.tax_split when 'named' then 'refund' when 'whole_order' then 'order' end
            and split.subject_key
            = case refunds.tax_split when 'named' then refunds.refund_key when 'whole_order' then refunds.order_key end
),

tax_totals as (
    select
        refund_key,
        sum(tax_amount) as tax_amount
    from taxes
    group by refund_key
),

refunds as (
    select
        'refund/' || refunds.refund_key as entry_id,
        refunds.refund_key,
        refunds.currency_code,
        refunds.base_digits,
        refunds.exchange_rate,
        refunds.receivable_amount,
        refunds.tips_amount,
        coalesce(tax_totals.tax_amount, 0) as tax_amount
    from {{ ref('int_refunds_recognised') }} as refunds
    left join tax_totals on refunds.refund_key = tax_totals.refund_key
),

lines as (
    select
        entry_id,
        1 as line_order,
        'sales_returns' as account_role,
        cast(null as varchar) as tax_jurisdiction,
        cast(receivable_amount - tax_amount - tips_amount as decimal(18, 4)) as amount,
        currency_code,
        base_digits,
        exchange_rate
    from refunds
    union all
    select
        refunds.entry_id,
        2 as line_order,
        'tax_payable' as account_role,
        taxes.tax_jurisdiction,
        taxes.tax_amount as amount,
        refunds.currency_code,
        refunds.base_digits,
        refunds.exchange_rate
    from refunds
    inner join taxes on refunds.refund_key = taxes.refund_key
    union all
    select
        entry_id,
        4 as line_order,
        'tips_payable' as account_role,
        cast(null as varchar) as tax_jurisdiction,
        tips_amount as amount,
        currency_code,
        base_digits,
        exchange_rate
    from refunds
    where tips_amount <> 0
    union all
    select
        entry_id,
        3 as line_order,
        'receivables' as account_role,
        cast(null as varchar) as tax_jurisdiction,
        -receivable_amount as amount,
        currency_code,
        base_digits,
        exchange_rate
    from refunds
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
