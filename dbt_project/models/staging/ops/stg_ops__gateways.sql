select
    gateway_id,
    gateway_system,
    entity_code,
    bank_id,
    order_reference,
    coalesce(reference_prefix, '') as reference_prefix
from {{ source('ops', 'gateways') }}
