with refunds as (
    select
        lines.gateway_id,
        coalesce(lines.modification_reference, lines.line_id) as gateway_refund_id,
        min(lines.psp_reference) as payment_id,
        min(case when line_types.line_type = 'refund' then lines.line_id end) as line_id,
        min(case when line_types.line_type = 'refund_failure' then lines.line_id end) as failure_line_id,
        min(case when line_types.line_type = 'refund_failure' then lines.source_type end) as failure_reason,
        min(lines.presentment_currency_code) as currency_code,
        -sum(case when line_types.line_type = 'refund' then lines.presentment_amount else 0 end) as refund_amount,
        sum(case when line_types.line_type = 'refund_failure' then lines.presentment_amount else 0 end)
            as failed_amount,
        min(lines.created_at) as created_at,
        max(lines.file_sha256) as payload_sha256,
        max(lines.loaded_at) as loaded_at
    from {{ ref('stg_adyen__lines') }} as lines
    inner join {{ ref('stg_adyen__line_types') }} as line_types on lines.source_type = line_types.source_category
    where line_types.line_type in ('refund', 'refund_failure') and lines.is_clearing
    group by lines.gateway_id, coalesce(lines.modification_reference, lines.line_id)
)

select
    gateway_id || ':' || gateway_refund_id as gateway_refund_key,
    gateway_id,
    'adyen' as gateway_system,
    gateway_refund_id,
    payment_id,
    cast(null as varchar) as intent_id,
    line_id,
    failure_line_id,
    case when failed_amount > 0 and failed_amount >= refund_amount then 'failed' else 'succeeded' end as refund_status,
    cast(null as varchar) as reason,
    failure_reason,
    currency_code,
    -- A report may tell of the failure alone, when the refund itself is older than the first report.
    cast(case when line_id is null then failed_amount else refund_amount end as decimal(18, 4)) as refund_amount,
    created_at,
    payload_sha256,
    loaded_at
from refunds
