{{ config(materialized='view') }}

-- Lines of the gateway's ledger and payouts: clearing by the net, the fee, and the other side. Signed amounts: debit
-- positive, credit negative.
with booked as (
    select
        entry_id,
        gateway_id,
        other_role,
        fee_role,
        currency_code,
        base_digits,
        base_exchange_rate as exchange_rate,
        net_amount,
        fee_amount,
        -- In books of the same currency the document itself carries what the customer owed.
        case
            when booked_base_amount is not null and currency_code = base_currency_code then booked_base_amount
            else other_amount
        end as other_amount,
        booked_base_amount
    from {{ ref('int_settlement_lines_booked') }}
    where base_exchange_rate is not null
),

based as (
    select
        booked.*,
        {{ convert_money('net_amount', 'exchange_rate', 'base_digits') }} as base_net_amount,
        {{ convert_money('fee_amount', 'exchange_rate', 'base_digits') }} as base_fee_amount,
        coalesce(booked_base_amount, {{ convert_money('other_amount', 'exchange_rate', 'base_digits') }})
            as base_other_amount
    from booked
)

select
    entry_id,
    1 as line_order,
    'gateway_clearing' as account_role,
    gateway_id,
    cast(null as varchar) as tax_jurisdiction,
    net_amount as amount,
    currency_code,
    exchange_rate,
    base_net_amount as base_amount
from based
union all
select
    entry_id,
    2 as line_order,
    fee_role as account_role,
    gateway_id,
    cast(null as varchar) as tax_jurisdiction,
    fee_amount as amount,
    currency_code,
    exchange_rate,
    base_fee_amount as base_amount
from based
where fee_amount <> 0
union all
select
    entry_id,
    3 as line_order,
    other_role as account_role,
    gateway_id,
    cast(null as varchar) as tax_jurisdiction,
    -other_amount as amount,
    currency_code,
    exchange_rate,
    -base_other_amount as base_amount
from based
union all
-- What the money was worth when it came, against what it was worth when it was booked.
select
    entry_id,
    4 as line_order,
    'fx_gain_loss' as account_role,
    gateway_id,
    cast(null as varchar) as tax_jurisdiction,
    cast(other_amount - net_amount - fee_amount as decimal(18, 4)) as amount,
    currency_code,
    exchange_rate,
    cast(base_other_amount - base_net_amount - base_fee_amount as decimal(18, 4)) as base_amount
from based
where booked_base_amount is not null
