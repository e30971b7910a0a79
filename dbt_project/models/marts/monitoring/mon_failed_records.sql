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
    status,
    first_seen_at,
    last_seen_at,
    payload_sha256
from {{ ref('stg_ops__quarantine') }}
