-- Which ledger lines a dispute made: none of an inquiry, one that takes the money, a second that gives it back.
select
    gateway_id || ':' || dispute_id as dispute_key,
    gateway_id || ':' || id as settlement_line_key,
    gateway_id,
    {{ epoch_to_utc('created') }} as booked_at,
    {{ utc_timestamp('_loaded_at') }} as loaded_at
from {{ source('stripe', 'dispute_transactions') }}
