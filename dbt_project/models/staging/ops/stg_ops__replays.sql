select
    replay_id,
    kind,
    subject,
    actor,
    reason,
    {{ utc_timestamp('started_at') }} as started_at,
    {{ utc_timestamp('finished_at') }} as finished_at,
    result,
    received,
    loaded,
    quarantined,
    detail
from {{ source('ops', 'replays') }}
