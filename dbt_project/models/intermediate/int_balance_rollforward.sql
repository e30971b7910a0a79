-- Opening balance + lines - payouts = closing balance, per gateway account, currency and window. A window ends with the
-- last reading of a day on which lines were booked; a gateway that has no readings over time has one window, from its
-- first line to the balance that it states now. This is all that payouts which name no lines can be checked by.
with readings as (
    select
        gateway_id,
        currency_code,
        newest_line_booked_at,
        cast(newest_line_booked_at as date) as reading_day,
        cast(available_amount + pending_amount as decimal(18, 4)) as closing_amount,
        loaded_at,
        row_number() over (
            partition by gateway_id, currency_code, cast(newest_line_booked_at as date)
            order by newest_line_booked_at desc
        ) as recency
    from {{ ref('int_balance_history_unioned') }}
),

closings as (
    select
        gateway_id,
        currency_code,
        newest_line_booked_at,
        reading_day,
        closing_amount,
        loaded_at
    from readings
    where recency = 1
),

-- Lines of a day, before and after its reading: few rows, whatever the number of lines.
daily as (
    select
        lines.gateway_id,
        lines.currency_code,
        cast(lines.booked_at as date) as line_day,
        coalesce(lines.booked_at > closings.newest_line_booked_at, true) as is_after_reading,
        sum(case when lines.line_type in ('payout', 'payout_reversal') then 0 else lines.net_amount end)
            as activity_amount,
        sum(case when lines.line_type in ('payout', 'payout_reversal') then -lines.net_amount else 0 end)
            as paid_out_amount,
        count(*) as line_count
    from {{ ref('int_settlement_lines_judged') }} as lines
    left join closings
        on
            lines.gateway_id = closings.gateway_id
            and lines.currency_code = closings.currency_code
            and cast(lines.booked_at as date) = closings.reading_day
    where lines.is_clearing
    group by
        lines.gateway_id,
        lines.currency_code,
        cast(lines.booked_at as date),
        coalesce(lines.booked_at > closings.newest_line_booked_at, true)
),

days as (
    select
        gateway_id,
        currency_code,
        line_day as any_day
    from daily
    union
    select
        gateway_id,
        currency_code,
        reading_day as any_day
    from closings
),

-- The reading in which a day's later lines show: the first of a later day.
following as (
    select
        days.gateway_id,
        days.currency_code,
        days.any_day,
        min(closings.reading_day) over (
            partition by days.gateway_id, days.currency_code
            order by days.any_day
            rows between 1 following and unbounded following
        ) as next_reading_day
    from days
    left join closings
        on
            days.gateway_id = closings.gateway_id
            and days.currency_code = closings.currency_code
            and days.any_day = closings.reading_day
),

booked as (
    select
        daily.gateway_id,
        daily.currency_code,
        case when daily.is_after_reading then following.next_reading_day else daily.line_day end as reading_day,
        sum(daily.activity_amount) as activity_amount,
        sum(daily.paid_out_amount) as paid_out_amount,
        sum(daily.line_count) as line_count
    from daily
    inner join following
        on
            daily.gateway_id = following.gateway_id
            and daily.currency_code = following.currency_code
            and daily.line_day = following.any_day
    group by
        daily.gateway_id,
        daily.currency_code,
        case when daily.is_after_reading then following.next_reading_day else daily.line_day end
),

read_windows as (
    select
        closings.gateway_id || ':' || closings.currency_code || ':' || cast(closings.reading_day as varchar)
            as window_key,
        closings.gateway_id,
        closings.currency_code,
        'reading' as window_kind,
        lag(closings.newest_line_booked_at) over history as opened_at,
        closings.newest_line_booked_at as closed_at,
        coalesce(lag(closings.closing_amount) over history, 0) as opening_amount,
        coalesce(booked.activity_amount, 0) as activity_amount,
        coalesce(booked.paid_out_amount, 0) as paid_out_amount,
        closings.closing_amount,
        coalesce(booked.line_count, 0) as line_count,
        closings.loaded_at
    from closings
    left join booked
        on
            closings.gateway_id = booked.gateway_id
            and closings.currency_code = booked.currency_code
            and closings.reading_day = booked.reading_day
    window history as (
        partition by closings.gateway_id, closings.currency_code
        order by closings.newest_line_booked_at
    )
),

totals as (
    select
        gateway_id,
        currency_code,
        sum(activity_amount) as activity_amount,
        sum(paid_out_amount) as paid_out_amount,
        sum(line_count) as line_count
    from daily
    group by gateway_id, currency_code
),

with_readings as (
    select distinct
        gateway_id,
        currency_code
    from closings
),

windows as (
    select
        window_key,
        gateway_id,
        currency_code,
        window_kind,
        opened_at,
        closed_at,
        opening_amount,
        activity_amount,
        paid_out_amount,
        closing_amount,
        line_count,
        loaded_at
    from read_windows
    union all
    select
        balances.gateway_id || ':' || balances.currency_code as window_key,
        balances.gateway_id,
        balances.currency_code,
        'since_start' as window_kind,
        cast(null as timestamp) as opened_at,
        balances.loaded_at as closed_at,
        0 as opening_amount,
        coalesce(totals.activity_amount, 0) as activity_amount,
        coalesce(totals.paid_out_amount, 0) as paid_out_amount,
        balances.available_amount + balances.pending_amount as closing_amount,
        coalesce(totals.line_count, 0) as line_count,
        balances.loaded_at
    from {{ ref('int_balances_unioned') }} as balances
    left join totals on balances.gateway_id = totals.gateway_id and balances.currency_code = totals.currency_code
    left join with_readings
        on balances.gateway_id = with_readings.gateway_id and balances.currency_code = with_readings.currency_code
    where with_readings.gateway_id is null
),

compared as (
    select
        *,
        closing_amount - opening_amount - activity_amount + paid_out_amount as residual_amount,
        sum(closing_amount - opening_amount - activity_amount + paid_out_amount) over (
            partition by gateway_id, currency_code
            order by closed_at
            rows between unbounded preceding and current row
        ) as residual_so_far_amount
    from windows
)

-- A line that one reading does not hold yet and the next one does leaves nothing over once both are there.
select
    window_key,
    gateway_id,
    currency_code,
    window_kind,
    opened_at,
    closed_at,
    cast(opening_amount as decimal(18, 4)) as opening_amount,
    cast(activity_amount as decimal(18, 4)) as activity_amount,
    cast(paid_out_amount as decimal(18, 4)) as paid_out_amount,
    cast(closing_amount as decimal(18, 4)) as closing_amount,
    cast(residual_amount as decimal(18, 4)) as residual_amount,
    cast(line_count as bigint) as line_count,
    case
        when residual_amount = 0 then loaded_at
        else
            min(case when residual_so_far_amount = 0 then loaded_at end) over (
                partition by gateway_id, currency_code
                order by closed_at
                rows between current row and unbounded following
            )
    end as proved_at,
    loaded_at
from compared
