-- Every day that a fact may have: ten years back from now, and the year to come.
with clock as (
    select as_of from {{ ref('stg_ops__clock') }}
)

select cast(day_at as date) as date_day
from (
    select {{ each_day(add_days('as_of', -3653), add_days('as_of', 366)) }} as day_at
    from clock
) as days
