select
    gateway_id,
    store_id,
    payment_method
from {{ source('ops', 'gateway_stores') }}
