{{ config(materialized='table') }}

-- The rows that hold, each once. A batch that was delivered again in full replaces what came before; a report that is
-- not complete (cut off, edited, a part) only adds to it and overwrites row by row.
with versions as (
    select distinct
        gateway_id,
        merchant_account,
        batch_number,
        file_sha256,
        is_complete,
        file_modified_at,
        file_name
    from {{ source('adyen', 'batches') }}
),

ranked as (
    select
        gateway_id,
        merchant_account,
        batch_number,
        file_sha256,
        is_complete,
        row_number() over (
            partition by gateway_id, merchant_account, batch_number
            order by file_modified_at desc, file_name desc, file_sha256 desc
        ) as recency
    from versions
),

held as (
    select
        gateway_id,
        merchant_account,
        batch_number,
        min(case when is_complete then recency end) as complete_recency,
        count(*) as version_count
    from ranked
    group by gateway_id, merchant_account, batch_number
),

current_versions as (
    select
        ranked.gateway_id,
        ranked.merchant_account,
        ranked.batch_number,
        ranked.file_sha256,
        ranked.recency
    from ranked
    inner join held
        on
            ranked.gateway_id = held.gateway_id
            and ranked.merchant_account = held.merchant_account
            and ranked.batch_number = held.batch_number
    where ranked.recency <= coalesce(held.complete_recency, held.version_count)
),

-- Rows without a payment (fees, corrections) may be alike in everything but their amount, or in everything: they are
-- counted in an order of their content, so that neither a reordered nor a renewed report gives them another id.
numbered as (
    select
        details.*,
        current_versions.recency,
        row_number() over (
            partition by
                details.gateway_id, details.merchant_account, details.batch_number, details.file_sha256, details.type,
                details.psp_reference, details.modification_reference, details.net_currency
            order by
                details.net_credit - details.net_debit, details.created_at, details.booked_at, details.gross_currency,
                details.gross_credit - details.gross_debit, details.commission, details.markup, details.scheme_fees,
                details.interchange, details.merchant_reference, details.modification_merchant_reference,
                details.row_number
        ) as ordinal
    from {{ source('adyen', 'settlement_details') }} as details
    inner join current_versions
        on
            details.gateway_id = current_versions.gateway_id
            and details.merchant_account = current_versions.merchant_account
            and details.batch_number = current_versions.batch_number
            and details.file_sha256 = current_versions.file_sha256
),

identified as (
    select
        numbered.*,
        numbered.merchant_account || '/' || numbered.batch_number || '/' || numbered.type
        || '/' || coalesce(numbered.psp_reference, '') || '/' || coalesce(numbered.modification_reference, '')
        || '/' || numbered.net_currency || '/' || cast(numbered.ordinal as varchar) as line_id
    from numbered
),

latest as (
    select
        identified.*,
        row_number() over (partition by identified.gateway_id, identified.line_id order by identified.recency)
            as preference
    from identified
),

signed as (
    select
        latest.*,
        cast(latest.net_credit - latest.net_debit as decimal(18, 4)) as net_amount,
        -- Blended contracts fill the commission, interchange contracts the three parts; Payment Fees is their total.
        cast(latest.commission + latest.markup + latest.scheme_fees + latest.interchange as decimal(18, 4))
            as fee_amount
    from latest
    where latest.preference = 1
)

select
    gateway_id,
    line_id,
    merchant_account,
    batch_number,
    merchant_account || '/' || batch_number || '/' || net_currency as payout_id,
    type as source_type,
    -- Settled by another acquirer: an information, no money in this batch.
    type not like '%Externally%' as is_clearing,
    psp_reference,
    modification_reference,
    merchant_reference,
    payment_method,
    payment_method_variant,
    shopper_country,
    net_currency as currency_code,
    cast(net_amount + fee_amount as decimal(18, 4)) as gross_amount,
    fee_amount,
    net_amount,
    coalesce(gross_currency, net_currency) as presentment_currency_code,
    -- What the customer paid (+) or got back (-). The net columns say which; where they say nothing, the gross columns.
    cast(
        case
            when gross_currency is null or (gross_debit = 0 and gross_credit = 0) then net_amount + fee_amount
            when net_amount + fee_amount > 0 then case when gross_credit <> 0 then gross_credit else gross_debit end
            when net_amount + fee_amount < 0 then -case when gross_debit <> 0 then gross_debit else gross_credit end
            else gross_credit - gross_debit
        end as decimal(18, 4)
    ) as presentment_amount,
    case when gross_currency <> net_currency then exchange_rate end as exchange_rate,
    {{ regex_capture('modification_reference', '[^A-Za-z0-9]*(TX[A-Za-z0-9]+)') }} as trace_id,
    {{ utc_timestamp('created_at') }} as created_at,
    {{ utc_timestamp('booked_at') }} as booked_at,
    file_name,
    row_number as file_row_number,
    file_sha256,
    {{ utc_timestamp('_loaded_at') }} as loaded_at
from signed
