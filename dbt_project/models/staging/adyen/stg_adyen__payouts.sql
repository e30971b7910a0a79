-- One payout a batch and currency. A batch that a transfer to another one empties is paid out with zero; one whose
-- report lacks its payout is too, and what its lines add up to then shows as its residual.
with batches as (
    select
        gateway_id,
        payout_id,
        currency_code,
        -sum(case when source_type = 'MerchantPayout' then net_amount else 0 end) as payout_amount,
        sum(net_amount) as difference_amount,
        count(case when source_type = 'MerchantPayout' then 1 end) as payout_count,
        min(case when source_type = 'MerchantPayout' then line_id end) as line_id,
        min(case when source_type = 'MerchantPayout' then modification_reference end) as statement_descriptor,
        min(case when source_type = 'MerchantPayout' then trace_id end) as trace_id,
        max(created_at) as last_created_at,
        max(case when source_type = 'MerchantPayout' then created_at end) as paid_at,
        max(file_sha256) as payload_sha256,
        max(loaded_at) as loaded_at
    from {{ ref('stg_adyen__lines') }}
    where is_clearing
    group by gateway_id, payout_id, currency_code
),

-- A payout that the bank sent back: a later batch credits it, naming the transfer.
returns as (
    select
        gateway_id,
        trace_id,
        currency_code,
        sum(net_amount) as returned_amount,
        min(line_id) as line_id,
        min(source_type) as source_type
    from {{ ref('stg_adyen__lines') }}
    where source_type in ('BankInstructionReturned', 'PaidOutReversed') and trace_id is not null
    group by gateway_id, trace_id, currency_code
)

select
    batches.gateway_id || ':' || batches.payout_id as settlement_key,
    batches.gateway_id,
    'adyen' as gateway_system,
    'settlement_details' as source_table,
    batches.payout_id,
    case
        when returns.line_id is not null then 'failed'
        when batches.payout_count = 0 and batches.difference_amount <> 0 then 'pending'
        else 'paid'
    end as payout_status,
    'standard' as payout_method,
    batches.line_id,
    returns.line_id as failure_line_id,
    returns.source_type as failure_code,
    batches.statement_descriptor,
    batches.trace_id,
    batches.currency_code,
    cast(batches.payout_amount as decimal(18, 4)) as payout_amount,
    true as is_automatic,
    true as is_itemised,
    cast(coalesce(batches.paid_at, batches.last_created_at) as date) as arrival_date,
    coalesce(batches.paid_at, batches.last_created_at) as created_at,
    batches.payload_sha256,
    batches.loaded_at
from batches
left join returns
    on
        batches.gateway_id = returns.gateway_id
        and batches.trace_id = returns.trace_id
        and batches.currency_code = returns.currency_code
        and batches.payout_amount = returns.returned_amount
