{{ config(materialized='view') }}

-- Pieces that came back, or are about to, and are not on the ERP's stock yet: drafts of the ERP's returns, and what a
-- provider received of an order for which the ERP has booked no return of the article.
with drafts as (
    select
        warehouses.store_id,
        lines.sku,
        abs(lines.quantity) as quantity
    from {{ ref('stg_erp__deliveries') }} as deliveries
    inner join {{ ref('stg_erp__delivery_lines') }} as lines on deliveries.erp_delivery_key = lines.erp_delivery_key
    inner join {{ ref('int_inventory_warehouses') }} as warehouses
        on
            deliveries.erp_id = warehouses.erp_id
            and deliveries.company = warehouses.company
            and coalesce(lines.warehouse_name, deliveries.warehouse_name) = warehouses.warehouse_name
    where deliveries.is_return and deliveries.docstatus = 0 and lines.sku is not null
),

booked as (
    select distinct
        companies.entity_code,
        deliveries.order_number,
        lines.sku
    from {{ ref('stg_erp__deliveries') }} as deliveries
    inner join {{ ref('stg_erp__delivery_lines') }} as lines on deliveries.erp_delivery_key = lines.erp_delivery_key
    inner join {{ ref('stg_ops__erps') }} as companies
        on deliveries.erp_id = companies.erp_id and deliveries.company = companies.company
    where deliveries.is_return and deliveries.order_number is not null and lines.sku is not null
),

received as (
    select
        served.store_id,
        returns.sku,
        returns.quantity
    from {{ ref('stg_fulfilment__returns') }} as returns
    inner join {{ ref('stg_ops__fulfilment_stores') }} as served on returns.provider_id = served.provider_id
    inner join {{ ref('stg_ops__store_stock') }} as offers on served.store_id = offers.store_id
    inner join {{ ref('stg_ops__stores') }} as stores on served.store_id = stores.store_id
    left join booked
        on
            stores.entity_code = booked.entity_code
            and ltrim(returns.order_reference, '#') = booked.order_number
            and returns.sku = booked.sku
    where booked.sku is null
),

together as (
    select * from drafts
    union all
    select * from received
)

select
    store_id,
    sku,
    cast(sum(quantity) as decimal(18, 4)) as returning_quantity
from together
group by store_id, sku
