select
    entity_code,
    period,
    first_day,
    last_day,
    closed_by,
    {{ utc_timestamp('closed_at') }} as closed_at,
    report_sha256
from {{ source('ops', 'closed_periods') }}
