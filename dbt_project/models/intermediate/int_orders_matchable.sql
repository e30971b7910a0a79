{{ config(materialized='view') }}

-- An order once for each gateway account that serves its store: the only ones whose charges may belong to it.
with gateway_stores as (
    select distinct
        gateway_id,
        store_id
    from {{ ref('stg_ops__gateway_stores') }}
),

-- The address once for each store, not for each order.
stores as (
    select
        store_id,
        {{ normalised_url('site_url') }} as normalised_site_url
    from {{ ref('stg_ops__stores') }}
)

select
    orders.order_key,
    gateway_stores.gateway_id,
    orders.store_id,
    orders.order_id,
    orders.order_number,
    -- What the gateway's plugin sends as its order reference: the number or the id, by the gateway's setting.
    case gateways.order_reference
        when 'id' then cast(orders.order_id as varchar)
        else orders.order_number
    end as order_reference,
    orders.store_order_key,
    orders.transaction_id,
    orders.intent_id,
    stores.normalised_site_url
from {{ ref('int_orders_enriched') }} as orders
inner join stores on orders.store_id = stores.store_id
inner join gateway_stores on orders.store_id = gateway_stores.store_id
inner join {{ ref('stg_ops__gateways') }} as gateways on gateway_stores.gateway_id = gateways.gateway_id
