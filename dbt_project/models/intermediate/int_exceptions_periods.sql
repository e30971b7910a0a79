{{ config(materialized='view') }}

-- What turned up, or turned out otherwise, after its month was closed: it belongs to that month, but the books have it
-- in an open one, or will. It has been seen to when the month that it was booked in is closed as well.
with closed as (
    select
        entity_code,
        max(last_day) as closed_through
    from {{ ref('stg_ops__closed_periods') }}
    group by entity_code
),

-- Of a month before the first that was closed here, nothing can be posted either. A summary is late as a whole.
late as (
    select
        coalesce(entries.summary_id, entries.entry_id) as entry_id,
        entries.entity_code,
        entries.posting_date,
        max(case when entries.summary_id is null then entries.order_key end) as order_key,
        max(case when entries.summary_id is null then entries.settlement_key end) as settlement_key,
        max(case when entries.summary_id is null then entries.settlement_line_key end) as settlement_line_key,
        max(case when entries.summary_id is null then entries.bank_line_key end) as bank_line_key,
        cast(sum(entries.base_total_amount) as decimal(18, 4)) as base_total_amount,
        entries.base_currency_code,
        closed.closed_through
    from {{ ref('int_journal_entries_judged') }} as entries
    inner join closed on entries.entity_code = closed.entity_code and entries.posting_date <= closed.closed_through
    where entries.posting_status = 'ready'
    group by
        coalesce(entries.summary_id, entries.entry_id),
        entries.entity_code,
        entries.posting_date,
        entries.base_currency_code,
        closed.closed_through
),

postings as (
    select
        postings.entry_id,
        postings.revision,
        postings.kind,
        postings.posting_date
    from {{ ref('stg_ops__postings') }} as postings
    inner join closed on postings.entity_code = closed.entity_code
    where postings.state in ('posted', 'sent')
),

-- What the books hold of an entry now.
booked as (
    select
        entries.entry_id,
        max(entries.posting_date) as booked_on
    from postings as entries
    left join postings as reversals
        on
            entries.entry_id = reversals.entry_id
            and entries.revision = reversals.revision
            and reversals.kind = 'reversal'
    where entries.kind = 'entry' and reversals.entry_id is null
    group by entries.entry_id
),

first_closed as (
    select
        late.entry_id,
        min(periods.closed_at) as closed_at,
        min(periods.period) as period
    from late
    inner join {{ ref('stg_ops__closed_periods') }} as periods
        on late.entity_code = periods.entity_code and late.posting_date <= periods.last_day
    group by late.entry_id
)

select
    'late_fact_in_closed_period' as exception_type,
    late.entry_id as subject_key,
    late.entity_code,
    cast(null as varchar) as store_id,
    cast(null as varchar) as gateway_id,
    late.order_key,
    late.settlement_key,
    late.settlement_line_key,
    late.bank_line_key,
    late.base_total_amount as amount_at_risk,
    late.base_currency_code as currency_code,
    first_closed.closed_at as opened_at,
    {{ json_text([
        ("entry", "late.entry_id"),
        ("belongs_to", "cast(late.posting_date as varchar)"),
        ("closed_period", "first_closed.period"),
        ("booked_on", "cast(booked.booked_on as varchar)"),
    ]) }} as evidence
from late
inner join first_closed on late.entry_id = first_closed.entry_id
left join booked on late.entry_id = booked.entry_id
where booked.booked_on is null or booked.booked_on > late.closed_through
