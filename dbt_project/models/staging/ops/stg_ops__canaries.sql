select
    token as canary_id,
    store_id,
    state as canary_state,
    order_id,
    late_after_minutes,
    {{ utc_timestamp('placed_at') }} as placed_at,
    {{ utc_timestamp('answered_at') }} as answered_at,
    {{ utc_timestamp('loaded_at') }} as loaded_at,
    {{ utc_timestamp('seen_at') }} as seen_at
from {{ source('ops', 'canaries') }}
