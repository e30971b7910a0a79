select
    stores.store_id,
    stores.store_name,
    stores.entity_code,
    entities.country_code,
    entities.base_currency_code,
    entities.time_zone,
    stores.site_url
from {{ ref('stg_ops__stores') }} as stores
inner join {{ ref('stg_ops__entities') }} as entities on stores.entity_code = entities.entity_code
