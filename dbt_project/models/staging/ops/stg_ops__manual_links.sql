select
    link_id,
    version,
    kind,
    left_key,
    right_key,
    entity_code,
    exception_id,
    state,
    amount,
    currency_code,
    linked_by,
    {{ utc_timestamp('linked_at') }} as linked_at,
    reason,
    approved_by
from {{ source('ops', 'manual_links') }}
