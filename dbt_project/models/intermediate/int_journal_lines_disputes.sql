{{ config(materialized='view') }}

-- A lost dispute: the loss against the receivable. Signed amounts: debit positive, credit negative.
select
    entry_id,
    1 as line_order,
    'chargeback_losses' as account_role,
    gateway_id,
    cast(null as varchar) as tax_jurisdiction,
    lost_amount as amount,
    currency_code,
    exchange_rate,
    base_lost_amount as base_amount
from {{ ref('int_disputes_written_off') }}
union all
select
    entry_id,
    2 as line_order,
    'disputes_receivable' as account_role,
    gateway_id,
    cast(null as varchar) as tax_jurisdiction,
    -lost_amount as amount,
    currency_code,
    exchange_rate,
    -base_lost_amount as base_amount
from {{ ref('int_disputes_written_off') }}
