select
    replay_id,
    kind,
    subject,
    actor,
    reason,
    started_at,
    finished_at,
    {{ seconds_between('started_at', 'finished_at') }} as seconds,
    result,
    cast(received as integer) as received,
    cast(loaded as integer) as loaded,
    cast(quarantined as integer) as quarantined,
    detail
from {{ ref('stg_ops__replays') }}
