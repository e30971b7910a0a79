select
    store_id,
    former_site_url
from {{ source('ops', 'former_site_urls') }}
