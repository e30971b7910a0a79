{{ config(materialized='view') }}

-- A lost dispute: the loss against the receivable. Signed amounts: debit positive, credit negative.
with entries as (
    select
        entry_id,
        entity_code,
        split_part(order_key, ':', 1) as store_id,
        gateway_id,
        {{ entry_description('dispute_loss') }} as description,
        currency_code,
        base_currency_code,
        exchange_rate,
        lost_amount as loss_amount,
        base_lost_amount as base_loss_amount,
        -lost_amount as receivable_amount,
        -base_lost_amount as base_receivable_amount
    from {{ ref('int_disputes_written_off') }}
),

{{ entry_lines([
    {"name": "loss", "role": "'chargeback_losses'"},
    {"name": "receivable", "role": "'disputes_receivable'"},
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
