select
    entities.entity_code,
    entities.entity_name,
    entities.country_code,
    entities.base_currency_code,
    entities.time_zone,
    entities.erp_id,
    companies.company,
    entities.revenue_recognition,
    cast(entities.tolerance_minor_units as integer) as tolerance_minor_units,
    cast(entities.settlement_grace_days as integer) as settlement_grace_days,
    cast(entities.bank_grace_days as integer) as bank_grace_days
from {{ ref('stg_ops__entities') }} as entities
left join {{ ref('stg_ops__erps') }} as companies
    on entities.erp_id = companies.erp_id and entities.entity_code = companies.entity_code
