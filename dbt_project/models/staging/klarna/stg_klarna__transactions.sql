-- The transactions of each payout as they were told, in major units and without a sign of their own but for
-- corrections. Those of a settlement report are named as those of the API are.
with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'iso'
),

payouts as (
    select
        gateway_id,
        source_table,
        payout_id,
        file_name,
        paid_at
    from {{ ref('stg_klarna__payout_totals') }}
),

reported as (
    select
        report_lines.*,
        upper(report_lines.type) as plain_type,
        nullif(trim(report_lines.capture_id), '') as given_capture_id,
        nullif(trim(report_lines.refund_id), '') as given_refund_id,
        payouts.paid_at
    from {{ source('klarna', 'report_lines') }} as report_lines
    inner join payouts
        on
            report_lines.gateway_id = payouts.gateway_id
            and report_lines.payment_reference = payouts.payout_id
            and report_lines.file_name = payouts.file_name
)

select
    source.gateway_id,
    'transactions' as source_table,
    source.id,
    source.payment_reference as payout_id,
    source.type,
    source.detailed_type,
    nullif(trim(source.order_id), '') as order_id,
    nullif(trim(source.capture_id), '') as capture_id,
    nullif(trim(source.refund_id), '') as refund_id,
    nullif(trim(source.merchant_reference1), '') as merchant_reference1,
    source.initial_payment_method_type,
    source.currency as currency_code,
    {{ from_minor('source.amount', 'exponents.exponent') }} as amount,
    coalesce(
        {{ utc_timestamp(
            "cast(coalesce(nullif(source.capture_date, ''), nullif(source.sale_date, '')) as timestamptz)"
        ) }},
        payouts.paid_at
    ) as booked_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('klarna', 'transactions') }} as source
inner join payouts
    on
        source.gateway_id = payouts.gateway_id
        and source.payment_reference = payouts.payout_id
        and payouts.source_table = 'payouts'
left join exponents on source.currency = exponents.currency_code

union all
select
    gateway_id,
    'report_lines' as source_table,
    plain_type || '/' || order_id || '/' || coalesce(given_capture_id, given_refund_id, '') || '/' || detailed_type
    || '/' || cast(occurrence as varchar) as id,
    payment_reference as payout_id,
    plain_type as type,
    nullif(detailed_type, '') as detailed_type,
    nullif(trim(order_id), '') as order_id,
    given_capture_id as capture_id,
    given_refund_id as refund_id,
    nullif(trim(merchant_reference1), '') as merchant_reference1,
    initial_payment_method_type,
    currency as currency_code,
    case when plain_type = 'CORRECTION' then amount else abs(amount) end as amount,
    coalesce({{ utc_timestamp('capture_date') }}, {{ utc_timestamp('sale_date') }}, paid_at) as booked_at,
    file_sha256 as payload_sha256,
    {{ utc_timestamp('_loaded_at') }} as loaded_at
from reported
