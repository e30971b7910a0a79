with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'stripe'
),

-- Until API 2025-03-31.basil a capture of less than was authorised, and an authorisation that was let go, counted as
-- refunded what was never taken; since then they do not. The reversal's line in the ledger tells the two apart.
reversals as (
    select
        refunds.gateway_id,
        refunds.charge,
        sum(refunds.amount) as amount
    from {{ source('stripe', 'refunds') }} as refunds
    inner join {{ source('stripe', 'balance_transactions') }} as lines
        on refunds.gateway_id = lines.gateway_id and refunds.balance_transaction = lines.id
    where lines.reporting_category = 'partial_capture_reversal'
    group by refunds.gateway_id, refunds.charge
),

reported as (
    select
        report_lines.gateway_id,
        coalesce(report_lines.charge_id, report_lines.source_id) as payment_id,
        max(report_lines.intent_id) as intent_id,
        min(case when report_lines.source_category = 'charge' then report_lines.line_id end) as line_id,
        max(coalesce(report_lines.presentment_currency_code, report_lines.currency_code)) as currency_code,
        -- A charge may be captured in several parts, or in full with a line that takes back what was not.
        sum(
            case when report_lines.gross_amount < 0 then -1 else 1 end
            * abs(coalesce(report_lines.presentment_amount, report_lines.gross_amount))
        ) as captured_amount,
        max(report_lines.store_order_key) as store_order_key,
        max(report_lines.order_reference) as order_reference,
        max(report_lines.merchant_reference) as merchant_reference,
        max(report_lines.site_url) as site_url,
        max(case when report_lines.source_category = 'charge' then report_lines.description end) as description,
        max(report_lines.payment_method_type) as payment_method_type,
        max(report_lines.card_brand) as card_brand,
        max(report_lines.card_country) as card_country,
        min(report_lines.booked_at) as created_at,
        min(report_lines.file_sha256) as file_sha256,
        max(report_lines.loaded_at) as loaded_at
    from {{ ref('stg_stripe__report_lines') }} as report_lines
    left join {{ source('stripe', 'charges') }} as charges
        on
            report_lines.gateway_id = charges.gateway_id
            and coalesce(report_lines.charge_id, report_lines.source_id) = charges.id
    where
        charges.id is null
        and (
            report_lines.source_category = 'charge'
            or (report_lines.source_category = 'partial_capture_reversal' and report_lines.charge_id is not null)
        )
    group by report_lines.gateway_id, coalesce(report_lines.charge_id, report_lines.source_id)
),

given_back as (
    select
        gateway_id,
        charge_id,
        sum(abs(coalesce(presentment_amount, gross_amount))) as amount
    from {{ ref('stg_stripe__report_lines') }}
    where source_category = 'refund'
    group by gateway_id, charge_id
),

disputed as (
    select distinct
        gateway_id,
        charge_id
    from {{ ref('stg_stripe__report_lines') }}
    where source_category = 'dispute'
)

select
    source.gateway_id || ':' || source.id as payment_key,
    source.gateway_id,
    'stripe' as gateway_system,
    'charges' as source_table,
    source.id as payment_id,
    source.payment_intent as intent_id,
    source.balance_transaction as line_id,
    -- Since 2025-03-31.basil only the intent tells that an authorisation was let go.
    case
        when intents.is_released and source.status = 'succeeded' and not coalesce(source.captured, false)
            then 'canceled'
        else source.status
    end as payment_status,
    upper(source.currency) as currency_code,
    {{ from_minor('source.amount', 'exponents.exponent') }} as authorised_amount,
    case
        when source.captured
            then {{ from_minor('coalesce(source.amount_captured, source.amount)', 'exponents.exponent') }}
        else cast(0 as decimal(18, 4))
    end as captured_amount,
    case
        when source.captured
            then {{ from_minor(
                'greatest(coalesce(source.amount_refunded, 0) - coalesce(reversals.amount, 0), 0)', 'exponents.exponent'
            ) }}
        else cast(0 as decimal(18, 4))
    end as refunded_amount,
    coalesce(source.livemode, true) as is_live,
    coalesce(source.captured, false) as is_captured,
    coalesce(source.disputed, false) as is_disputed,
    nullif(trim(source.metadata_order_key), '') as store_order_key,
    nullif(trim(source.metadata_order_id), '') as order_reference,
    nullif(trim(source.metadata_merchant_reference), '') as merchant_reference,
    nullif(trim(source.metadata_site_url), '') as site_url,
    source.description,
    source.failure_code,
    source.payment_method_type,
    source.card_brand,
    source.card_country,
    {{ epoch_to_utc('source.created') }} as created_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('stripe', 'charges') }} as source
left join exponents on upper(source.currency) = exponents.currency_code
left join reversals on source.gateway_id = reversals.gateway_id and source.id = reversals.charge
left join {{ ref('stg_stripe__payment_intents') }} as intents
    on source.gateway_id = intents.gateway_id and source.payment_intent = intents.intent_id

union all
select
    reported.gateway_id || ':' || reported.payment_id as payment_key,
    reported.gateway_id,
    'stripe' as gateway_system,
    'report_lines' as source_table,
    reported.payment_id,
    reported.intent_id,
    reported.line_id,
    'succeeded' as payment_status,
    reported.currency_code,
    cast(reported.captured_amount as decimal(18, 4)) as authorised_amount,
    cast(reported.captured_amount as decimal(18, 4)) as captured_amount,
    cast(coalesce(given_back.amount, 0) as decimal(18, 4)) as refunded_amount,
    -- Reports are made with live keys only.
    true as is_live,
    true as is_captured,
    disputed.charge_id is not null as is_disputed,
    reported.store_order_key,
    reported.order_reference,
    reported.merchant_reference,
    reported.site_url,
    reported.description,
    cast(null as varchar) as failure_code,
    reported.payment_method_type,
    reported.card_brand,
    reported.card_country,
    reported.created_at,
    reported.file_sha256 as payload_sha256,
    reported.loaded_at
from reported
left join given_back on reported.gateway_id = given_back.gateway_id and reported.payment_id = given_back.charge_id
left join disputed on reported.gateway_id = disputed.gateway_id and reported.payment_id = disputed.charge_id
