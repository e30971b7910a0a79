{{ config(materialized='view') }}

-- What moved in stock, as ERPs and logistics providers tell it. They repeat each other: quantities of different
-- reported_by must not be added up.
with movements as (
    select
        'erp:' || movements.erp_stock_movement_key as inventory_movement_key,
        'erp' as reported_by,
        movements.erp_id as source_id,
        companies.entity_code,
        movements.sku,
        movements.product_name,
        movements.quantity,
        nullif(trim(movements.from_location_name), '') as from_location,
        nullif(trim(movements.to_location_name), '') as to_location,
        movements.voucher_type as source_type,
        case movements.docstatus when 0 then 'draft' when 1 then 'done' else 'cancelled' end as movement_status,
        cast(null as varchar) as order_reference,
        movements.voucher_id as document_reference,
        movements.moved_on,
        cast(null as timestamp) as moved_at,
        movements.payload_sha256
    from {{ ref('stg_erp__stock_movements') }} as movements
    left join {{ ref('stg_ops__erps') }} as companies
        on movements.erp_id = companies.erp_id and movements.company = companies.company

    union all
    -- A provider's numbers have a sign and one place.
    select
        'provider:' || stock_movement_key as inventory_movement_key,
        'provider' as reported_by,
        provider_id as source_id,
        cast(null as varchar) as entity_code,
        sku,
        cast(null as varchar) as product_name,
        cast(abs(quantity) as decimal(18, 4)) as quantity,
        case when quantity < 0 then coalesce(location_code, provider_id) end as from_location,
        case when quantity >= 0 then coalesce(location_code, provider_id) end as to_location,
        source_type,
        'done' as movement_status,
        order_reference,
        document_reference,
        cast(moved_at as date) as moved_on,
        moved_at,
        file_sha256 as payload_sha256
    from {{ ref('stg_fulfilment__stock_movements') }}
)

select
    inventory_movement_key,
    reported_by,
    source_id,
    entity_code,
    sku,
    product_name,
    quantity,
    case
        when from_location is null then 'in'
        when to_location is null then 'out'
        else 'between'
    end as direction,
    from_location,
    to_location,
    source_type,
    movement_status,
    order_reference,
    document_reference,
    moved_on,
    moved_at,
    payload_sha256
from movements
