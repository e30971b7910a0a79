{{ config(materialized='view') }}

-- The warehouses that each store sells from, as the ERP of its entity has them.
select
    offered.store_id,
    stores.entity_code,
    companies.erp_id,
    companies.company,
    offered.warehouse_name
from {{ ref('stg_ops__store_warehouses') }} as offered
inner join {{ ref('stg_ops__stores') }} as stores on offered.store_id = stores.store_id
inner join {{ ref('stg_ops__erps') }} as companies on stores.entity_code = companies.entity_code
