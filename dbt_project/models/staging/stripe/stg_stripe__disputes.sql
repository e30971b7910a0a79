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
        report_lines.source_id as dispute_id,
        max(report_lines.charge_id) as payment_id,
        max(report_lines.intent_id) as intent_id,
        max(report_lines.dispute_reason) as reason,
        max(coalesce(report_lines.presentment_currency_code, report_lines.currency_code)) as currency_code,
        max(
            case
                when report_lines.source_category = 'dispute'
                    then abs(coalesce(report_lines.presentment_amount, report_lines.gross_amount))
            end
        ) as dispute_amount,
        max(case when report_lines.source_category = 'dispute_reversal' then 1 else 0 end) as is_given_back,
        min(report_lines.booked_at) as created_at,
        min(report_lines.file_sha256) as file_sha256,
        max(report_lines.loaded_at) as loaded_at
    from {{ ref('stg_stripe__report_lines') }} as report_lines
    left join {{ source('stripe', 'disputes') }} as disputes
        on report_lines.gateway_id = disputes.gateway_id and report_lines.source_id = disputes.id
    where
        disputes.id is null
        and report_lines.source_category in ('dispute', 'dispute_reversal')
        and report_lines.source_id is not null
    group by report_lines.gateway_id, report_lines.source_id
)

select
    source.gateway_id || ':' || source.id as dispute_key,
    source.gateway_id,
    'stripe' as gateway_system,
    source.id as dispute_id,
    source.charge as payment_id,
    source.payment_intent as intent_id,
    source.reason,
    source.status as source_status,
    -- An inquiry (warning_…) moves no money; what is neither won nor lost is still open.
    case
        when source.status like 'warning%' then 'inquiry'
        when source.status in ('won', 'lost') then source.status
        when source.status = 'prevented' then 'won'
        else 'open'
    end as dispute_status,
    upper(source.currency) as currency_code,
    {{ from_minor('source.amount', 'exponents.exponent') }} as dispute_amount,
    {{ epoch_to_utc('source.created') }} as created_at,
    {{ epoch_to_utc('source.evidence_due_by') }} as evidence_due_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('stripe', 'disputes') }} as source
left join exponents on upper(source.currency) = exponents.currency_code

union all
-- Reports show what moved, not where the case stands: money that came back was won.
select
    gateway_id || ':' || dispute_id as dispute_key,
    gateway_id,
    'stripe' as gateway_system,
    dispute_id,
    payment_id,
    intent_id,
    reason,
    cast(null as varchar) as source_status,
    case is_given_back when 1 then 'won' else 'open' end as dispute_status,
    currency_code,
    cast(dispute_amount as decimal(18, 4)) as dispute_amount,
    created_at,
    cast(null as timestamp) as evidence_due_at,
    file_sha256 as payload_sha256,
    loaded_at
from reported
where dispute_amount is not null
