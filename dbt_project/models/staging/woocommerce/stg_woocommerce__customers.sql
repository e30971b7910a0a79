select
    store_id || ':' || cast(id as varchar) as customer_key,
    store_id,
    id as customer_id,
    email,
    role as store_role,
    billing_country,
    {{ utc_timestamp('date_created_gmt') }} as created_at
from {{ source('woocommerce', 'customers') }}
