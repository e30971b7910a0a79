-- The available balance is what the lines add up to: money that PayPal withholds has left it by a line of its own.
with footers as (
    select
        *,
        row_number() over (
            partition by gateway_id, account_id, currency
            order by period_end desc, report_id desc, row_number desc
        ) as recency
    from {{ source('paypal', 'report_totals') }}
    where scope = 'section' and ending_available is not null and period_end is not null
),

newest_lines as (
    select
        gateway_id,
        currency_code,
        max(booked_at) as booked_at
    from {{ ref('stg_paypal__lines') }}
    where source_table = 'report_lines'
    group by gateway_id, currency_code
),

reported as (
    select
        gateway_id,
        currency as currency_code,
        cast(sum({{ from_minor('ending_available', '2') }}) as decimal(18, 4)) as available_amount,
        {{ utc_timestamp('max(period_end)') }} as period_end,
        {{ utc_timestamp('max(_loaded_at)') }} as loaded_at
    from footers
    where recency = 1
    group by gateway_id, currency
)

select
    gateway_id,
    'paypal' as gateway_system,
    upper(currency) as currency_code,
    cast(coalesce(available_balance, total_balance) as decimal(18, 4)) as available_amount,
    cast(0 as decimal(18, 4)) as pending_amount,
    {{ utc_timestamp('_loaded_at') }} as loaded_at
from {{ source('paypal', 'balances') }}
union all
-- A footer that is older than the newest line (its own report's was refused) says nothing about today.
select
    reported.gateway_id,
    'paypal' as gateway_system,
    reported.currency_code,
    reported.available_amount,
    cast(0 as decimal(18, 4)) as pending_amount,
    reported.loaded_at
from reported
left join newest_lines
    on reported.gateway_id = newest_lines.gateway_id and reported.currency_code = newest_lines.currency_code
where newest_lines.booked_at is null or newest_lines.booked_at <= reported.period_end
