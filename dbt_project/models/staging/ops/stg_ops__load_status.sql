select
    system,
    instance_id,
    resource,
    received,
    loaded,
    quarantined,
    {{ utc_timestamp('loaded_at') }} as loaded_at
from {{ source('ops', 'load_status') }}
