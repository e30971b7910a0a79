with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'stripe'
),

-- An export names the payout of each line; only those are known here, with what their lines add up to.
exported as (
    select
        report_lines.gateway_id,
        report_lines.deposit_id as payout_id,
        max(upper(report_lines.deposit_currency)) as currency_code,
        cast(sum(report_lines.net) as decimal(18, 4)) as payout_amount,
        max(lower(report_lines.deposit_status)) as plain_status,
        max(coalesce(report_lines.deposit_date, report_lines.date)) as arrives_at,
        min(report_lines.file_sha256) as file_sha256,
        max(report_lines._loaded_at) as loaded_at
    from {{ source('woopayments', 'report_lines') }} as report_lines
    left join {{ source('woopayments', 'deposits') }} as deposits
        on report_lines.gateway_id = deposits.gateway_id and report_lines.deposit_id = deposits.id
    where report_lines.deposit_id like 'po%' and deposits.id is null
    group by report_lines.gateway_id, report_lines.deposit_id
)

select
    source.gateway_id || ':' || source.id as settlement_key,
    source.gateway_id,
    'woopayments' as gateway_system,
    'deposits' as source_table,
    source.id as payout_id,
    source.status as payout_status,
    case when source.fee > 0 then 'instant' else 'standard' end as payout_method,
    -- The plugin lists no line of the payout itself: ours has its id.
    source.id as line_id,
    case when source.status in ('failed', 'canceled') then source.id || ':reversal' end as failure_line_id,
    cast(null as varchar) as failure_code,
    cast(null as varchar) as statement_descriptor,
    cast(null as varchar) as trace_id,
    upper(source.currency) as currency_code,
    {{ from_minor(
        "case when source.type = 'withdrawal' then -abs(source.amount) else source.amount end", 'exponents.exponent'
    ) }} as payout_amount,
    coalesce(source.automatic, true) as is_automatic,
    coalesce(source.automatic, true) as is_itemised,
    cast({{ epoch_to_utc('cast(floor(source.date / 1000) as bigint)') }} as date) as arrival_date,
    {{ epoch_to_utc('coalesce(source.created, cast(floor(source.date / 1000) as bigint))') }} as created_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('woopayments', 'deposits') }} as source
left join exponents on upper(source.currency) = exponents.currency_code
where source.id like 'po%' and source.status <> 'estimated'

union all
select
    gateway_id || ':' || payout_id as settlement_key,
    gateway_id,
    'woopayments' as gateway_system,
    'report_lines' as source_table,
    payout_id,
    case
        when plain_status like '%transit%' then 'in_transit'
        when plain_status like '%fail%' then 'failed'
        when plain_status like '%cancel%' then 'canceled'
        when plain_status like '%pending%' then 'pending'
        else 'paid'
    end as payout_status,
    cast(null as varchar) as payout_method,
    payout_id as line_id,
    case when plain_status like '%fail%' or plain_status like '%cancel%' then payout_id || ':reversal' end
        as failure_line_id,
    cast(null as varchar) as failure_code,
    cast(null as varchar) as statement_descriptor,
    cast(null as varchar) as trace_id,
    currency_code,
    payout_amount,
    true as is_automatic,
    true as is_itemised,
    cast({{ utc_timestamp('arrives_at') }} as date) as arrival_date,
    {{ utc_timestamp('arrives_at') }} as created_at,
    file_sha256 as payload_sha256,
    {{ utc_timestamp('loaded_at') }} as loaded_at
from exported
