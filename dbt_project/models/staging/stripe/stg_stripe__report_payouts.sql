-- Payouts as reports show them: by the lines that name them, and by the payout's own row where a report has one. Those
-- that the API has loaded are left out, since it knows their status.
with lines as (
    select
        gateway_id,
        nullif(trim(automatic_payout_id), '') as payout_id,
        balance_transaction_id,
        upper(currency) as currency_code,
        net,
        lower(trim(reporting_category)) = 'payout' as is_own_line,
        nullif(trim(trace_id), '') as trace_id,
        created,
        payout_effective_at,
        file_sha256,
        _loaded_at
    from {{ source('stripe', 'report_lines') }}
    where report = 'payouts' and trim(automatic_payout_id) <> ''
),

payouts as (
    select
        gateway_id,
        payout_id,
        max(currency_code) as currency_code,
        max(case when is_own_line then balance_transaction_id end) as line_id,
        cast(sum(case when not is_own_line then net else 0 end) as decimal(18, 4)) as lines_amount,
        cast(-sum(case when is_own_line then net else 0 end) as decimal(18, 4)) as own_amount,
        max(trace_id) as trace_id,
        max(case when is_own_line then created end) as own_created,
        max(payout_effective_at) as effective_at,
        max(created) as newest_created,
        min(file_sha256) as file_sha256,
        max(_loaded_at) as loaded_at
    from lines
    group by gateway_id, payout_id
)

select
    payouts.gateway_id,
    payouts.payout_id,
    payouts.line_id,
    payouts.currency_code,
    case when payouts.line_id is null then payouts.lines_amount else payouts.own_amount end as payout_amount,
    payouts.trace_id,
    {{ utc_timestamp('coalesce(payouts.own_created, payouts.effective_at, payouts.newest_created)') }} as created_at,
    {{ utc_timestamp('coalesce(payouts.effective_at, payouts.own_created, payouts.newest_created)') }} as effective_at,
    payouts.file_sha256,
    {{ utc_timestamp('payouts.loaded_at') }} as loaded_at
from payouts
left join {{ source('stripe', 'payouts') }} as api_payouts
    on payouts.gateway_id = api_payouts.gateway_id and payouts.payout_id = api_payouts.id
where api_payouts.id is null
