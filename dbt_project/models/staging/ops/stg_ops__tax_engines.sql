select
    tax_engine_id,
    tax_engine_system,
    entity_code,
    order_reference
from {{ source('ops', 'tax_engines') }}
