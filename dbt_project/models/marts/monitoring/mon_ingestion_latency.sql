select
    status.system,
    status.instance_id,
    status.resource,
    status.loaded_at,
    clock.as_of as measured_at,
    {{ seconds_between('status.loaded_at', 'clock.as_of') }} as latency_seconds,
    status.received as received_count,
    status.loaded as loaded_count,
    status.quarantined as quarantined_count
from {{ ref('stg_ops__load_status') }} as status
cross join {{ ref('stg_ops__clock') }} as clock
