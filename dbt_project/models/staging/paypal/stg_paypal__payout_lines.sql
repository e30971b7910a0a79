-- PayPal does not say which lines a withdrawal holds. But one that leaves the currency's balance at exactly nothing
-- took all that came since the last time it was so, and those lines add up to it. Every other one stays without lines.
with openings as (
    -- What was there before the first line that we know.
    select
        gateway_id,
        currency as currency_code,
        beginning_available,
        row_number() over (partition by gateway_id, currency order by period_start, report_id, row_number) as position
    from {{ source('paypal', 'report_totals') }}
    where scope = 'section' and period_start is not null
),

lines as (
    select
        gateway_id,
        currency_code,
        line_id,
        transaction_id,
        net_amount,
        booked_at,
        case when line_type = 'payout' then 1 else 0 end as payout_count
    from {{ ref('stg_paypal__lines') }}
    where is_clearing
),

running as (
    select
        lines.*,
        coalesce({{ from_minor('openings.beginning_available', '2') }}, 0) as opening_amount,
        coalesce({{ from_minor('openings.beginning_available', '2') }}, 0)
        + sum(lines.net_amount) over (
            partition by lines.gateway_id, lines.currency_code
            order by lines.booked_at, lines.payout_count, lines.line_id
            rows between unbounded preceding and current row
        ) as balance_amount
    from lines
    left join openings
        on
            lines.gateway_id = openings.gateway_id
            and lines.currency_code = openings.currency_code
            and openings.position = 1
),

swept as (
    select
        *,
        case when payout_count = 1 and balance_amount = 0 then 1 else 0 end as is_sweep
    from running
),

stretches as (
    select
        *,
        coalesce(
            sum(is_sweep) over (
                partition by gateway_id, currency_code
                order by booked_at, payout_count, line_id
                rows between unbounded preceding and 1 preceding
            ), 0
        ) as stretch
    from swept
),

sweeps as (
    select
        gateway_id,
        currency_code,
        stretch,
        min(case when is_sweep = 1 then transaction_id end) as payout_id
    from stretches
    group by gateway_id, currency_code, stretch
    having
        sum(is_sweep) = 1
        and sum(payout_count) = 1
        and (stretch > 0 or min(opening_amount) = 0)
)

select
    stretches.gateway_id || ':' || sweeps.payout_id as settlement_key,
    stretches.gateway_id || ':' || stretches.line_id as settlement_line_key,
    stretches.gateway_id
from stretches
inner join sweeps
    on
        stretches.gateway_id = sweeps.gateway_id
        and stretches.currency_code = sweeps.currency_code
        and stretches.stretch = sweeps.stretch
where stretches.payout_count = 0
