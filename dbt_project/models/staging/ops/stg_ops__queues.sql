select
    queue as queue_name,
    part as queue_part,
    state as queue_state,
    depth,
    {{ utc_timestamp('oldest_at') }} as oldest_at
from {{ source('ops', 'queues') }}
