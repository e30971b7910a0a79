with raised as (
    {{ union_exceptions([
        "int_exceptions_raised",
        "int_exceptions_journals",
        "int_exceptions_periods",
        "int_exceptions_canaries",
    ]) | indent(4) }}
),

open_exceptions as (
    select
        *,
        exception_type || ':' || subject_key as exception_id
    from raised
),

-- Whose cause is gone, of those that somebody worked on: as they were last seen.
gone as (
    select work.*
    from {{ ref('stg_ops__exception_work') }} as work
    left join open_exceptions on work.exception_id = open_exceptions.exception_id
    where open_exceptions.exception_id is null
),

exceptions as (
    select
        exception_id,
        exception_type,
        entity_code,
        store_id,
        gateway_id,
        order_key,
        settlement_key,
        settlement_line_key,
        bank_line_key,
        amount_at_risk,
        currency_code,
        opened_at,
        evidence,
        true as is_raised
    from open_exceptions
    union all
    select
        exception_id,
        exception_type,
        entity_code,
        store_id,
        gateway_id,
        order_key,
        settlement_key,
        settlement_line_key,
        bank_line_key,
        amount_at_risk,
        currency_code,
        opened_at,
        coalesce(evidence, '{}') as evidence,
        false as is_raised
    from gone
),

-- What somebody resolved is the exception that they saw: with another amount at risk, or a cause of another time, it is
-- open again.
resolved as (
    select
        exceptions.exception_id,
        work.resolved_reason
    from exceptions
    inner join {{ ref('stg_ops__exception_work') }} as work
        on
            exceptions.exception_id = work.exception_id
            and exceptions.amount_at_risk = work.resolved_amount
            and exceptions.currency_code is not distinct from work.resolved_currency_code
            and exceptions.opened_at = work.resolved_opened_at
),

worked as (
    select
        exceptions.*,
        work.assignee,
        work.snoozed_until,
        work.last_actor,
        work.last_action_at,
        coalesce(work.comment_count, 0) as comment_count,
        case
            when written_off.exception_id is not null then 'written_off'
            when not exceptions.is_raised then 'closed'
            when resolved.exception_id is not null then 'resolved'
            when work.write_off_state = 'waiting' then 'write_off_asked'
            when work.snoozed_until > cast(clock.as_of as date) then 'snoozed'
            when work.assignee is not null then 'assigned'
            else 'open'
        end as work_status,
        case
            when written_off.exception_id is not null then work.write_off_reason
            when resolved.exception_id is not null then resolved.resolved_reason
        end as resolution_reason,
        clock.as_of
    from exceptions
    cross join {{ ref('stg_ops__clock') }} as clock
    left join {{ ref('stg_ops__exception_work') }} as work on exceptions.exception_id = work.exception_id
    left join {{ ref('int_exceptions_written_off') }} as written_off
        on exceptions.exception_id = written_off.exception_id
    left join resolved on exceptions.exception_id = resolved.exception_id
),

dated as (
    select
        *,
        cast({{ days_between('opened_at', 'as_of') }} as integer) as age_days
    from worked
)

select
    dated.exception_id,
    dated.exception_type,
    types.exception_class,
    types.severity,
    types.owner,
    dated.entity_code,
    dated.store_id,
    dated.gateway_id,
    dated.order_key,
    dated.settlement_key,
    dated.settlement_line_key,
    dated.bank_line_key,
    dated.amount_at_risk,
    dated.currency_code,
    dated.opened_at,
    cast({{ add_days('dated.opened_at', 'types.due_days') }} as timestamp) as due_at,
    case when dated.work_status in ('written_off', 'closed') then 'closed' else 'open' end as status,
    dated.evidence,
    types.suggested_action,
    dated.work_status,
    dated.assignee,
    dated.snoozed_until,
    dated.resolution_reason,
    dated.work_status not in ('resolved', 'written_off', 'closed')
    and {{ add_days('dated.opened_at', 'types.due_days') }} < dated.as_of as is_overdue,
    dated.age_days,
    case
        when dated.age_days <= 2 then '0-2 days'
        when dated.age_days <= 7 then '3-7 days'
        when dated.age_days <= 30 then '8-30 days'
        when dated.age_days <= 90 then '31-90 days'
        else 'over 90 days'
    end as ageing_bucket,
    cast(dated.comment_count as integer) as comment_count,
    dated.last_actor,
    dated.last_action_at
from dated
inner join {{ ref('exception_types') }} as types on dated.exception_type = types.exception_type
