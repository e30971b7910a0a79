-- Lines of summaries: debits and credits of each account, currency and rate, added up over the entries in it, which
-- stay the evidence.
with entries as (
    select
        entry_id,
        summary_id,
        entry_type,
        posting_date
    from {{ ref('int_journal_entries_judged') }}
    where summary_id is not null
),

sums as (
    select
        entries.summary_id,
        {{ summary_group('lines') }} as line_group,
        min(entries.entry_type) as entry_type,
        min(entries.posting_date) as posting_date,
        min(lines.entity_code) as entity_code,
        min(lines.account_role) as account_role,
        min(lines.store_id) as store_id,
        min(lines.gateway_id) as gateway_id,
        min(lines.product_class) as product_class,
        min(lines.cost_centre) as cost_centre,
        min(lines.account_code) as account_code,
        sum(lines.amount) as amount,
        min(lines.currency_code) as currency_code,
        min(lines.exchange_rate) as exchange_rate,
        sum(lines.base_amount) as base_amount,
        min(lines.base_currency_code) as base_currency_code
    from entries
    inner join {{ ref('int_journal_lines_balanced') }} as lines on entries.entry_id = lines.entry_id
    group by entries.summary_id, {{ summary_group('lines') }}
),

counts as (
    select
        summary_id,
        count(*) as entry_count
    from entries
    group by summary_id
)

select
    sums.summary_id as entry_id,
    cast(row_number() over (partition by sums.summary_id order by sums.line_group) as integer) as line_no,
    sums.line_group,
    sums.entity_code,
    sums.entry_type,
    sums.posting_date,
    sums.account_role,
    sums.store_id,
    sums.gateway_id,
    sums.product_class,
    sums.cost_centre,
    sums.account_code,
    cast(sums.amount as decimal(18, 4)) as amount,
    sums.currency_code,
    sums.exchange_rate,
    cast(sums.base_amount as decimal(18, 4)) as base_amount,
    sums.base_currency_code,
    'Sum of ' || cast(counts.entry_count as varchar) || ' ' || sums.entry_type
    || case when counts.entry_count = 1 then ' entry' else ' entries' end as description
from sums
inner join counts on sums.summary_id = counts.summary_id
