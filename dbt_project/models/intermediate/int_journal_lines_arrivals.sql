{{ config(materialized='view') }}

-- Arrival of a payout: bank against cash in transit. Signed amounts: debit positive, credit negative.
with based as (
    select
        entry_id,
        gateway_id,
        currency_code,
        bank_amount,
        exchange_rate,
        sent_exchange_rate,
        {{ convert_money('bank_amount', 'exchange_rate', 'base_digits') }} as base_bank_amount,
        {{ convert_money('bank_amount', 'sent_exchange_rate', 'base_digits') }} as base_sent_amount
    from {{ ref('int_payouts_arrived') }}
    where exchange_rate is not null
)

select
    entry_id,
    1 as line_order,
    'bank' as account_role,
    gateway_id,
    cast(null as varchar) as tax_jurisdiction,
    bank_amount as amount,
    currency_code,
    exchange_rate,
    base_bank_amount as base_amount
from based
union all
select
    entry_id,
    2 as line_order,
    'cash_in_transit' as account_role,
    gateway_id,
    cast(null as varchar) as tax_jurisdiction,
    -bank_amount as amount,
    currency_code,
    sent_exchange_rate as exchange_rate,
    -base_sent_amount as base_amount
from based
union all
select
    entry_id,
    3 as line_order,
    'fx_gain_loss' as account_role,
    gateway_id,
    cast(null as varchar) as tax_jurisdiction,
    cast(0 as decimal(18, 4)) as amount,
    currency_code,
    exchange_rate,
    cast(base_sent_amount - base_bank_amount as decimal(18, 4)) as base_amount
from based
where base_sent_amount <> base_bank_amount
