select
    tax_engine_id,
    store_id
from {{ source('ops', 'tax_engine_stores') }}
