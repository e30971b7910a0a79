select
    provider_id,
    store_id
from {{ source('ops', 'fulfilment_stores') }}
