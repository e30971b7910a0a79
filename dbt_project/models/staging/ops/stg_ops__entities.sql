select
    entity_code,
    entity_name,
    country_code,
    upper(base_currency_code) as base_currency_code,
    time_zone,
    erp_id,
    revenue_recognition,
    tolerance_minor_units,
    settlement_grace_days,
    bank_grace_days,
    disputes,
    tips,
    tip_names,
    coalesce(posting, 'lines') as posting,
    coalesce(invoices, 'none') as invoices
from {{ source('ops', 'entities') }}
