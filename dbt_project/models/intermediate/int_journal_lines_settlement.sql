{{ config(materialized='view') }}

-- Lines of the gateway's ledger and payouts: clearing by the net, the fee, and the other side. Signed amounts: debit
-- positive, credit negative.
with booked as (
    select
        entry_id,
        entity_code,
        case
            when other_role in ('receivables', 'disputes_receivable', 'chargeback_losses')
                then split_part(order_key, ':', 1)
        end as store_id,
        gateway_id,
        {{ entry_description('settlement') }} as description,
        other_role,
        fee_role,
        currency_code,
        base_currency_code,
        base_digits,
        base_exchange_rate as exchange_rate,
        net_amount,
        fee_amount,
        -- In books of the same currency the document itself carries what the customer owed.
        -case
            when booked_base_amount is not null and currency_code = base_currency_code then booked_base_amount
            else other_amount
        end as other_amount,
        booked_base_amount
    from {{ ref('int_settlement_lines_booked') }}
    where base_exchange_rate is not null
),

based as (
    select
        *,
        {{ convert_money('net_amount', 'exchange_rate', 'base_digits') }} as base_net_amount,
        {{ convert_money('fee_amount', 'exchange_rate', 'base_digits') }} as base_fee_amount,
        coalesce(-booked_base_amount, {{ convert_money('other_amount', 'exchange_rate', 'base_digits') }})
            as base_other_amount
    from booked
),

-- What the money was worth when it came, against what it was worth when it was booked.
entries as (
    select
        *,
        case
            when booked_base_amount is not null then cast(-other_amount - net_amount - fee_amount as decimal(18, 4))
        end as fx_amount,
        case
            when booked_base_amount is not null
                then cast(-base_other_amount - base_net_amount - base_fee_amount as decimal(18, 4))
        end as base_fx_amount
    from based
),

{{ entry_lines([
    {"name": "net", "role": "'gateway_clearing'"},
    {"name": "fee", "role": "fee_role", "when": "fee_amount <> 0"},
    {"name": "other", "role": "other_role"},
    {"name": "fx", "role": "'fx_gain_loss'", "when": "booked_base_amount is not null"},
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
