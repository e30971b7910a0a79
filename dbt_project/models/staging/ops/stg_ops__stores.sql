select
    store_id,
    store_name,
    entity_code,
    site_url
from {{ source('ops', 'stores') }}
