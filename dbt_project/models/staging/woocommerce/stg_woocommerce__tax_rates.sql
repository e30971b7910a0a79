select
    store_id,
    id as rate_id,
    upper(nullif(country, '')) as country_code,
    upper(nullif(state, '')) as state_code,
    name as rate_name,
    rate as rate_percent
from {{ source('woocommerce', 'tax_rates') }}
