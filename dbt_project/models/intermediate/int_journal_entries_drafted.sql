{{ config(materialized='view') }}

-- Heads of all journal entries that the evidence supports, with the event behind each. A foreign amount without a rate
-- in the books makes no entry: no rate is guessed.
select
    'sale/' || order_key as entry_id,
    'sale' as entry_type,
    'sale_captured' as event_type,
    entity_code,
    posting_date,
    captured_at as occurred_at,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(null as varchar) as refund_key,
    payment_key,
    gateway_id,
    {{ entry_description('sale') }} as description,
    currency_code,
    base_currency_code,
    exchange_rate
from {{ ref('int_sales_recognised') }}
where exchange_rate is not null
union all
select
    entry_id,
    'revenue' as entry_type,
    event_type,
    entity_code,
    posting_date,
    cast(posting_date as timestamp) as occurred_at,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(null as varchar) as refund_key,
    payment_key,
    gateway_id,
    {{ entry_description('revenue') }} as description,
    currency_code,
    base_currency_code,
    exchange_rate
from {{ ref('int_revenue_recognised') }}
union all
select
    'refund/' || refund_key as entry_id,
    'refund' as entry_type,
    'refund_approved' as event_type,
    entity_code,
    posting_date,
    refunded_at as occurred_at,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    refund_key,
    cast(null as varchar) as payment_key,
    gateway_id,
    {{ entry_description('refund') }} as description,
    currency_code,
    base_currency_code,
    exchange_rate
from {{ ref('int_refunds_recognised') }}
union all
select
    entry_id,
    entry_type,
    case entry_type when 'payout' then 'payout_sent' else 'settlement_line_booked' end as event_type,
    entity_code,
    accounting_date as posting_date,
    booked_at as occurred_at,
    case when other_role in ('receivables', 'disputes_receivable', 'chargeback_losses') then order_key end as order_key,
    settlement_key,
    settlement_line_key,
    cast(null as varchar) as bank_line_key,
    case when other_role = 'receivables' then store_refund_key end as refund_key,
    payment_key,
    gateway_id,
    {{ entry_description('settlement') }} as description,
    currency_code,
    base_currency_code,
    base_exchange_rate as exchange_rate
from {{ ref('int_settlement_lines_booked') }}
where base_exchange_rate is not null
union all
select
    entry_id,
    'payout_arrival' as entry_type,
    'payout_arrived' as event_type,
    entity_code,
    posting_date,
    cast(posting_date as timestamp) as occurred_at,
    cast(null as varchar) as order_key,
    settlement_key,
    cast(null as varchar) as settlement_line_key,
    bank_line_key,
    cast(null as varchar) as refund_key,
    cast(null as varchar) as payment_key,
    gateway_id,
    {{ entry_description('payout_arrival') }} as description,
    currency_code,
    base_currency_code,
    exchange_rate
from {{ ref('int_payouts_arrived') }}
where exchange_rate is not null
union all
select
    entry_id,
    'dispute_loss' as entry_type,
    'dispute_lost' as event_type,
    entity_code,
    posting_date,
    lost_at as occurred_at,
    order_key,
    cast(null as varchar) as settlement_key,
    settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(null as varchar) as refund_key,
    payment_key,
    gateway_id,
    {{ entry_description('dispute_loss') }} as description,
    currency_code,
    base_currency_code,
    exchange_rate
from {{ ref('int_disputes_written_off') }}
union all
select
    entry_id,
    'write_off' as entry_type,
    'exception_written_off' as event_type,
    entity_code,
    posting_date,
    written_off_at as occurred_at,
    cast(null as varchar) as order_key,
    settlement_key,
    settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(null as varchar) as refund_key,
    payment_key,
    gateway_id,
    {{ entry_description('write_off') }} as description,
    currency_code,
    base_currency_code,
    exchange_rate
from {{ ref('int_exceptions_written_off') }}
