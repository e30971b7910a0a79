-- Days between two downloads that neither speaks for. Statements with balances chain by these; exports without any are
-- only known to be complete by the days they cover. A CSV covers its first to its last line: quiet days look like gaps.
with covered as (
    select distinct
        bank_id,
        account_id,
        covers_from,
        covers_to
    from {{ source('bank', 'statements') }}
    where covers_from is not null and covers_to is not null
),

reached as (
    select
        bank_id,
        account_id,
        covers_from,
        covers_to,
        max(covers_to) over (
            partition by bank_id, account_id
            order by covers_from, covers_to
            rows between unbounded preceding and 1 preceding
        ) as covered_until
    from covered
)

select
    bank_id,
    account_id,
    covered_until,
    covers_from as covered_again_from,
    {{ days_between('covered_until', 'covers_from') }} - 1 as missing_days
from reached
where {{ days_between('covered_until', 'covers_from') }} > 1
