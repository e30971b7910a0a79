{{ config(materialized='table') }}

-- The rows that hold, each once. A batch that was delivered again in full replaces what came before; a report that is
-- not complete (cut off, edited, a part) only adds to it and overwrites row by row. Of files that came together the
-- one with the longer name is the later: "batch_7 (1).csv" is a second download of "batch_7.csv".
with versions as (
    select distinct
        gateway_id,
        merchant_account,
        batch_number,
        file_sha256,
        is_complete,
        file_name,
        _loaded_at
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
            order by _loaded_at desc, length(file_name) desc, file_name desc, file_sha256 desc
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
                details.gateway_id, details.batch_number, details.file_sha256, details.type, details.psp_reference,
                details.modification_reference,
                case when details.psp_reference is null then details.merchant_account end,
                case when details.psp_reference is null then details.net_currency end
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
        -- A psp reference is unique over all of Adyen; the other rows are told apart by account and currency.
        numbered.batch_number || '/' || numbered.type || '/' || coalesce(
            numbered.psp_reference, numbered.merchant_account || '/' || numbered.net_currency
        ) || '/' || coalesce(numbered.modification_reference, '') || '/' || cast(numbered.ordinal as varchar)
            as line_id
    from numbered
),

latest as (
    select
        identified.*,
        row_number() over (
            partition by identified.gateway_id, identified.merchant_account, identified.line_id
            order by identified.recency
        ) as preference
    from identified
),

signed as (
    select
        latest.*,
        cast(latest.net_credit - latest.net_debit as decimal(18, 4)) as net_amount,
        {{ regex_capture('latest.modification_reference', '[^A-Za-z0-9]*(TX[A-Za-z0-9]+)') }} as trace_id,
        -- Blended contracts fill the commission, interchange contracts the three parts; Payment Fees is their total.
        cast(latest.commission + latest.markup + latest.scheme_fees + latest.interchange as decimal(18, 4))
            as fee_amount,
        cast(latest.scheme_fees + latest.interchange as decimal(18, 4)) as passed_through_amount
    from latest
    where latest.preference = 1
),

transfers as (
    select
        gateway_id,
        merchant_account,
        batch_number,
        net_currency,
        min(trace_id) as trace_id
    from signed
    where type = 'MerchantPayout'
    group by gateway_id, merchant_account, batch_number, net_currency
),

-- A payout is called what the bank calls it; several of one name (a batch in two currencies) after their batch.
named as (
    select
        transfers.*,
        count(*) over (partition by gateway_id, trace_id) as namesakes
    from transfers
    where trace_id is not null
)

select
    signed.gateway_id,
    signed.line_id,
    signed.merchant_account,
    signed.batch_number,
    coalesce(
        case when named.namesakes = 1 then named.trace_id end,
        signed.merchant_account || '/' || signed.batch_number || '/' || signed.net_currency
    ) as payout_id,
    signed.type as source_type,
    -- Settled by another acquirer: an information, no money in this batch.
    signed.type not like '%Externally%' as is_clearing,
    signed.psp_reference,
    signed.modification_reference,
    signed.merchant_reference,
    signed.payment_method,
    signed.payment_method_variant,
    signed.shopper_country,
    signed.net_currency as currency_code,
    cast(signed.net_amount + signed.fee_amount as decimal(18, 4)) as gross_amount,
    signed.fee_amount,
    signed.passed_through_amount,
    signed.net_amount,
    coalesce(signed.gross_currency, signed.net_currency) as presentment_currency_code,
    -- What the customer paid (+) or got back (-). The net columns say which; where they say nothing, the gross columns.
    cast(
        case
            when signed.gross_currency is null or (signed.gross_debit = 0 and signed.gross_credit = 0)
                then signed.net_amount + signed.fee_amount
            when signed.net_amount + signed.fee_amount > 0
                then coalesce(nullif(signed.gross_credit, 0), signed.gross_debit)
            when signed.net_amount + signed.fee_amount < 0
                then -coalesce(nullif(signed.gross_debit, 0), signed.gross_credit)
            else signed.gross_credit - signed.gross_debit
        end as decimal(18, 4)
    ) as presentment_amount,
    case when signed.gross_currency <> signed.net_currency then signed.exchange_rate end as exchange_rate,
    signed.trace_id,
    {{ utc_timestamp('signed.created_at') }} as created_at,
    {{ utc_timestamp('signed.booked_at') }} as booked_at,
    signed.file_name,
    signed.row_number as file_row_number,
    signed.file_sha256,
    {{ utc_timestamp('signed._loaded_at') }} as loaded_at
from signed
left join named
    on
        signed.gateway_id = named.gateway_id
        and signed.merchant_account = named.merchant_account
        and signed.batch_number = named.batch_number
        and signed.net_currency = named.net_currency
