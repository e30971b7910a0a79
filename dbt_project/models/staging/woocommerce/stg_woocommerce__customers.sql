select
    customers.store_id || ':' || cast(customers.id as varchar) as customer_key,
    customers.store_id,
    customers.id as customer_id,
    customers.email,
    customers.role as store_role,
    customers.billing_country,
    {{ woo_has_tombstone('customers', 'tombstones') }} as is_deleted,
    {{ utc_timestamp('customers.date_created_gmt') }} as created_at
from {{ source('woocommerce', 'customers') }} as customers
left join {{ source('woocommerce', 'deletions') }} as tombstones
    on
        customers.store_id = tombstones.store_id
        and customers.id = tombstones.id
        and tombstones.resource = 'customers'
