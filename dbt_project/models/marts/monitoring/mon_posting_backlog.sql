with attempts as (
    select
        entry_id,
        max(revision) as revision
    from {{ ref('stg_ops__postings') }}
    where kind = 'entry'
    group by entry_id
),

latest as (
    select
        postings.entry_id,
        postings.state
    from {{ ref('stg_ops__postings') }} as postings
    inner join attempts on postings.entry_id = attempts.entry_id and postings.revision = attempts.revision
    where postings.kind = 'entry'
),

waiting as (
    select
        entries.entity_code,
        entries.entry_type,
        entries.base_currency_code,
        entries.base_total_amount,
        entries.posting_date,
        case
            when entries.posting_status <> 'ready' then 'held'
            when latest.state is null then 'to_post'
            else latest.state
        end as backlog_state,
        coalesce(case when entries.posting_status <> 'ready' then entries.hold_reason end, 'none') as hold_reason
    from {{ ref('acc_journal_entries') }} as entries
    left join latest on entries.entry_id = latest.entry_id
    where entries.posting_status <> 'ready' or latest.state is null or latest.state <> 'posted'
)

select
    waiting.entity_code,
    waiting.backlog_state,
    waiting.entry_type,
    waiting.hold_reason,
    waiting.base_currency_code,
    count(*) as entry_count,
    cast(sum(waiting.base_total_amount) as decimal(18, 4)) as base_total_amount,
    min(waiting.posting_date) as oldest_posting_date,
    cast(max({{ days_between('waiting.posting_date', 'clock.as_of') }}) as integer) as oldest_age_days
from waiting
cross join {{ ref('stg_ops__clock') }} as clock
group by
    waiting.entity_code,
    waiting.backlog_state,
    waiting.entry_type,
    waiting.hold_reason,
    waiting.base_currency_code
