select
    queues.queue_name,
    queues.queue_part,
    queues.queue_state,
    queues.depth,
    queues.oldest_at,
    clock.as_of as measured_at,
    {{ seconds_between('queues.oldest_at', 'clock.as_of') }} as oldest_age_seconds
from {{ ref('stg_ops__queues') }} as queues
cross join {{ ref('stg_ops__clock') }} as clock
