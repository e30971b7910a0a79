select
    lines.erp_id || ':Delivery:' || lines.delivery_id || ':' || lines.id as erp_delivery_line_key,
    lines.erp_id || ':Delivery:' || lines.delivery_id as erp_delivery_key,
    lines.erp_id,
    nullif(trim(lines.sku), '') as sku,
    lines.product as product_name,
    cast(lines.quantity as decimal(18, 4)) as quantity,
    lines.unit as unit_name,
    lines.warehouse as warehouse_name,
    lines.sales_order as source_document
from {{ source('erp', 'delivery_lines') }} as lines
inner join {{ source('erp', 'deliveries') }} as deliveries
    on
        lines.erp_id = deliveries.erp_id
        and lines.delivery_id = deliveries.id
where {{ erp_still_has('deliveries', 'deliveries') }}
