with lines as (
    select
        lines.settlement_line_key,
        lines.settlement_key,
        lines.gateway_id,
        lines.entity_code,
        lines.line_type,
        lines.match_status,
        lines.currency_code,
        lines.net_amount,
        lines.booked_at,
        cast({{ days_between('lines.booked_at', 'clock.as_of') }} as integer) as age_days
    from {{ ref('int_settlement_lines_judged') }} as lines
    cross join {{ ref('stg_ops__clock') }} as clock
    where lines.match_status not in ('matched', 'matched_tolerance', 'fx_diff', 'fee_only', 'non_order')
)

select
    settlement_line_key,
    settlement_key,
    gateway_id,
    entity_code,
    line_type,
    match_status,
    currency_code,
    net_amount,
    booked_at,
    age_days,
    case
        when age_days <= 2 then '0-2 days'
        when age_days <= 7 then '3-7 days'
        when age_days <= 30 then '8-30 days'
        else 'over 30 days'
    end as age_bucket
from lines
