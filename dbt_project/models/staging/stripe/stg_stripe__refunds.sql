with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'stripe'
),

reported as (
    select
        report_lines.gateway_id,
        report_lines.source_id as gateway_refund_id,
        max(report_lines.charge_id) as payment_id,
        max(report_lines.intent_id) as intent_id,
        max(case when report_lines.source_category <> 'refund_failure' then report_lines.line_id end) as line_id,
        max(case when report_lines.source_category = 'refund_failure' then report_lines.line_id end) as failure_line_id,
        max(coalesce(report_lines.presentment_currency_code, report_lines.currency_code)) as currency_code,
        max(
            case
                when report_lines.source_category <> 'refund_failure'
                    then abs(coalesce(report_lines.presentment_amount, report_lines.gross_amount))
            end
        ) as refund_amount,
        min(report_lines.booked_at) as created_at,
        min(report_lines.file_sha256) as file_sha256,
        max(report_lines.loaded_at) as loaded_at
    from {{ ref('stg_stripe__report_lines') }} as report_lines
    left join {{ source('stripe', 'refunds') }} as refunds
        on report_lines.gateway_id = refunds.gateway_id and report_lines.source_id = refunds.id
    where
        refunds.id is null
        and report_lines.source_category in ('refund', 'refund_failure', 'partial_capture_reversal')
        and report_lines.source_id is not null
    group by report_lines.gateway_id, report_lines.source_id
)

select
    source.gateway_id || ':' || source.id as gateway_refund_key,
    source.gateway_id,
    'stripe' as gateway_system,
    source.id as gateway_refund_id,
    source.charge as payment_id,
    source.payment_intent as intent_id,
    source.balance_transaction as line_id,
    source.failure_balance_transaction as failure_line_id,
    source.status as refund_status,
    source.reason,
    source.failure_reason,
    upper(source.currency) as currency_code,
    {{ from_minor('source.amount', 'exponents.exponent') }} as refund_amount,
    {{ epoch_to_utc('source.created') }} as created_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('stripe', 'refunds') }} as source
left join exponents on upper(source.currency) = exponents.currency_code

union all
select
    gateway_id || ':' || gateway_refund_id as gateway_refund_key,
    gateway_id,
    'stripe' as gateway_system,
    gateway_refund_id,
    payment_id,
    intent_id,
    line_id,
    failure_line_id,
    case when failure_line_id is null then 'succeeded' else 'failed' end as refund_status,
    cast(null as varchar) as reason,
    cast(null as varchar) as failure_reason,
    currency_code,
    cast(refund_amount as decimal(18, 4)) as refund_amount,
    created_at,
    file_sha256 as payload_sha256,
    loaded_at
from reported
where line_id is not null
