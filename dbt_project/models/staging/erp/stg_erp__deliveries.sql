select
    erp_id || ':Delivery:' || id as erp_delivery_key,
    erp_id,
    company,
    coalesce(number, id) as document_number,
    customer as customer_name,
    is_return,
    case when return_against is not null then erp_id || ':Delivery:' || return_against end as returned_delivery_key,
    nullif(trim(order_reference), '') as order_number,
    nullif(trim(source_document), '') as source_document,
    warehouse as warehouse_name,
    carrier as carrier_name,
    nullif(trim(tracking_number), '') as tracking_number,
    docstatus,
    status as document_status,
    cast(substr(shipped_on, 1, 10) as date) as shipped_on,
    shipped_on as erp_shipped_at,
    modified as erp_modified,
    _payload_sha256 as payload_sha256
from {{ source('erp', 'deliveries') }} as deliveries
where {{ erp_still_has('deliveries', 'deliveries') }}
