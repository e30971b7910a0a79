-- Registered customers and guests, without names or addresses: an e-mail address stays behind its hash.
with registered as (
    select
        customer_key,
        store_id,
        false as is_guest,
        {{ sha256_text("lower(trim(email))") }} as email_sha256,
        store_role,
        billing_country as country_code,
        created_at as first_seen_at
    from {{ ref('stg_woocommerce__customers') }}
),

buyers as (
    select
        {{ customer_key('orders') }} as customer_key,
        orders.store_id,
        coalesce(orders.customer_id, 0) = 0 as is_guest,
        min({{ sha256_text("lower(trim(orders.billing_email))") }}) as email_sha256,
        min(orders.billing_country) as country_code,
        min(orders.created_at) as first_seen_at
    from {{ ref('int_orders_enriched') }} as orders
    group by {{ customer_key('orders') }}, orders.store_id, coalesce(orders.customer_id, 0) = 0
)

select
    customer_key,
    store_id,
    is_guest,
    email_sha256,
    store_role,
    country_code,
    first_seen_at
from registered
union all
-- Guests, and customers whose account was deleted since.
select
    buyers.customer_key,
    buyers.store_id,
    buyers.is_guest,
    buyers.email_sha256,
    cast(null as varchar) as store_role,
    buyers.country_code,
    buyers.first_seen_at
from buyers
left join registered on buyers.customer_key = registered.customer_key
where registered.customer_key is null and buyers.customer_key is not null
