select
    quarantine_id,
    system,
    instance_id,
    table_name,
    record_key,
    field,
    value,
    reason,
    origin,
    payload_sha256,
    status,
    {{ utc_timestamp('first_seen_at') }} as first_seen_at,
    {{ utc_timestamp('last_seen_at') }} as last_seen_at
from {{ source('ops', 'quarantine') }}
