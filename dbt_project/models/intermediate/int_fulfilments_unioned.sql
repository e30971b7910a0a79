{{ config(materialized='view') }}

-- What left for a customer, as each system tells it: one row per shipment and article, or one without an article where
-- the shipment does not say what was in it. Systems repeat each other: rows of different sources must not be added up.
with store_items as (
    select
        fulfilment_key as shipment_key,
        {{ json_elements('shipped_items') }} as item
    from {{ ref('stg_woocommerce__fulfilments') }}
),

store_lines as (
    select
        shipment_key,
        {{ json_member('item', 'item_id') }} as line_id,
        sum(cast({{ regex_capture(json_member('item', 'qty'), '^([0-9]+)$') }} as decimal(18, 4))) as quantity
    from store_items
    where {{ json_member('item', 'item_id') }} is not null
    group by shipment_key, {{ json_member('item', 'item_id') }}
),

plugin_items as (
    select
        shipment_key,
        {{ json_elements('shipped_items') }} as item
    from {{ ref('stg_woocommerce__shipments') }}
),

plugin_lines as (
    select
        shipment_key,
        {{ json_member('item', 'item_id') }} as line_id,
        sum(cast({{ regex_capture(json_member('item', 'qty'), '^([0-9]+)$') }} as decimal(18, 4))) as quantity
    from plugin_items
    where {{ json_member('item', 'item_id') }} is not null
    group by shipment_key, {{ json_member('item', 'item_id') }}
)

select
    'provider:' || shipment_line_key as fulfilment_line_key,
    'provider:' || shipment_key as shipment_key,
    'provider' as reported_by,
    provider_id as source_id,
    cast(null as varchar) as order_key,
    cast(null as varchar) as line_id,
    order_reference,
    sku,
    quantity,
    location_code,
    carrier,
    tracking_number,
    source_status,
    true as is_shipped,
    shipped_at,
    cast(null as date) as shipped_on,
    delivered_at,
    file_sha256 as payload_sha256
from {{ ref('stg_fulfilment__shipments') }}

union all
select
    'erp:' || coalesce(lines.erp_delivery_line_key, deliveries.erp_delivery_key) as fulfilment_line_key,
    'erp:' || deliveries.erp_delivery_key as shipment_key,
    'erp' as reported_by,
    companies.entity_code as source_id,
    cast(null as varchar) as order_key,
    cast(null as varchar) as line_id,
    deliveries.order_number as order_reference,
    lines.sku,
    lines.quantity,
    coalesce(lines.warehouse_name, deliveries.warehouse_name) as location_code,
    deliveries.carrier_name as carrier,
    deliveries.tracking_number,
    deliveries.document_status as source_status,
    deliveries.docstatus = 1 as is_shipped,
    cast(null as timestamp) as shipped_at,
    deliveries.shipped_on,
    cast(null as timestamp) as delivered_at,
    deliveries.payload_sha256
from {{ ref('stg_erp__deliveries') }} as deliveries
inner join {{ ref('stg_ops__erps') }} as companies
    on deliveries.erp_id = companies.erp_id and deliveries.company = companies.company
left join {{ ref('stg_erp__delivery_lines') }} as lines on deliveries.erp_delivery_key = lines.erp_delivery_key
where deliveries.docstatus in (0, 1) and not coalesce(deliveries.is_return, false)

union all
select
    'store:' || fulfilments.fulfilment_key || ':' || coalesce(lines.line_id, '') as fulfilment_line_key,
    'store:' || fulfilments.fulfilment_key as shipment_key,
    'store' as reported_by,
    fulfilments.store_id as source_id,
    fulfilments.order_key,
    lines.line_id,
    cast(null as varchar) as order_reference,
    cast(null as varchar) as sku,
    lines.quantity,
    cast(null as varchar) as location_code,
    fulfilments.carrier,
    fulfilments.tracking_number,
    fulfilments.source_status,
    fulfilments.is_shipped,
    cast(null as timestamp) as shipped_at,
    case
        when fulfilments.is_shipped
            then cast(
                {{ regex_capture('fulfilments.updated_at_as_sent', '^([0-9]{4}-[0-9]{2}-[0-9]{2})') }} as date
            )
    end as shipped_on,
    cast(null as timestamp) as delivered_at,
    fulfilments.payload_sha256
from {{ ref('stg_woocommerce__fulfilments') }} as fulfilments
left join store_lines as lines on fulfilments.fulfilment_key = lines.shipment_key

union all
select
    'store_plugin:' || shipments.shipment_key || ':' || coalesce(lines.line_id, '') as fulfilment_line_key,
    'store_plugin:' || shipments.shipment_key as shipment_key,
    'store_plugin' as reported_by,
    shipments.store_id as source_id,
    shipments.order_key,
    lines.line_id,
    cast(null as varchar) as order_reference,
    cast(null as varchar) as sku,
    lines.quantity,
    cast(null as varchar) as location_code,
    shipments.carrier,
    shipments.tracking_number,
    cast(null as varchar) as source_status,
    true as is_shipped,
    shipments.shipped_at,
    cast(null as date) as shipped_on,
    cast(null as timestamp) as delivered_at,
    shipments.payload_sha256
from {{ ref('stg_woocommerce__shipments') }} as shipments
left join plugin_lines as lines on shipments.shipment_key = lines.shipment_key
