select
    gateway_id,
    store_id,
    payment_method,
    reports_after_days
from {{ source('ops', 'gateway_stores') }}
