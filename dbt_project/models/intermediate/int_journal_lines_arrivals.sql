{{ config(materialized='view') }}

-- Arrival of a payout: bank against cash in transit. Signed amounts: debit positive, credit negative.
with based as (
    select
        entry_id,
        entity_code,
        cast(null as varchar) as store_id,
        gateway_id,
        {{ entry_description('payout_arrival') }} as description,
        currency_code,
        base_currency_code,
        exchange_rate,
        sent_exchange_rate,
        bank_amount,
        -bank_amount as sent_amount,
        cast(0 as decimal(18, 4)) as fx_amount,
        {{ convert_money('bank_amount', 'exchange_rate', 'base_digits') }} as base_bank_amount,
        -{{ convert_money('bank_amount', 'sent_exchange_rate', 'base_digits') }} as base_sent_amount
    from {{ ref('int_payouts_arrived') }}
    where exchange_rate is not null
),

entries as (
    select
        *,
        cast(-base_sent_amount - base_bank_amount as decimal(18, 4)) as base_fx_amount
    from based
),

{{ entry_lines([
    {"name": "bank", "role": "'bank'"},
    {"name": "sent", "role": "'cash_in_transit'", "rate": "sent_exchange_rate"},
    {"name": "fx", "role": "'fx_gain_loss'", "when": "base_fx_amount <> 0"},
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
