select
    erp_id,
    entity_code,
    erp_system,
    company
from {{ source('ops', 'erps') }}
