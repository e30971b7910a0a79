-- How many orders of each store are here, canaries included: what a store lists holds them too.
select
    store_id,
    count(*) as order_count
from {{ source('woocommerce', 'orders') }}
group by store_id
